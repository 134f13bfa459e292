//! A child that knows its blocks: what it is asked to free must be one, with its layout.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use blockyard::allocator_api2::alloc::{AllocError, Allocator};

#[derive(Default)]
pub(super) struct Strict {
    live: Mutex<HashMap<usize, Layout>>,
    /// Bytes that may be live at once; 0 is no bound.
    limit: usize,
}

impl Strict {
    pub(super) fn with_limit(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<usize, Layout>> {
        self.live.lock().expect("checks hold")
    }

    pub(super) fn blocks(&self) -> usize {
        self.live().len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.live().values().map(Layout::size).sum()
    }
}

// SAFETY: `System`'s blocks.
unsafe impl Allocator for &Strict {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        assert_ne!(layout.size(), 0);
        if self.limit != 0 && self.bytes() + layout.size() > self.limit {
            return Err(AllocError);
        }
        // SAFETY: not empty.
        let block = NonNull::new(unsafe { System.alloc(layout) }).ok_or(AllocError)?;
        assert_eq!(self.live().insert(block.addr().get(), layout), None);
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        assert_eq!(self.live().remove(&block.addr().get()), Some(layout));
        // SAFETY: it was live, with this layout.
        unsafe { System.dealloc(block.as_ptr(), layout) };
    }
}
