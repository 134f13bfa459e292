//! Where the books are kept: never in what is being debugged.

use core::alloc::{GlobalAlloc, Layout};
use core::num::NonZero;
use core::ptr::NonNull;
use std::alloc::System;

use crate::allocator_api2::alloc::{AllocError, Allocator};

/// The C library's allocator, so that a [`Debug`](super::Debug) installed as `#[global_allocator]` never
/// calls itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Private;

// SAFETY: blocks are the C library's, which fit their layouts and are nobody else's; all values are equal.
unsafe impl Allocator for Private {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = match layout.size() {
            0 => NonZero::new(layout.align()).map(NonNull::without_provenance),
            // SAFETY: not empty.
            _ => NonNull::new(unsafe { System.alloc(layout) }),
        };
        Ok(NonNull::slice_from_raw_parts(block.ok_or(AllocError)?, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: passed on; from `System`, since it is not empty.
            unsafe { System.dealloc(block.as_ptr(), layout) }
        }
    }
}
