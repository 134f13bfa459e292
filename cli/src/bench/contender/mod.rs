//! Who takes part: every allocator behind one trait, monomorphised, called the way its users call it.
//!
//! A workload gets a shared [`Contender`] and asks it for a [`ThreadAlloc`] on every thread that it
//! starts. For an allocator without handles that is a zero-sized value over its `GlobalAlloc`, so nothing
//! stands between the workload and the allocator and a pure-Rust allocator may inline; for a heap with a
//! handle per thread it is that handle.

mod counting;
mod field;
mod installed;
mod limit;
mod ours;
mod peers;
#[cfg(feature = "peer-rpmalloc")]
mod rpmalloc;
mod rusty_alloc;

use std::alloc::{GlobalAlloc, Layout};
use std::any::Any;

pub(crate) use counting::{Counting, LiveBytes};
pub(crate) use field::{ContenderVisitor, Field, Profile, left_out, profiles};
pub(crate) use installed::Installed;
pub(crate) use ours::ThroughTrait;
pub use rusty_alloc::Entry as RustyAllocEntry;

/// One thread's way to its allocator: the four calls of `GlobalAlloc`, on a value that need not be `Sync`.
///
/// # Safety
///
/// As for `GlobalAlloc`: `alloc` and its kin return null or a block that fits the layout, is aligned for
/// it, and overlaps no other live block. Except with [`Reach::OneSize`], a block may be freed through the
/// `ThreadAlloc` of any thread of the same contender.
pub(crate) unsafe trait ThreadAlloc {
    /// # Safety
    /// `layout` has a size above zero.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8;

    /// # Safety
    /// `block` is a live block of this contender, allocated with `layout`.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout);

    /// # Safety
    /// `layout` has a size above zero.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8;

    /// # Safety
    /// `block` is a live block of this contender, allocated with `layout`; `new_size` is above zero and
    /// does not overflow when rounded up to the alignment.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8;
}

/// What a contender is to the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// One of blockyard's handles.
    Ours,
    /// Another allocator.
    Peer,
    /// The physical limit: what no general allocator can beat.
    Limit,
}

/// Which rows a contender can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every row.
    Anywhere,
    /// Rows whose threads make a handle when they start and keep it; not work that hops between threads.
    OwnThread,
    /// Rows with blocks of one size that never leave their thread.
    OneSize,
}

/// What a row will ask of a `ThreadAlloc`; only a contender of [`Reach::OneSize`] looks at it.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    /// Bytes per block.
    pub(crate) size: usize,
    /// Blocks live at once, at most.
    pub(crate) blocks: usize,
}

impl Need {
    /// Blocks of any size, any number of them.
    pub(crate) const ANY: Self = Self { size: 0, blocks: 0 };
}

/// An allocator that takes part. There is one instance of each in a process, made by [`Field`].
pub(crate) trait Contender: Sync + Sized + 'static {
    /// What a thread allocates with.
    type Local: ThreadAlloc;

    /// The name on the command line and in the tables.
    const NAME: &'static str;
    const ROLE: Role;
    const REACH: Reach = Reach::Anywhere;
    /// Whether [`collect`](Self::collect) does anything.
    const COLLECTS: bool = false;

    /// Sets the allocator up, on the main thread.
    fn start() -> Self;

    /// Called on every thread that the suite starts, before anything is allocated there.
    fn thread_start(&'static self) {}

    /// Called on every thread that the suite started, after its last call.
    fn thread_end(&'static self) {}

    /// The calling thread's way to allocate.
    fn local(&'static self, need: Need) -> Self::Local;

    /// Gives back to the system what can be given back now.
    fn collect(&'static self) {}

    /// `count` more heaps with a block each, all released when the value is dropped; `None` where the
    /// allocator has no such thing.
    fn spare_heaps(&'static self, count: usize) -> Option<Box<dyn Any>> {
        let _ = count;
        None
    }
}

/// Keeps the calling thread attached to a contender: the explicit thread hooks, as a guard.
pub(crate) struct Attached<C: Contender>(&'static C);

impl<C: Contender> Attached<C> {
    pub(crate) fn new(contender: &'static C) -> Self {
        contender.thread_start();
        Self(contender)
    }
}

impl<C: Contender> Drop for Attached<C> {
    fn drop(&mut self) {
        self.0.thread_end();
    }
}

/// A stateless `GlobalAlloc` as a thread's way to allocate.
pub(crate) struct Stateless<G>(pub(crate) G);

// SAFETY: forwards to a `GlobalAlloc`, whose contract is the same.
unsafe impl<G: GlobalAlloc> ThreadAlloc for Stateless<G> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.alloc(layout) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.dealloc(block, layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.realloc(block, layout, new_size) }
    }
}
