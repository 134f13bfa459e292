//! What every pool is made of: a heap, and the count of the blocks that are out.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use super::PoolError;
use crate::heap::Heap;

/// Bytes between touches that make memory resident: the smallest page there is.
const TOUCH_EVERY: usize = 4096;

#[derive(Debug)]
pub(super) struct Slots {
    /// Reached through pools only, so that all its blocks have one layout and are counted.
    heap: Heap,
    /// Blocks at most; `usize::MAX` is no bound, and then `live` is not kept.
    capacity: usize,
    live: CachePadded<AtomicUsize>,
}

impl Slots {
    pub(super) fn new(heap: Heap, capacity: usize) -> Self {
        Self { heap, capacity, live: CachePadded::new(AtomicUsize::new(0)) }
    }

    #[inline(always)]
    pub(super) fn heap(&self) -> &Heap {
        &self.heap
    }

    #[inline(always)]
    fn is_bounded(&self) -> bool {
        self.capacity != usize::MAX
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.is_bounded().then_some(self.capacity)
    }

    pub(super) fn live(&self) -> usize {
        if self.is_bounded() {
            self.live.load(Ordering::Relaxed)
        } else {
            usize::try_from(self.heap.stats().blocks.live()).unwrap_or(usize::MAX)
        }
    }

    /// The block that `alloc` finds in this heap, if the capacity allows one more.
    #[inline(always)]
    pub(super) fn take(&self, alloc: impl FnOnce(&Heap) -> *mut u8) -> Result<NonNull<u8>, PoolError> {
        if self.is_bounded() && !self.count_in() {
            return Err(PoolError::full(self.heap.name(), self.capacity));
        }
        match NonNull::new(alloc(&self.heap)) {
            Some(block) => Ok(block),
            None => {
                self.count_out();
                Err(PoolError::out_of_memory(self.heap.name()))
            }
        }
    }

    /// Takes back the block that `free` frees: one of this heap that [`take`](Self::take) gave.
    #[inline(always)]
    pub(super) fn give(&self, free: impl FnOnce(&Heap)) {
        free(&self.heap);
        // After the block is free, so that never more than `capacity` are taken.
        self.count_out();
    }

    // ORDER: Relaxed here and below: the count publishes nothing but itself.
    fn count_in(&self) -> bool {
        let more = |live| (live < self.capacity).then_some(live + 1);
        self.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    #[inline(always)]
    fn count_out(&self) {
        if self.is_bounded() {
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Makes `count` blocks of `layout` resident and free, for whichever thread comes first. False when there
    /// is no memory for them.
    pub(super) fn preheat(&self, layout: Layout, count: usize) -> bool {
        let mut blocks = Vec::new();
        if blocks.try_reserve_exact(count).is_err() {
            return false;
        }
        blocks.extend((0..count).map_while(|_| NonNull::new(self.heap.alloc(layout))));
        let complete = blocks.len() == count;
        for block in blocks {
            // SAFETY: (I1) just allocated for this layout, written within its size, and given up.
            unsafe {
                for offset in (0..layout.size()).step_by(TOUCH_EVERY) {
                    block.add(offset).write(0);
                }
                self.heap.dealloc(block.as_ptr(), layout);
            }
        }
        // What this thread holds goes to the heap's pool of free chunks, where every thread finds it.
        // SAFETY: (I7) this thread's own local heap, or a leased one.
        self.heap.core().with_local(|local| unsafe { local.retire() });
        complete
    }

    pub(super) fn debug(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name)
            .field("name", &self.heap.name())
            .field("capacity", &self.capacity())
            .field("live", &self.live())
            .finish_non_exhaustive()
    }
}
