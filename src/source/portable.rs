//! Segments from any `GlobalAlloc`.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use super::Source;

/// A [`Source`] over any [`GlobalAlloc`]: a heap within another allocator, on every system that
/// Rust's standard library runs on.
///
/// Nothing is purged (a `GlobalAlloc` has no such call); segments go back whole.
///
/// # Examples
///
/// ```
/// use blockyard::{Heap, source::FromAlloc};
///
/// let heap = Heap::builder().source(FromAlloc(std::alloc::System)).build()?;
/// let mut numbers = blockyard::allocator_api2::vec::Vec::new_in(&heap);
/// numbers.push(7);
/// # Ok::<(), blockyard::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct FromAlloc<A>(pub A);

// SAFETY: `GlobalAlloc` promises memory at the layout's alignment that stays until it is freed.
unsafe impl<A: GlobalAlloc + Send + Sync> Source for FromAlloc<A> {
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(size, align).ok()?;
        // SAFETY: the heap never asks for zero bytes.
        NonNull::new(unsafe { self.0.alloc(layout) })
    }

    unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
        // SAFETY: the layout was valid when `reserve` was given the same numbers, and the caller
        // passes each reservation once.
        unsafe { self.0.dealloc(start.as_ptr(), Layout::from_size_align_unchecked(size, align)) }
    }
}

/// The default [`Source`] where there are no mapping calls, or an interpreter that knows only some of them: the
/// system's own allocator.
///
/// # Examples
///
/// ```
/// use blockyard::source::{Source, System};
///
/// let start = System.reserve(4 << 20, 4 << 20).expect("4 MiB of memory");
/// // SAFETY: just reserved, not used.
/// unsafe { System.release(start, 4 << 20, 4 << 20) };
/// ```
#[cfg(any(not(unix), miri))]
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

// SAFETY: passed on.
#[cfg(any(not(unix), miri))]
unsafe impl Source for System {
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        FromAlloc(std::alloc::System).reserve(size, align)
    }

    unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
        // SAFETY: passed on.
        unsafe { FromAlloc(std::alloc::System).release(start, size, align) }
    }
}
