//! rpmalloc, with explicit thread hooks.
//!
//! The `rpmalloc` crate builds its C library in preload form, which replaces `pthread_create` for the
//! whole process and so would put rpmalloc's hooks on every other contender's threads. Hence
//! `rpmalloc-sys` alone, and the hooks called by hand.

use std::alloc::{GlobalAlloc, Layout};

use rpmalloc_sys as ffi;

use super::{Contender, Need, Role, Stateless};

/// Alignment of every rpmalloc block; above it the aligned entry points are needed.
const NATURAL_ALIGN: usize = 16;

pub(crate) struct Rpmalloc;

impl Contender for Rpmalloc {
    type Local = Stateless<Entry>;

    const NAME: &'static str = "rpmalloc";
    const ROLE: Role = Role::Peer;
    const COLLECTS: bool = true;

    fn start() -> Self {
        // SAFETY: called once, on the main thread, before any other call; it attaches that thread too.
        let failed = unsafe { ffi::rpmalloc_initialize() };
        assert_eq!(failed, 0, "rpmalloc did not initialise");
        Self
    }

    fn thread_start(&'static self) {
        // SAFETY: rpmalloc is initialised: `self` exists.
        unsafe { ffi::rpmalloc_thread_initialize() };
    }

    fn thread_end(&'static self) {
        // SAFETY: this thread was attached by `thread_start` and makes no more calls.
        unsafe { ffi::rpmalloc_thread_finalize() };
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(Entry)
    }

    fn collect(&'static self) {
        // SAFETY: the calling thread is attached.
        unsafe { ffi::rpmalloc_thread_collect() };
    }
}

/// The C entry points as a `GlobalAlloc`; only for threads that are attached.
pub(crate) struct Entry;

// SAFETY: rpmalloc returns null or a block of at least the size asked for, aligned to `NATURAL_ALIGN` or
// to what the aligned entry points were given; the suite calls it on attached threads only.
unsafe impl GlobalAlloc for Entry {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: an attached thread; the alignment is a power of two.
        unsafe {
            if layout.align() <= NATURAL_ALIGN {
                ffi::rpmalloc(layout.size()).cast()
            } else {
                ffi::rpaligned_alloc(layout.align(), layout.size()).cast()
            }
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller passes a live block of rpmalloc.
        unsafe { ffi::rpfree(block.cast()) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: an attached thread; the alignment is a power of two.
        unsafe {
            if layout.align() <= NATURAL_ALIGN {
                ffi::rpcalloc(1, layout.size()).cast()
            } else {
                ffi::rpaligned_calloc(layout.align(), 1, layout.size()).cast()
            }
        }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller passes a live block of rpmalloc with its layout.
        unsafe {
            if layout.align() <= NATURAL_ALIGN {
                ffi::rprealloc(block.cast(), new_size).cast()
            } else {
                let (align, size) = (layout.align(), layout.size());
                ffi::rpaligned_realloc(block.cast(), align, new_size, size, 0).cast()
            }
        }
    }
}
