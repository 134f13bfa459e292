//! The slow path: where blocks come from when the block cache has none.

use core::alloc::Layout;
use core::ptr;

use super::LocalCore;
use crate::config::{CARVE_BYTES, MISSES_PER_LOOK, PAGE_SIZE};
use crate::heap::sign_off;
use crate::raw::chunk::Chunk;
use crate::raw::free_list::Block;
use crate::raw::segment::Segment;
use crate::size_class::block_size;

/// Blocks at least this large that are asked for zeroed are taken one by one from memory that is
/// fresh from the system, rather than carved in batches: below it clearing a block costs less than
/// a visit to the slow path.
const ZEROED_ONE_BY_ONE: usize = 1024;

/// Bytes of blocks that go round where a program frees each block before it allocates the next: two pages, so
/// that every visit to the slow path serves twice as many, and they stay in the first cache.
const CYCLE_BYTES: usize = 2 * CARVE_BYTES;
/// Two blocks go round in any case if they are no more than this, half the first cache: one alone would come
/// by the slow path each time.
const CYCLE_BYTES_OF_TWO: usize = 4 * CARVE_BYTES;

/// Every method here asks the same of its caller: (I7) to hold this local heap's record.
impl LocalCore {
    /// A block of `class` when the fast path found none; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn alloc_slow(&self, class: usize, layout: Layout) -> *mut u8 {
        // SAFETY: (I7) passed on.
        unsafe {
            match self.hardened() {
                None => self.alloc_missed(class, layout.size()),
                Some(hardened) => self.alloc_hardened(hardened, class, layout),
            }
        }
    }

    /// A block of `class` of a heap that is not hardened; null when out of memory.
    // This and `alloc_none_linked` only choose who goes on, and save no registers for it.
    #[inline(never)]
    unsafe fn alloc_missed(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on.
        unsafe {
            match self.count_miss() {
                true => self.alloc_after_look(class, size),
                false => self.alloc_none_linked(class, size),
            }
        }
    }

    /// `alloc_missed` when the purge clock is to be looked at.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_after_look(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on.
        unsafe {
            self.look_at_clock();
            // A look calls sources, which may free and allocate here.
            if self.blocks.is_empty(class) {
                self.alloc_none_linked(class, size)
            } else {
                self.blocks.alloc(class, size)
            }
        }
    }

    /// A block of `class`, of which the block cache has none; null when out of memory.
    #[inline(always)]
    unsafe fn alloc_none_linked(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on; (I4) the current chunk is ours, or the empty one.
        unsafe {
            match (*self.current[class].get()).recent.is_empty() {
                true => self.alloc_slower(class, size),
                false => self.alloc_back(class, size),
            }
        }
    }

    /// A block of `class` where some came back to the current chunk; null when out of memory.
    #[inline(never)]
    unsafe fn alloc_back(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on; (I4) the current chunk is ours.
        unsafe {
            let current = &*self.current[class].get();
            // (Not by `carve_count`: it divides.)
            let carved = current.carved.get() as usize;
            let bytes = carved * current.block_size();
            let cycle = CYCLE_BYTES.max((2 * current.block_size()).min(CYCLE_BYTES_OF_TWO));
            if carved > 1 && bytes > cycle && current.outstanding() == 0 {
                // Its blocks are linked as the program freed them. Carved anew they come in order, a
                // page at a time, and a page stays in the first cache.
                current.recent.clear();
                current.carved.set(0);
                current.fresh.set(false);
            } else if bytes < cycle && carved < current.capacity.get() as usize {
                // Else the same page would go round again, with a visit here each time.
                self.carve(class);
                return self.blocks.alloc(class, size);
            }
            if self.refresh(class) { self.blocks.alloc(class, size) } else { self.alloc_slower(class, size) }
        }
    }

    /// Whether the purge clock is to be looked at by now.
    #[inline(always)]
    pub(super) fn count_miss(&self) -> bool {
        let left = self.until_look.get();
        self.until_look.set(left.saturating_sub(1));
        left == 0
    }

    /// What a thread does once per tick of the purge clock: nothing that is free for a tick stays here.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn look_at_clock(&self) {
        self.until_look.set(MISSES_PER_LOOK);
        let tick = self.heap().visit_if_due();
        if self.seen_tick.replace(tick) != tick {
            // SAFETY: (I7) passed on.
            unsafe { self.retire() };
        }
    }

    /// A block of `class` when none came back to the current chunk; null when out of memory.
    #[inline(never)]
    unsafe fn alloc_slower(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on.
        unsafe {
            if (*self.record).is_nudged() || self.has_mail() {
                return self.alloc_after_mail(class, size);
            }
            self.alloc_refilled(class, size)
        }
    }

    /// `alloc_slower` when others have something for this thread.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_after_mail(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on.
        unsafe {
            if (*self.record).is_nudged() {
                sign_off(self.record);
            }
            self.take_home();
            if self.refresh(class) {
                self.blocks.alloc(class, size)
            } else {
                self.alloc_refilled(class, size)
            }
        }
    }

    /// A block of `class` of another page or chunk; null when out of memory.
    #[inline(never)]
    unsafe fn alloc_refilled(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on; `refill` leaves a current chunk with a linked block.
        unsafe {
            let mut relieved = false;
            while !self.refill(class) {
                if relieved {
                    return ptr::null_mut();
                }
                self.relieve();
                relieved = true;
            }
            self.blocks.alloc(class, size)
        }
    }

    /// A block of `class` whose first `size` bytes are zero; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn alloc_zeroed(&self, class: usize, layout: Layout) -> *mut u8 {
        let size = layout.size();
        // SAFETY: (I7) passed on; what is not carved of a fresh chunk is zero and nobody's.
        unsafe {
            if block_size(class) >= ZEROED_ONE_BY_ONE
                && let Some(block) = self.take_fresh(class, size)
            {
                return block;
            }
            let mut block = self.blocks.alloc(class, size);
            if block.is_null() {
                block = self.alloc_slow(class, layout);
            }
            if !block.is_null() {
                block.write_bytes(0, size);
            }
            block
        }
    }

    /// The next block that was never carved, if the current chunk's memory is fresh.
    unsafe fn take_fresh(&self, class: usize, size: usize) -> Option<*mut u8> {
        if self.hardened().is_some() {
            return None;
        }
        // SAFETY: (I4) the chunk is ours or the empty one, whose capacity is 0.
        unsafe {
            self.take_home();
            if self.refresh(class) {
                return None;
            }
            let current = &*self.current[class].get();
            if current.carved.get() == current.capacity.get() && self.available[class].is_empty() {
                self.replace_current(class)?;
            }
            let chunk = &*self.current[class].get();
            let carved = chunk.carved.get();
            if !chunk.fresh.get() || carved == chunk.capacity.get() || !self.blocks.is_empty(class) {
                return None;
            }
            self.moving(|| {
                chunk.carved.set(carved + 1);
                chunk.hand_over(1);
                self.blocks.classes[class].taken.count(size);
            });
            self.note_touched(chunk);
            Some(Segment::chunk_start(chunk).add(carved as usize * chunk.block_size()))
        }
    }

    /// Makes the current chunk of `class` one with a linked block.
    #[inline(always)]
    unsafe fn refill(&self, class: usize) -> bool {
        // Blocks that are free already come before memory that was never touched.
        // SAFETY: (I4) listed and current chunks are ours.
        unsafe {
            let current = &*self.current[class].get();
            if current.carved.get() == 0 && current.capacity.get() != 0 {
                // New, and only looked at for zeroed memory so far.
                self.carve(class);
            } else if current.countdown.left() > 0
                && self.blocks.is_empty(class)
                && let Some(next) = self.available[class].pop_front()
            {
                self.rotate(class, next);
            } else if !self.available[class].is_empty() {
                self.leave_current(class);
                // To leave one can mean to give it up, and so to call a source, which may free blocks.
                match self.available[class].pop_front() {
                    Some(next) => self.make_current(class, next),
                    None if self.replace_current(class).is_none() => return false,
                    None => {}
                }
            } else if current.carved.get() == current.capacity.get() && self.replace_current(class).is_none()
            {
                return false;
            }
            if !self.refresh(class) {
                self.carve(class);
            }
            true
        }
    }

    /// Makes sure that the block cache has blocks of `class`, if any came back to the current chunk.
    /// Returns whether it has.
    #[inline(always)]
    unsafe fn refresh(&self, class: usize) -> bool {
        if !self.blocks.is_empty(class) {
            return true;
        }
        // SAFETY: (I4) ours, or the empty one.
        let chunk = unsafe { &*self.current[class].get() };
        let cache = &self.blocks.classes[class];
        if cache.taken.is_enough() {
            self.settle_taken(class);
        }
        if chunk.countdown.is_enough() {
            self.settle(chunk);
        }
        if chunk.recent.is_empty() {
            return false;
        }
        self.moving(|| {
            cache.free.take_over(&chunk.recent);
            // What is left of a current chunk's countdown is what is outstanding.
            chunk.hand_over(chunk.carved.get() - chunk.countdown.left() as u32);
        });
        true
    }

    /// Moves what the block cache counted to totals that have no bounds.
    #[cold]
    pub(super) fn settle_taken(&self, class: usize) {
        let (totals, taken) = (&self.totals[class], &self.blocks.classes[class].taken);
        self.moving(|| {
            let (blocks, bytes) = taken.get();
            totals.allocated.add(blocks);
            totals.requested.add(bytes);
            taken.clear();
        });
    }

    /// Moves what came back to a chunk to totals that have no bounds.
    #[cold]
    pub(super) fn settle(&self, chunk: &Chunk) {
        let totals = &self.totals[chunk.class()];
        self.moving(|| {
            let came_back = chunk.came_back();
            totals.freed.add(came_back);
            totals.released.add(chunk.countdown.bytes());
            chunk.handed.set(chunk.handed.get() - came_back);
            chunk.countdown.clear_bytes();
        });
    }

    /// Links the next page of blocks of the current chunk that were never used.
    unsafe fn carve(&self, class: usize) {
        // SAFETY: (I4) ours: the caller made sure that it has blocks to carve.
        let chunk = unsafe { &*self.current[class].get() };
        let size = chunk.block_size();
        let carved = chunk.carved.get();
        let count = carve_count(size).min(chunk.capacity.get() - carved);
        debug_assert!(count > 0 && self.blocks.is_empty(class));
        // SAFETY: (I3) blocks from `carved` to `capacity` lie in the chunk and are nobody's.
        unsafe {
            let first = Segment::chunk_start(chunk).add(carved as usize * size);
            let mut block = first;
            for _ in 1..count {
                let next = block.add(size);
                Block::set_next(block.cast(), next.cast());
                block = next;
            }
            self.blocks.classes[class].free.splice(first.cast(), block.cast());
        }
        self.moving(|| {
            chunk.carved.set(carved + count);
            chunk.hand_over(count);
        });
        self.note_touched(chunk);
    }

    /// Notes how much of a chunk has memory behind it after more of it was carved.
    pub(super) fn note_touched(&self, chunk: &Chunk) {
        let bytes = chunk.carved.get() as usize * chunk.block_size();
        let pages = bytes.div_ceil(PAGE_SIZE).min(u8::MAX as usize) as u8;
        if pages > chunk.touched.get() {
            let was_thin = chunk.is_thin();
            chunk.touched.set(pages);
            if was_thin && !chunk.is_thin() && !self.heap().heavy.has(chunk.class()) {
                self.heap().heavy.add(chunk.class());
            }
        }
    }

    /// Runs `f`, which moves counts about; readers of statistics try again meanwhile.
    pub(super) fn moving(&self, f: impl FnOnce()) {
        use core::sync::atomic::{Ordering, fence};
        let version = self.version.get();
        if version % 2 == 1 {
            // Part of a larger move.
            return f();
        }
        self.version.set(version + 1);
        // ORDER: Release fences around the moves, pairing with the Acquire fences of the reader in
        // `HeapCore::snapshot`: a reader that sees any moved count sees the odd version, and one
        // that sees the even version after sees all moves.
        fence(Ordering::Release);
        f();
        fence(Ordering::Release);
        self.version.set(version + 2);
    }
}

/// Blocks of `size` bytes that are carved at a time.
fn carve_count(size: usize) -> u32 {
    (CARVE_BYTES / size.max(1)).max(1) as u32
}
