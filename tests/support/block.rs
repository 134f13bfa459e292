//! A block with known contents.

use std::alloc::Layout;
use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::Allocator;

use super::pattern;

/// A live block, filled to its last byte. Every operation verifies what is in it.
#[derive(Debug)]
pub(crate) struct Block {
    start: NonNull<u8>,
    layout: Layout,
    seed: u64,
}

// SAFETY: a block is the sole right to its bytes, and blocks of the allocators under test may be
// used and freed on any thread.
unsafe impl Send for Block {}

impl Block {
    /// `None` when `allocator` refuses.
    #[track_caller]
    pub(crate) fn new(allocator: &impl Allocator, layout: Layout, zeroed: bool, seed: u64) -> Option<Self> {
        let made = if zeroed { allocator.allocate_zeroed(layout) } else { allocator.allocate(layout) };
        let made = made.ok()?;
        assert!(made.len() >= layout.size());
        let mut block = Self { start: made.cast(), layout, seed };
        assert_eq!(block.address() % layout.align(), 0, "{layout:?} at {:#x}", block.address());
        if zeroed {
            pattern::verify_zero(block.bytes());
        }
        pattern::fill(block.bytes_mut(), seed);
        Some(block)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
    pub(crate) fn address(&self) -> usize {
        self.start.addr().get()
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the block is live, as long as its layout says, and initialised by `new`.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.layout.size()).as_ref() }
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; the block is ours alone.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.layout.size()).as_mut() }
    }

    #[track_caller]
    pub(crate) fn verify(&self) {
        pattern::verify(self.bytes(), self.seed);
    }

    /// Grows or shrinks to `new`, keeping the contents. False when `allocator` refuses; then
    /// nothing has changed.
    ///
    /// # Safety
    /// The block is of `allocator`.
    #[track_caller]
    pub(crate) unsafe fn resize(&mut self, allocator: &impl Allocator, new: Layout, zeroed: bool) -> bool {
        self.verify();
        let (start, old) = (self.start, self.layout);
        // SAFETY: passed on; the sizes are in the order that each call wants.
        let resized = unsafe {
            if new.size() < old.size() {
                allocator.shrink(start, old, new)
            } else if zeroed {
                allocator.grow_zeroed(start, old, new)
            } else {
                allocator.grow(start, old, new)
            }
        };
        let Ok(resized) = resized else {
            self.verify();
            return false;
        };
        assert!(resized.len() >= new.size());
        (self.start, self.layout) = (resized.cast(), new);
        assert_eq!(self.address() % new.align(), 0, "{old:?} to {new:?} at {:#x}", self.address());
        let kept = old.size().min(new.size());
        pattern::verify(&self.bytes()[..kept], self.seed);
        if zeroed && new.size() >= old.size() {
            pattern::verify_zero(&self.bytes()[kept..]);
        }
        let seed = self.seed;
        pattern::fill(self.bytes_mut(), seed);
        true
    }

    /// # Safety
    /// The block is of `allocator`.
    #[track_caller]
    pub(crate) unsafe fn free(self, allocator: &impl Allocator) {
        self.verify();
        // SAFETY: passed on; the block is ours and gone afterwards.
        unsafe { allocator.deallocate(self.start, self.layout) };
    }

    /// Frees the block by its address alone. Returns by how many bytes it was larger than asked for.
    ///
    /// # Safety
    /// The block is of `heap`.
    #[track_caller]
    pub(crate) unsafe fn free_unsized(self, heap: &blockyard::Heap) -> usize {
        self.verify();
        if self.layout.size() == 0 {
            return 0;
        }
        // SAFETY: passed on; the block has bytes, is ours and gone afterwards.
        unsafe {
            let slack = heap.usable_size(self.start) - self.layout.size();
            heap.free(self.start);
            slack
        }
    }
}
