//! Chunk metadata: one record per chunk, dense in the segment's head.
//!
//! The state of a chunk is an equation: `left + 1 = blocks outstanding + pin - withheld`. Blocks are
//! outstanding from when they are linked into their class's block cache to when they come back; `pin`
//! is 1 while the chunk is its class's current chunk. A free counts `left` down, and its sign alone
//! tells both events that matter:
//!
//! - *empty*: an available chunk whose last block came back. The pin keeps the current chunk from
//!   ever looking empty, so a pair of one allocation and one free never leaves the fast path.
//! - *no longer full*: a full chunk withholds all but a few of its outstanding blocks, so that `left`
//!   runs out when those few have come back.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

#[cfg(not(loom))]
use super::arrivals::Arrivals;
use super::counts::{Countdown, Counter};
use super::free_list::{Block, FreeList};
use crate::config::THIN_PAGES;
#[cfg(not(loom))]
use crate::local_heap::LocalCore;
#[cfg(loom)]
use crate::models::LocalCore;

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
    // What its owner writes: one cache line. A free touches the first two words of it, an allocation
    // none: the free blocks of a current chunk are in its class's block cache.
    /// Blocks that came back. The block cache takes them all when it has none left. Two lists, not one:
    /// an allocation that takes the block just freed has to wait for the free's stores, and the free
    /// after it for the allocation's (docs/performance.md: 3.3 ns against 1.9 ns per pair).
    pub(crate) recent: FreeList,
    /// See the module page; and the bytes requested for what came back since counts were settled.
    pub(crate) countdown: Countdown,
    /// Blocks that the block cache got, less those that were back when counts were settled.
    pub(crate) handed: Counter,
    pub(crate) withheld: Counter,
    /// Neighbours in the class's list of available chunks.
    pub(crate) next: Cell<*const Chunk>,
    pub(crate) prev: Cell<*const Chunk>,
    /// Blocks linked so far; the rest of the chunk has not been touched.
    pub(crate) carved: Cell<u32>,
    pub(crate) capacity: Cell<u32>,
    /// What is not carved yet reads as zero.
    pub(crate) fresh: Cell<bool>,
    /// Pages that were ever carved since the chunk last had no memory behind it.
    pub(crate) touched: Cell<u8>,
    /// Blocks of a hardened chunk that were taken back before they were counted back: see `arrivals`.
    pub(crate) early: Cell<u16>,
    _line: [u8; 4],

    // What does not change while a block is live is on a line of its own: threads that free foreign
    // blocks read it, and must not wait for the line that the owner writes on every call.
    /// Owner. Constant while any block of the chunk is live.
    local: AtomicPtr<LocalCore>,
    /// Bytes up to which a resize may leave a block where it is: its size, or 0 in a hardened heap, where
    /// resizes go the slow way.
    grows_to: AtomicU32,
    class: AtomicU8,
    state: AtomicU8,
    /// Chunks in the run.
    pub(crate) span: Cell<u8>,
    /// In a tail: distance to the run's first chunk.
    pub(crate) offset: Cell<u8>,
    block_size: AtomicU32,
    /// In a hardened chunk, by how much a block is larger than the largest one of the class below.
    step: AtomicU32,
    /// What a distance in a hardened chunk is multiplied with to have the number of its block, or 0.
    reciprocal: AtomicU64,
    /// What other threads freed of a hardened chunk.
    #[cfg(not(loom))]
    pub(crate) arrivals: Arrivals,
}

const _: () = assert!(size_of::<Chunk>() == 128, "segments index chunks by shifting");
const _: () = assert!(core::mem::offset_of!(Chunk, local) == 64, "one line for the owner");

/// The current chunk of a class that has none: it has no blocks, and no more to carve.
pub(crate) static EMPTY: EmptyChunk = EmptyChunk(Chunk::new());

pub(crate) struct EmptyChunk(Chunk);

// SAFETY: the cells in it are never written: it has nothing to carve or to settle, and no
// block belongs to it, so nothing is pushed.
unsafe impl Sync for EmptyChunk {}

impl EmptyChunk {
    pub(crate) const fn as_ptr(&'static self) -> *const Chunk {
        &raw const self.0
    }
}

impl Chunk {
    pub(crate) const fn new() -> Self {
        Self {
            recent: FreeList::new(),
            countdown: Countdown::new(),
            handed: Counter::new(),
            withheld: Counter::new(),
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            carved: Cell::new(0),
            capacity: Cell::new(0),
            fresh: Cell::new(false),
            touched: Cell::new(0),
            early: Cell::new(0),
            _line: [0; 4],
            local: AtomicPtr::new(ptr::null_mut()),
            grows_to: AtomicU32::new(0),
            class: AtomicU8::new(0),
            state: AtomicU8::new(0),
            span: Cell::new(0),
            offset: Cell::new(0),
            block_size: AtomicU32::new(0),
            step: AtomicU32::new(0),
            reciprocal: AtomicU64::new(0),
            #[cfg(not(loom))]
            arrivals: Arrivals::new(),
        }
    }

    // ORDER: Relaxed for the words below. A thread that frees a block learned of the block
    // from whoever allocated it, and they have not changed since; readers of statistics accept
    // any value.
    #[inline(always)]
    pub(crate) fn local(&self) -> *const LocalCore {
        self.local.load(Ordering::Relaxed)
    }
    #[inline]
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
    #[inline(always)]
    pub(crate) fn grows_to(&self) -> usize {
        self.grows_to.load(Ordering::Relaxed) as usize
    }
    pub(crate) fn set_class(&self, class: usize, block_size: usize) {
        self.class.store(class as u8, Ordering::Relaxed);
        self.block_size.store(block_size as u32, Ordering::Relaxed);
        self.grows_to.store(block_size as u32, Ordering::Relaxed);
    }
    /// As [`set_class`](Self::set_class), in a hardened heap. Frees of a chunk that is not `quick` go the long way.
    pub(crate) fn set_hardened_class(&self, class: usize, block_size: usize, step: usize, quick: bool) {
        self.set_class(class, block_size);
        self.grows_to.store(0, Ordering::Relaxed);
        self.step.store(step as u32, Ordering::Relaxed);
        let reciprocal = if quick { u64::MAX / block_size as u64 + 1 } else { 0 };
        self.reciprocal.store(reciprocal, Ordering::Relaxed);
    }
    /// The number of the block of a hardened chunk that begins `distance` bytes from its start, if one does and
    /// the chunk is quick.
    #[inline(always)]
    pub(crate) fn quick_number_at(&self, distance: usize) -> Option<usize> {
        // The reciprocal is 2^64 over the size, rounded up, so the product's upper half is the quotient, and its
        // lower half is below the reciprocal where nothing is left (Lemire, Kaser and Kurz 2019; for factors
        // below 2^32).
        let reciprocal = self.reciprocal.load(Ordering::Relaxed);
        let product = u128::from(reciprocal) * distance as u128;
        ((product as u64) < reciprocal).then_some((product >> 64) as usize)
    }
    /// The number of the block of a hardened chunk that begins `distance` bytes from its start, if one does.
    pub(crate) fn number_at(&self, distance: usize) -> Option<usize> {
        let size = self.block_size();
        self.quick_number_at(distance).or_else(|| distance.is_multiple_of(size).then(|| distance / size))
    }
    /// Whether blocks of a hardened chunk are what requests get that need `bytes`, which are not 0.
    #[inline(always)]
    pub(crate) fn serves(&self, bytes: usize) -> bool {
        self.block_size().wrapping_sub(bytes) < self.step.load(Ordering::Relaxed) as usize
    }
    #[inline]
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
    #[inline]
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Takes a block back; true when the slow path must look at the chunk (see the module page).
    ///
    /// # Safety
    /// The caller holds the owner's thread record and gives up `block`, which is of this chunk.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: *mut Block, size: usize) -> bool {
        // SAFETY: (I1) passed on.
        unsafe { self.recent.push(block) };
        self.countdown.count(1, size as u64)
    }

    /// Whether little of it has memory behind it.
    #[inline]
    pub(crate) fn is_thin(&self) -> bool {
        self.touched.get() <= THIN_PAGES
    }

    /// Notes that the block cache got `blocks` more.
    #[inline]
    pub(crate) fn hand_over(&self, blocks: u32) {
        self.handed.add(u64::from(blocks));
        self.countdown.raise(u64::from(blocks));
    }

    /// Blocks handed over and not back: live, or in the block cache.
    #[inline]
    pub(crate) fn outstanding(&self) -> u64 {
        let pin = i64::from(self.state() == State::Current);
        let outstanding = self.countdown.left() + 1 - pin + self.withheld.get() as i64;
        // A reader of statistics may see the pin's state before its count.
        outstanding.max(0) as u64
    }

    /// Blocks that came back since counts were settled.
    #[inline]
    pub(crate) fn came_back(&self) -> u64 {
        self.handed.get().saturating_sub(self.outstanding())
    }

    /// Checks the chunk's equation in debug builds.
    pub(crate) fn check(&self) {
        if cfg!(debug_assertions) {
            let out = self.outstanding();
            let carved = u64::from(self.carved.get()) + u64::from(self.early.get());
            assert!(out <= carved, "{out} of {carved}");
            assert!(self.carved.get() <= self.capacity.get());
            match self.state() {
                State::Full => {
                    assert!(self.carved.get() == self.capacity.get());
                    assert!(!self.countdown.is_over());
                }
                State::Available => assert!(out > 0 && self.withheld.get() == 0),
                State::Cached => assert!(out == 0 && self.withheld.get() == 0),
                _ => {}
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::config::{CHUNK_SIZE, HARD_LEAST};
    use crate::size_class::{CLASSES, block_size, span_of};

    #[test]
    fn a_block_s_number_is_found_from_its_first_byte_only() {
        let chunk = Chunk::new();
        for class in (0..CLASSES).filter(|&class| block_size(class) >= HARD_LEAST) {
            let (size, run) = (block_size(class), span_of(class) * CHUNK_SIZE);
            for quick in [true, false] {
                chunk.set_hardened_class(class, size, 8, quick);
                for distance in 0..run {
                    let expected = distance.is_multiple_of(size).then_some(distance / size);
                    assert_eq!(chunk.number_at(distance), expected, "{distance} in blocks of {size}");
                    assert_eq!(chunk.quick_number_at(distance), if quick { expected } else { None });
                }
            }
        }
    }
}
