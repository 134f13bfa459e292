//! The program's allocator of these tests: it overwrites what is freed, and refuses on demand.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

pub(crate) struct Hostile;

thread_local! {
    /// Allocations of this thread that are served before all others are refused.
    static SERVED: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Runs `work`, in which this thread's allocations are refused after the first `served`.
pub(crate) fn refuse_after<R>(served: usize, work: impl FnOnce() -> R) -> R {
    SERVED.set(served);
    let result = work();
    SERVED.set(usize::MAX);
    result
}

fn refuses() -> bool {
    let served = SERVED.get();
    if served != usize::MAX {
        SERVED.set(served.saturating_sub(1));
    }
    served == 0
}

// SAFETY: blocks are `System`'s, or none; they are overwritten when nobody owns them any more.
unsafe impl GlobalAlloc for Hostile {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        if refuses() { ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on; the caller gives the block up.
        unsafe {
            block.write_bytes(0xdd, layout.size());
            System.dealloc(block, layout);
        }
    }
}
