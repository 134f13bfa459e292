//! An allocator that is watched: what lives in it, and whether it lives itself.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use blockyard::Global;
use blockyard::allocator_api2::alloc::{AllocError, Allocator};
use blockyard::context::{self, Ambient};

/// What watches: clones watch the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracked(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Blocks and bytes.
    blocks: AtomicIsize,
    bytes: AtomicIsize,
    allocators: AtomicIsize,
}

/// What is watched.
#[derive(Debug)]
pub(super) struct Counted {
    counts: Arc<Counts>,
    panics: bool,
}

impl Tracked {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// An allocator that is watched.
    pub(super) fn ambient(&self) -> Ambient {
        self.counted(false)
    }

    /// The same, which panics when it is dropped.
    pub(super) fn ambient_that_panics(&self) -> Ambient {
        self.counted(true)
    }

    fn counted(&self, panics: bool) -> Ambient {
        self.0.allocators.fetch_add(1, Ordering::Relaxed);
        Ambient::new(Counted { counts: self.0.clone(), panics })
    }

    /// Blocks that live.
    pub(super) fn live(&self) -> isize {
        self.0.blocks.load(Ordering::Relaxed)
    }

    /// Allocators that live.
    pub(super) fn allocators(&self) -> isize {
        self.0.allocators.load(Ordering::Relaxed)
    }

    /// Everything was freed, and the allocators are gone.
    pub(super) fn is_unused(&self) -> bool {
        (self.live(), self.0.bytes.load(Ordering::Relaxed), self.allocators()) == (0, 0, 0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // What a careless destructor may do.
        context::with_arena(|| drop(context::current()));
        drop(context::install(Global));
        context::free_temp();
        self.counts.allocators.fetch_sub(1, Ordering::Relaxed);
        if self.panics && !std::thread::panicking() {
            panic!("on purpose");
        }
    }
}

// SAFETY: blocks are `Global`'s.
unsafe impl Allocator for Counted {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = Global.allocate(layout)?;
        self.counts.blocks.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(layout.size() as isize, Ordering::Relaxed);
        Ok(block)
    }
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.counts.blocks.fetch_sub(1, Ordering::Relaxed);
        self.counts.bytes.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { Global.deallocate(block, layout) }
    }
}
