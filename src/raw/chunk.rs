//! Chunk metadata: one record per chunk, dense in the segment's head.
//!
//! The state of a chunk is an equation, checked by [`Chunk::check`] in debug builds:
//! `allocated + withheld - pin = freed + blocks handed out`, where `pin` is 1 while the chunk is its
//! class's current chunk. A free compares `freed` with `allocated`, once, and that one comparison
//! finds both events that matter:
//!
//! - *empty*: an available chunk whose last block came back. The pin keeps the current chunk from
//!   ever looking empty, so a pair of one allocation and one free never leaves the fast path.
//! - *no longer full*: a full chunk withholds all but one of its outstanding blocks from
//!   `allocated`, so the first block that comes back makes the two meet.
//!
//! Both counters only grow, so they are the statistics as well, at no extra cost.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::free_list::{Block, FreeList};
#[cfg(not(loom))]
use crate::local_heap::LocalCore;
#[cfg(loom)]
use crate::models::LocalCore;

/// A number with one writer and any readers: a plain load and store, no read-modify-write.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    // ORDER: Relaxed throughout this type: a counter publishes nothing but itself.
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    #[inline(always)]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
    /// Single writer: the holder of the thread record.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }
    /// Any writer.
    pub(crate) fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}

/// What a chunk is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// In the pool, or never used: all zeroes.
    Free = 0,
    /// Its class allocates from it.
    Current,
    /// Has free blocks, in its class's list.
    Available,
    /// Every block is handed out; in no list.
    Full,
    /// Empty, in its owner's cache of chunks, blocks still linked.
    Cached,
    /// The second or later chunk of a run.
    Tail,
    /// One block that is a run of whole chunks.
    Span,
    /// Holds local heaps and other records.
    Metadata,
}

/// The record of one chunk. All of it but what readers of statistics look at belongs to the holder
/// of the owner's thread record, or to the pool's lock while the chunk is free.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Chunk {
    // What the fast path touches: one cache line.
    /// Blocks that allocations take.
    pub(crate) free: FreeList,
    /// Blocks that came back since `free` was filled last. Two lists, not one: an allocation that
    /// takes the block just freed has to wait for the free's stores, and the free after it for the
    /// allocation's (docs/performance.md: 3.3 ns against 1.9 ns per pair).
    pub(crate) recent: FreeList,
    /// Blocks handed out, plus the pin, less what is withheld.
    pub(crate) allocated: Counter,
    /// Blocks that came back.
    pub(crate) freed: Counter,
    /// Bytes requested for the blocks handed out.
    pub(crate) requested: Counter,
    /// Bytes requested for the blocks that came back.
    pub(crate) released: Counter,
    _line: [u64; 2],

    // What does not change while a block is live comes first on the next line: threads that free
    // foreign blocks read it, and must not wait for the line that the owner writes on every call.
    /// Owner. Constant while any block of the chunk is live.
    local: AtomicPtr<LocalCore>,
    block_size: AtomicU32,
    class: AtomicU8,
    state: AtomicU8,
    /// Chunks in the run.
    pub(crate) span: Cell<u8>,
    /// In a tail: distance to the run's first chunk.
    pub(crate) offset: Cell<u8>,

    // Slow path only.
    pub(crate) withheld: Counter,
    /// Blocks linked so far; the rest of the chunk has not been touched.
    pub(crate) carved: Cell<u32>,
    pub(crate) capacity: Cell<u32>,
    /// Neighbours in the class's list of available chunks.
    pub(crate) next: Cell<*const Chunk>,
    pub(crate) prev: Cell<*const Chunk>,
    /// What is not carved yet reads as zero.
    pub(crate) fresh: Cell<bool>,
}

const _: () = assert!(size_of::<Chunk>() == 128, "segments index chunks by shifting");
const _: () = assert!(core::mem::offset_of!(Chunk, local) == 64, "one line for the fast path");

/// The chunk of a class that has none: allocating from it finds no block, so "not initialised" and
/// "used up" are one branch.
pub(crate) static EMPTY: EmptyChunk = EmptyChunk(Chunk::new());

pub(crate) struct EmptyChunk(Chunk);

// SAFETY: the cells in it are never written: its free list is empty, so nothing is popped, and no
// block belongs to it, so nothing is pushed.
unsafe impl Sync for EmptyChunk {}

impl EmptyChunk {
    pub(crate) const fn as_ptr(&'static self) -> *const Chunk {
        &raw const self.0
    }
}

impl Chunk {
    const fn new() -> Self {
        Self {
            free: FreeList::new(),
            recent: FreeList::new(),
            allocated: Counter::new(),
            freed: Counter::new(),
            requested: Counter::new(),
            released: Counter::new(),
            _line: [0; 2],
            local: AtomicPtr::new(ptr::null_mut()),
            block_size: AtomicU32::new(0),
            class: AtomicU8::new(0),
            state: AtomicU8::new(0),
            span: Cell::new(0),
            offset: Cell::new(0),
            withheld: Counter::new(),
            carved: Cell::new(0),
            capacity: Cell::new(0),
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            fresh: Cell::new(false),
        }
    }

    // ORDER: Relaxed for the four words below. A thread that frees a block learned of the block
    // from whoever allocated it, and they have not changed since; readers of statistics accept
    // any value.
    #[inline(always)]
    pub(crate) fn local(&self) -> *const LocalCore {
        self.local.load(Ordering::Relaxed)
    }
    pub(crate) fn set_local(&self, local: *const LocalCore) {
        self.local.store(local.cast_mut(), Ordering::Relaxed);
    }
    #[inline(always)]
    pub(crate) fn class(&self) -> usize {
        self.class.load(Ordering::Relaxed) as usize
    }
    #[inline(always)]
    pub(crate) fn block_size(&self) -> usize {
        self.block_size.load(Ordering::Relaxed) as usize
    }
    pub(crate) fn set_class(&self, class: usize, block_size: usize) {
        self.class.store(class as u8, Ordering::Relaxed);
        self.block_size.store(block_size as u32, Ordering::Relaxed);
    }
    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Free,
            1 => State::Current,
            2 => State::Available,
            3 => State::Full,
            4 => State::Cached,
            5 => State::Tail,
            6 => State::Span,
            _ => State::Metadata,
        }
    }
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Takes a block for a request of `size` bytes; null when none is linked.
    #[inline(always)]
    pub(crate) fn pop(&self, size: usize) -> *mut Block {
        let block = self.free.pop();
        if !block.is_null() {
            self.allocated.add(1);
            self.requested.add(size as u64);
        }
        block
    }

    /// Takes a block back; true when the slow path must look at the chunk (see the module page).
    ///
    /// # Safety
    /// The caller holds the owner's thread record and gives up `block`, which is of this chunk.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: *mut Block, size: usize) -> bool {
        // SAFETY: (I1) passed on.
        unsafe { self.recent.push(block) };
        self.released.add(size as u64);
        let freed = self.freed.get() + 1;
        self.freed.set(freed);
        freed == self.allocated.get()
    }

    /// Makes what came back allocatable, when nothing else is. Returns whether there is anything.
    #[inline]
    pub(crate) fn refresh(&self) -> bool {
        if !self.free.is_empty() {
            return true;
        }
        if self.recent.is_empty() {
            return false;
        }
        self.free.take_over(&self.recent);
        true
    }

    /// Blocks handed out and not back.
    pub(crate) fn live(&self) -> u64 {
        self.allocated_total().wrapping_sub(self.freed.get())
    }

    /// Blocks handed out since the chunk was assigned.
    pub(crate) fn allocated_total(&self) -> u64 {
        let pin = u64::from(self.state() == State::Current);
        // A reader of statistics may see the pin's state before its count.
        self.allocated.get().wrapping_add(self.withheld.get()).saturating_sub(pin)
    }

    /// Checks the chunk's equation in debug builds.
    pub(crate) fn check(&self) {
        if cfg!(debug_assertions) {
            let live = self.live();
            assert!(live <= u64::from(self.carved.get()), "{live} of {}", self.carved.get());
            assert!(self.carved.get() <= self.capacity.get());
            match self.state() {
                State::Full => {
                    assert!(self.free.is_empty());
                    assert!(self.carved.get() == self.capacity.get());
                    assert!(self.allocated.get() > self.freed.get());
                }
                State::Available => assert!(live > 0 && self.withheld.get() == 0),
                State::Cached => assert!(live == 0 && self.withheld.get() == 0),
                _ => {}
            }
        }
    }
}
