//! Who is measured, behind one trait, so that each benchmark is written once and monomorphised.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::{AllocError, Allocator};
use blockyard::{Global, Heap};

/// Memory shared by threads, and what a thread allocates from it with.
pub(crate) trait Contender: Sync {
    const NAME: &'static str;
    type Handle<'a>: Allocator
    where
        Self: 'a;
    /// A handle for the calling thread.
    fn handle(&self) -> Self::Handle<'_>;
}

/// [`Global`], called directly: the program's own allocator stays the system's.
pub(crate) struct Ambient;

impl Contender for Ambient {
    const NAME: &'static str = "global";
    type Handle<'a> = Global;
    fn handle(&self) -> Global {
        Global
    }
}

/// A [`Heap`] through `&Heap`.
pub(crate) struct Shared(pub(crate) Heap);

impl Contender for Shared {
    const NAME: &'static str = "heap";
    type Handle<'a> = &'a Heap;
    fn handle(&self) -> &Heap {
        &self.0
    }
}

/// A [`Heap`] through each thread's own handle.
pub(crate) struct Local(pub(crate) Heap);

impl Contender for Local {
    const NAME: &'static str = "local";
    type Handle<'a> = blockyard::LocalHeap<'a>;
    fn handle(&self) -> blockyard::LocalHeap<'_> {
        self.0.local()
    }
}

/// The allocator of the C library, as `std` calls it.
#[derive(Clone, Copy)]
pub(crate) struct System;

impl Contender for System {
    const NAME: &'static str = "system";
    type Handle<'a> = Self;
    fn handle(&self) -> Self {
        Self
    }
}

/// What `std::alloc::System` returned, as the trait wants it.
fn found(block: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    let block = NonNull::new(block).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(block, layout.size()))
}

// SAFETY: every call goes to `std::alloc::System`, which keeps the contract for layouts above zero
// bytes; no benchmark asks for an empty one.
unsafe impl Allocator for System {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the layout is not empty.
        found(unsafe { std::alloc::System.alloc(layout) }, layout)
    }
    #[inline(always)]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the layout is not empty.
        found(unsafe { std::alloc::System.alloc_zeroed(layout) }, layout)
    }
    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { std::alloc::System.dealloc(block.as_ptr(), layout) }
    }
    #[inline(always)]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: passed on; no benchmark changes the alignment.
        found(unsafe { std::alloc::System.realloc(block.as_ptr(), old, new.size()) }, new)
    }
    #[inline(always)]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: passed on; no benchmark changes the alignment.
        found(unsafe { std::alloc::System.realloc(block.as_ptr(), old, new.size()) }, new)
    }
}

/// Bytes aligned like a pointer, as most Rust types are. `size` is a multiple of 8.
pub(crate) const fn layout(size: usize) -> Layout {
    match Layout::from_size_align(size, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("a size without a layout"),
    }
}

/// A block; a benchmark that gets none ends.
#[inline(always)]
pub(crate) fn allocate(allocator: &impl Allocator, layout: Layout) -> NonNull<u8> {
    match allocator.allocate(layout) {
        Ok(block) => block.cast(),
        Err(AllocError) => std::alloc::handle_alloc_error(layout),
    }
}

/// Calls a generic function for every contender, each with memory of its own.
macro_rules! each_contender {
    ($call:ident($($argument:expr),*)) => {{
        use crate::contender::{Ambient, Local, Shared, System};
        $call(&Ambient, $($argument),*);
        $call(&Shared(blockyard::Heap::new()), $($argument),*);
        $call(&Local(blockyard::Heap::new()), $($argument),*);
        $call(&System, $($argument),*);
    }};
}
pub(crate) use each_contender;
