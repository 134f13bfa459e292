//! The slow path: where blocks come from when the current chunk has none, and where chunks go.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::LocalCore;
use super::counters::{BIG_ROW, SPAN_ROW, Totals};
use super::hardened::{tagged, untagged};
use super::outbox::Outbox;
use crate::config::{
    CARVE_BYTES, CHUNK_SIZE, DENSE_AFTER, MISSES_PER_LOOK, OVERFLOW_LISTS, PAGE_SIZE, RETURN_QUEUE_CHAINS,
};
use crate::heap::{HeapCore, Purpose, sign_off, unrouted};
use crate::raw::chunk::{Chunk, EMPTY, State};
use crate::raw::free_list::Block;
use crate::raw::marks::Marks;
use crate::raw::return_queue::{Chain, Received};
use crate::raw::segment::{Kind, Segment};
use crate::size_class::{block_size, span_of};
use crate::threads::{ThreadRecord, binding};

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
/// Two blocks go round in any case if they are no more than this: half the first cache.
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
    unsafe fn reopen(&self, chunk: &Chunk) {
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

    /// Looks at the inbox on the way to a new block.
    #[inline]
    pub(super) unsafe fn take_home(&self) {
        if self.has_mail() {
            // SAFETY: (I7) passed on.
            if unsafe { self.drain() } {
                self.make_queue();
            }
        }
    }

    /// Takes in everything that other threads sent home. Returns whether the inbox should be given its
    /// queue: there is none, and something came.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn drain(&self) -> bool {
        if !self.arrived.is_empty() {
            // SAFETY: (I7) passed on.
            unsafe { self.take_arrivals() };
        }
        let mut mixed = [ptr::null_mut(); OVERFLOW_LISTS];
        let (mut lanes, mut bytes) = (0, 0);
        while let Some(received) = self.inbox.receive() {
            // SAFETY: (I1) what the inbox hands out is ours to free.
            unsafe {
                match received {
                    Received::Chain(chain) => self.take_in(&chain),
                    Received::Mixed { head, requested } => {
                        mixed[lanes] = head;
                        lanes += 1;
                        bytes += requested;
                        if lanes == OVERFLOW_LISTS {
                            self.take_in_mixed(mixed, bytes);
                            mixed = [ptr::null_mut(); OVERFLOW_LISTS];
                            (lanes, bytes) = (0, 0);
                        }
                    }
                }
            }
        }
        if lanes != 0 {
            // SAFETY: (I1) as above.
            unsafe { self.take_in_mixed(mixed, bytes) };
        }
        !self.inbox.has_queue() && (lanes != 0)
    }

    /// Gives the inbox its queue, after its first use of the overflow path.
    fn make_queue(&self) {
        // Only for a thread's own local heap. A thread near its end leases another record for every
        // call, those below included: what one of them frees would come home to the next one, which
        // would want its own queue, and so on without end.
        let own = binding(|binding| binding.record.get() == self.record);
        if !own || self.heap().is_dropped() || self.inbox.has_queue() || self.making_queue.replace(true) {
            return;
        }
        // The queue comes from the program's global allocator, which aborts when it cannot serve
        // it, and which may be this local heap. So ask first, for the same layout: the block is
        // still there when the queue asks.
        let slots = core::alloc::Layout::array::<(usize, Chain)>(RETURN_QUEUE_CHAINS);
        if let Ok(layout) = slots {
            // SAFETY: the layout is not empty; a block is freed with the layout it was made with.
            unrouted(|| unsafe {
                // Where it could see that nobody looks, the compiler would leave the pair out.
                let probe = core::hint::black_box(std::alloc::alloc(layout));
                if !probe.is_null() {
                    std::alloc::dealloc(probe, layout);
                    self.inbox.make_queue();
                }
            });
        }
        self.making_queue.set(false);
    }

    /// Splices a chain of our own blocks into their chunk.
    unsafe fn take_in(&self, chain: &Chain) {
        // SAFETY: (I1) the chain is ours; (I4) so is its chunk.
        unsafe {
            let chunk = &*chain.chunk;
            debug_assert!(ptr::eq(chunk.local(), self));
            self.moving(|| {
                chunk.recent.splice(chain.head, chain.tail);
                chunk.countdown.count(u64::from(chain.count), chain.requested);
                self.totals[chunk.class()].received.add(u64::from(chain.count));
                self.received_requested.add(chain.requested);
            });
            if chunk.state() != State::Current {
                // A chain may overshoot the trigger of a full chunk, so look at it in any case.
                self.chunk_event(chunk);
            }
        }
    }

    /// Frees a block of `chunk`, which belongs to another thread's local heap in the same heap.
    ///
    /// # Safety
    /// (I7) The caller holds the record; (I1) it gives up `block`, which is of `chunk`.
    #[inline]
    pub(crate) unsafe fn free_foreign(&self, chunk: *const Chunk, block: *mut u8, size: usize) {
        // SAFETY: passed on.
        unsafe { self.outbox.add(self, chunk, block.cast(), size) };
    }

    /// Counts a chain that leaves for its owner.
    ///
    /// # Safety
    /// (I2) The chain's blocks are live.
    pub(super) unsafe fn count_returned(&self, chain: &Chain) {
        // SAFETY: (I2) passed on: the chunk's record does not change.
        let row = unsafe { (*chain.chunk).class() };
        self.totals[row].returned.add(u64::from(chain.count));
    }

    /// Puts blocks of any of our chunks back, one by one, from several lists in turn: each step waits
    /// for a block to come from another thread's cache, and so they wait together.
    unsafe fn take_in_mixed(&self, mut lists: [*mut Block; OVERFLOW_LISTS], requested: u64) {
        self.moving(|| {
            // The sum is known, not its parts: the first block carries it all.
            let mut left = requested;
            self.received_requested.add(requested);
            let mut more = true;
            while more {
                more = false;
                for head in lists.iter_mut().filter(|head| !head.is_null()) {
                    more = true;
                    // SAFETY: (I1) the blocks are ours to free; (I4) so are their chunks.
                    unsafe {
                        let block = *head;
                        *head = Block::next(block);
                        let chunk = &*chunk_of(block.cast());
                        debug_assert!(ptr::eq(chunk.local(), self));
                        self.totals[chunk.class()].received.add(1);
                        if chunk.push(block, left as usize) {
                            self.chunk_event(chunk);
                        }
                    }
                    left = 0;
                }
            }
        });
    }

    /// Sends home what waits in the outbox.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn flush(&self) {
        if !self.outbox.is_empty() {
            self.outbox.flush(self);
        }
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

    /// Gives back every chunk that is empty.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    unsafe fn trim(&self) {
        for class in 0..self.available.len() {
            let current = self.current[class].get();
            // SAFETY: (I4) current and cached chunks are ours; the empty one stays.
            unsafe {
                if current != EMPTY.as_ptr()
                    && (*current).outstanding() == self.blocks.len(class) + self.dealt(class)
                {
                    self.leave_current(class);
                }
            }
        }
        while let Some(chunk) = self.chunks.pop_any() {
            self.heap().give_chunks(chunk, 1);
        }
    }

    /// Gives everything back that is free, for good: the heap's handle is gone, and nobody allocates here
    /// any more. Returns whether anything was sent to others, and whether nothing is left here.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn wind_up(&self) -> (bool, bool) {
        let sends = !self.outbox.is_empty();
        // SAFETY: (I7) passed on.
        unsafe {
            // Not pinned any more, the chunks say themselves when their last block is back.
            (0..self.current.len()).for_each(|class| self.leave_current(class));
            self.retire();
        }
        let runs_are_back = [SPAN_ROW, BIG_ROW].iter().all(|&row| self.totals[row].is_even());
        (sends, self.owned.get() == 0 && runs_are_back)
    }

    /// What a thread does for its local heap before it ends: nothing that is free stays here.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn retire(&self) {
        // SAFETY: (I7) passed on.
        unsafe {
            self.flush();
            self.drain();
            self.trim();
        }
    }

    /// The last resort before an allocation fails: gives back all that this thread, threads that
    /// have ended, and the heap keep free, and looks at full chunks that have a free block after all.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    pub(crate) unsafe fn relieve(&self) {
        // SAFETY: (I7) passed on; (I4) a chunk of this heap whose owner is our record is ours. (Not by the chunk's own
        // word: that names its last owner still when it is the next one's, who may fill it before we look again.)
        unsafe {
            self.retire();
            let ours = |owner: &AtomicPtr<ThreadRecord>| {
                ptr::eq(untagged(owner.load(Ordering::Relaxed)), self.record)
            };
            self.heap().for_each_segment(|segment| {
                if segment.kind() == Kind::Chunks {
                    let owned = segment.owners.iter().zip(&segment.chunks).filter(|(owner, _)| ours(owner));
                    owned
                        .filter(|(_, chunk)| chunk.state() == State::Full && self.has_free_blocks(chunk))
                        .for_each(|(_, chunk)| self.reopen(chunk));
                }
            });
        }
        self.heap().empty_orphans(usize::MAX);
        self.heap().purge_all();
    }

    /// A block that is a run of whole chunks; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn alloc_span(&self, size: usize, zeroed: bool) -> *mut u8 {
        let with_margin = size + self.heap().margin();
        let span = with_margin.div_ceil(CHUNK_SIZE);
        // SAFETY: (I7) passed on.
        let taken = self.heap().take_chunks(span, Purpose::Block, || unsafe { self.flush() });
        let Some((chunk, clean)) = taken else {
            return ptr::null_mut();
        };
        let block_size = with_margin.next_multiple_of(PAGE_SIZE);
        // SAFETY: (I4) the chunks are ours; (I3) the block lies in them.
        unsafe {
            let record = &*chunk;
            match self.hardened() {
                None => record.set_class(SPAN_ROW, block_size),
                Some(_) => record.set_hardened_class(SPAN_ROW, block_size, 0, false),
            }
            record.touched.set(u8::MAX);
            record.set_local(self);
            record.set_state(State::Span);
            let totals = &self.totals[SPAN_ROW];
            totals.allocated.add(1);
            totals.requested.add(size as u64);
            totals.block_bytes.add_shared(block_size as u64);
            let block = Segment::chunk_start(chunk);
            if zeroed && !clean {
                block.write_bytes(0, size);
            }
            if self.hardened().is_some() {
                Marks::of_chunk(chunk).set_live(0, true);
                self.heap().seal(block, block_size);
            }
            block
        }
    }

    /// Counts a request that changed size within its block, which is of `heap`.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[inline]
    pub(crate) unsafe fn count_resize(&self, heap: *const HeapCore, old: usize, new: usize) {
        let more = (new as u64).wrapping_sub(old as u64);
        if heap == self.heap {
            self.resized.add(more);
        } else {
            // SAFETY: the block lives, so its heap does.
            unsafe { count_resize_elsewhere(&*heap, more) };
        }
    }

    /// As [`count_resize`](Self::count_resize), for a block of `owner`.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[inline(always)]
    pub(crate) unsafe fn count_resize_of(&self, owner: *const LocalCore, old: usize, new: usize) {
        if ptr::eq(owner, self) {
            self.resized.add((new as u64).wrapping_sub(old as u64));
        } else {
            // SAFETY: (I6) the block lives, so its local heap does; (I7) passed on.
            unsafe { self.count_resize((*owner).heap, old, new) };
        }
    }

    pub(crate) fn totals(&self, row: usize) -> &Totals {
        &self.totals[row]
    }
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }
    pub(crate) fn resized(&self) -> u64 {
        self.resized.get()
    }
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }
    /// Any thread: blocks are on their way here.
    pub(crate) fn add_posted(&self, class: usize, count: u32) {
        self.posted[class].add_shared(u64::from(count));
    }
    /// Any thread: bytes requested for blocks on their way here.
    pub(crate) fn add_posted_requested(&self, bytes: u64) {
        self.posted_requested.add_shared(bytes);
    }
    pub(crate) fn posted(&self, class: usize) -> u64 {
        self.posted[class].get()
    }
    /// Bytes requested for the blocks in the inbox; wraps.
    pub(crate) fn requested_on_the_way(&self) -> u64 {
        self.posted_requested.get().wrapping_sub(self.received_requested.get())
    }
}

/// Where `Global` was routed elsewhere when it served the block.
#[cold]
#[inline(never)]
fn count_resize_elsewhere(heap: &HeapCore, more: u64) {
    heap.with_local(|local| local.resized.add(more));
}

/// Blocks of `size` bytes that are carved at a time.
fn carve_count(size: usize) -> u32 {
    (CARVE_BYTES / size.max(1)).max(1) as u32
}

/// The record of the run that `block` lies in.
///
/// # Safety
/// `block` is a live block in a segment of chunks.
#[inline]
pub(crate) unsafe fn chunk_of(block: *mut u8) -> *const Chunk {
    // SAFETY: (I2) a live block's segment head is readable; a tail knows its distance.
    unsafe {
        let segment = Segment::of(block);
        let index = Segment::index_of(block);
        let chunk = &raw const (*segment).chunks[index];
        if (*chunk).state() == State::Tail { chunk.sub((*chunk).offset.get() as usize) } else { chunk }
    }
}

/// Frees a run of whole chunks, on any thread.
///
/// # Safety
/// (I1) The caller gives up the run's block.
pub(crate) unsafe fn free_span(chunk: *const Chunk, size: Option<usize>) {
    // SAFETY: (I2), (I6) the block is live until now, so record and local heap are there.
    unsafe {
        let record = &*chunk;
        let local = &*record.local();
        let (heap, block_size) = (local.heap(), record.block_size());
        heap.while_held(local, || {
            let requested = size.unwrap_or(block_size - heap.margin());
            local.totals[SPAN_ROW].count_freed(requested, block_size as u64);
            heap.give_chunks(chunk, record.span.get() as usize);
        });
    }
}

const _: () = assert!(align_of::<LocalCore>() <= 128);

#[cfg(test)]
mod tests {
    use core::alloc::Layout;
    use std::sync::Barrier;

    use super::*;
    use crate::Heap;

    /// Of a chunk that another thread has just taken over, a thread that has no memory may read the old word for the
    /// owner and the new state. Here the old word is put there.
    #[test]
    fn a_chunk_that_was_ours_is_left_to_its_owner() {
        // A hardened heap has no lists.
        let heap = Heap::builder().hardened(false).build().unwrap();
        let layout = Layout::new::<[u64; 8]>();
        // One more than a chunk holds, so that the first chunk is full, and not current any more.
        let blocks = CHUNK_SIZE / layout.size() + 1;
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let first = heap.alloc(layout);
                (1..blocks).for_each(|_| assert!(!heap.alloc(layout).is_null()));
                // SAFETY: a live block of this thread's, given up.
                unsafe { heap.dealloc(first, layout) };
                barrier.wait();
                barrier.wait();
            });
            barrier.wait();
            let local = heap.core().local().unwrap();
            let mut states = Vec::new();
            heap.core().for_each_segment(|segment| {
                for chunk in segment.chunks.iter().filter(|chunk| chunk.state() == State::Full) {
                    let owner = chunk.local();
                    chunk.set_local(local);
                    // SAFETY: (I7) this thread's own local heap.
                    unsafe { (*local).relieve() };
                    chunk.set_local(owner);
                    states.push((ptr::eq(owner, local), chunk.recent.is_empty(), chunk.state()));
                }
            });
            barrier.wait();
            assert_eq!(states, [(false, false, State::Full)]);
        });
    }
}
