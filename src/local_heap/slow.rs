//! The slow path: where blocks come from when the current chunk has none, and where chunks go.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::Ordering;

use super::LocalCore;
use super::hardened::tagged;
use crate::config::{CARVE_BYTES, CHUNK_SIZE, DENSE_AFTER, MISSES_PER_LOOK, PAGE_SIZE};
use crate::heap::{Purpose, sign_off};
use crate::raw::chunk::{Chunk, EMPTY, State};
use crate::raw::free_list::Block;
use crate::raw::segment::Segment;
use crate::size_class::{block_size, span_of};

/// Blocks at least this large that are asked for zeroed are taken one by one from memory that is
/// fresh from the system, rather than carved in batches: below it clearing a block costs less than
/// a visit to the slow path.
const ZEROED_ONE_BY_ONE: usize = 1024;

/// A full chunk is looked at again when one block in so many is free, [`REOPEN_MAX`] at most. At the
/// first free block it would be taken up for one allocation, and be full again: two visits to the
/// slow path for every pair in a program that replaces blocks at random.
pub(super) const REOPEN: u32 = 16;
/// See [`REOPEN`].
pub(super) const REOPEN_MAX: u32 = 32;

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
    #[inline(never)]
    unsafe fn alloc_missed(&self, class: usize, size: usize) -> *mut u8 {
        // SAFETY: (I7) passed on; (I4) the current chunk is ours, or the empty one.
        unsafe {
            // A look calls sources, which may free and allocate here.
            if self.count_miss() && !self.blocks.is_empty(class) {
                return self.blocks.alloc(class, size);
            }
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
            } else if bytes < cycle && !current.recent.is_empty() && carved < current.capacity.get() as usize
            {
                // Else the same page would go round again, with a visit here each time.
                self.carve(class);
                return self.blocks.alloc(class, size);
            }
            if self.refresh(class) { self.blocks.alloc(class, size) } else { self.alloc_slower(class, size) }
        }
    }

    /// Looks at the purge clock once in a while; returns whether it did.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[inline(always)]
    pub(super) unsafe fn count_miss(&self) -> bool {
        let left = self.until_look.get();
        if left == 0 {
            // SAFETY: (I7) passed on.
            unsafe { self.look_at_clock() };
            return true;
        }
        self.until_look.set(left - 1);
        false
    }

    /// What a thread does once per tick of the purge clock: nothing that is free for a tick stays here.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    #[inline(never)]
    unsafe fn look_at_clock(&self) {
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
        // SAFETY: (I7) passed on; `refill` leaves a current chunk with a linked block.
        unsafe {
            if (*self.record).is_nudged() {
                sign_off(self.record);
            }
            self.take_home();
            if !self.refresh(class) && !self.refill(class) {
                self.relieve();
                if !self.refill(class) {
                    return ptr::null_mut();
                }
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
    unsafe fn refill(&self, class: usize) -> bool {
        // Blocks that are free already come before memory that was never touched.
        // SAFETY: (I4) listed and current chunks are ours.
        unsafe {
            let current = &*self.current[class].get();
            if current.carved.get() == 0 && current.capacity.get() != 0 {
                // New, and only looked at for zeroed memory so far.
                self.carve(class);
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

    /// Replaces the current chunk, which is used up, by an empty one.
    pub(super) unsafe fn replace_current(&self, class: usize) -> Option<()> {
        // SAFETY: (I4) the new chunk is handed to us by the cache or the pool.
        unsafe {
            let chunk = self.new_chunk(class)?;
            self.leave_current(class);
            self.make_current(class, chunk);
        }
        Some(())
    }

    /// Ends the current chunk's time as such.
    pub(super) unsafe fn leave_current(&self, class: usize) {
        // SAFETY: (I7) passed on.
        unsafe { self.put_back(class) };
        let current = self.current[class].replace(EMPTY.as_ptr());
        if current == EMPTY.as_ptr() {
            return;
        }
        // SAFETY: (I4) ours.
        let chunk = unsafe { &*current };
        let full = self.is_as_good_as_full(chunk);
        self.moving(|| {
            chunk.countdown.lower(1);
            chunk.set_state(State::Available);
            if full {
                let reopen = (chunk.capacity.get() / REOPEN).clamp(1, REOPEN_MAX);
                chunk.withheld.set(u64::from(chunk.capacity.get() - reopen));
                chunk.countdown.lower(chunk.withheld.get());
                chunk.set_state(State::Full);
            }
        });
        // SAFETY: (I4) ours, in no list.
        unsafe {
            if chunk.countdown.is_over() {
                // All of it came back while a source was asked for another chunk.
                self.give_up(chunk);
            } else if !full {
                chunk.check();
                self.available[class].push_back(chunk);
            }
        }
    }

    pub(super) unsafe fn make_current(&self, class: usize, chunk: *const Chunk) {
        // SAFETY: (I4) ours, in no list.
        let chunk = unsafe { &*chunk };
        self.moving(|| {
            chunk.set_state(State::Current);
            chunk.countdown.raise(1);
        });
        self.current[class].set(chunk);
        chunk.check();
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

    /// An empty chunk of `class`: from the cache, else from the heap's pool.
    fn new_chunk(&self, class: usize) -> Option<*const Chunk> {
        let span = span_of(class);
        let purpose = match () {
            () if span == 1 && self.growing.get() == (class as u8, DENSE_AFTER) => Purpose::Dense,
            () if self.heap().heavy.has(class) => Purpose::Heavy,
            () => Purpose::Light,
        };
        let cached = if span == 1 { self.chunks.pop(class, purpose == Purpose::Light) } else { None };
        let (chunk, clean) = match cached {
            Some(chunk) => (chunk, false),
            // SAFETY: (I7) passed on.
            None => self.heap().take_chunks(span, purpose, || unsafe { self.flush() })?,
        };
        if clean {
            self.note_growth(class);
        }
        // SAFETY: (I4) the chunk is ours now, with its record.
        unsafe {
            let segment = Segment::of_chunk(chunk);
            let index = Segment::index_of_chunk(chunk);
            let record = &*chunk;
            // A chunk that was of this class before has its blocks linked still. Not so a run: parts
            // of it may have served others since.
            if span != 1 || record.class() != class || record.carved.get() == 0 {
                record.recent.clear();
                record.carved.set(0);
                record.fresh.set(clean);
                match self.hardened() {
                    None => record.set_class(class, block_size(class)),
                    Some(hardened) => hardened.set_class(record, class),
                }
                record.capacity.set((span * CHUNK_SIZE / block_size(class)) as u32);
            }
            record.countdown.reset();
            record.set_local(self);
            self.owned.set(self.owned.get() + 1);
            let owner = if self.hardened().is_some() { tagged(self.record) } else { self.record };
            (*segment).owners[index].store(owner.cast_mut(), Ordering::Relaxed);
        }
        Some(chunk)
    }

    /// A fresh chunk for `class`: a majority vote, as that of Boyer and Moore, from which chunks that become
    /// empty again withdraw.
    fn note_growth(&self, class: usize) {
        let class = class as u8;
        self.growing.set(match self.growing.get() {
            (leader, lead) if leader == class => (class, (lead + 1).min(DENSE_AFTER)),
            (_, 0) => (class, 1),
            (leader, lead) => (leader, lead - 1),
        });
    }

    /// A chunk of `class` is empty.
    fn note_shrinking(&self, class: usize) {
        let (leader, lead) = self.growing.get();
        if leader as usize == class {
            self.growing.set((leader, lead.saturating_sub(1)));
        }
    }

    /// What a free found out: a chunk became empty, or is no longer full.
    ///
    /// # Safety
    /// (I7) The caller holds the record of `chunk`'s owner, `self`.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn chunk_event(&self, chunk: &Chunk) {
        // SAFETY: (I4) passed on.
        unsafe {
            if chunk.state() == State::Full {
                self.reopen(chunk);
            }
            if chunk.countdown.is_over() && chunk.state() == State::Available {
                self.available[chunk.class()].remove(chunk);
                self.heap().while_held(self, || self.give_up(chunk));
            }
        }
    }

    /// A full chunk has a free block again.
    pub(super) unsafe fn reopen(&self, chunk: &Chunk) {
        self.moving(|| {
            chunk.countdown.raise(chunk.withheld.get());
            chunk.withheld.set(0);
            chunk.set_state(State::Available);
        });
        // SAFETY: (I4) ours; a full chunk is in no list.
        unsafe { self.available[chunk.class()].push_back(chunk) };
    }

    /// Lets go of a chunk that is empty and in no list.
    unsafe fn give_up(&self, chunk: &Chunk) {
        self.moving(|| {
            self.settle(chunk);
            chunk.set_state(State::Cached);
        });
        chunk.check();
        self.note_shrinking(chunk.class());
        self.owned.set(self.owned.get() - 1);
        let span = chunk.span.get();
        // SAFETY: (I2) the chunk's records are in its segment's head; no block of it is live, so
        // nobody looks for its owner.
        unsafe {
            let segment = Segment::of_chunk(chunk);
            let index = Segment::index_of_chunk(chunk);
            (*segment).owners[index].store(ptr::null_mut(), Ordering::Relaxed);
        }
        if span != 1 || !self.chunks.push(chunk) {
            self.heap().give_chunks(chunk, span as usize);
        }
    }

    /// Runs `f`, which moves counts about; readers of statistics try again meanwhile.
    pub(super) fn moving(&self, f: impl FnOnce()) {
        use core::sync::atomic::fence;
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

    /// Puts the block cache's blocks of `class` back into the current chunk.
    unsafe fn put_back(&self, class: usize) {
        if let Some(hardened) = self.hardened() {
            // SAFETY: (I4) passed on.
            return unsafe { self.undeal(hardened, class) };
        }
        // SAFETY: (I4) ours.
        let chunk = unsafe { &*self.current[class].get() };
        let free = &self.blocks.classes[class].free;
        if free.is_empty() {
            return;
        }
        self.moving(|| {
            while !free.is_empty() {
                // SAFETY: (I1) blocks in the cache are free, and of the current chunk.
                unsafe { chunk.recent.push(free.pop()) };
                chunk.handed.set(chunk.handed.get() - 1);
                chunk.countdown.lower(1);
            }
        });
    }
}

/// Blocks of `size` bytes that are carved at a time.
fn carve_count(size: usize) -> u32 {
    (CARVE_BYTES / size.max(1)).max(1) as u32
}
