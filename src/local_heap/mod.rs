//! A local heap: one thread's private part of a heap.
//!
//! [`BlockCache`] is the fast path: free blocks of every class. [`LocalCore`] is the rest: the slow path,
//! the current chunk of every class, the lists of chunks, the outbox for foreign blocks, the inbox where other threads
//! return ours, and the counters.
//!
//! ```text
//! alloc    BlockCache::alloc ── no block linked ──> LocalCore::alloc_slow: take in what came home,
//!                                                   next available chunk, carve, new chunk
//! free     free::free ─> Chunk::push ── empty, or no longer full ──> LocalCore::chunk_event
//!          └─ not ours ─> LocalCore::free_foreign ──> Outbox ── group full ──> ReturnQueue::post
//! ```

mod chunk_list;
mod counters;
mod current;
mod free;
mod hardened;
mod home;
mod outbox;
mod retire;
mod serve;
mod siblings;
mod slow;
mod span;
mod walk;

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crossbeam_utils::CachePadded;

use self::chunk_list::{ChunkCache, ChunkList};
pub(crate) use self::counters::{BIG_ROW, ROWS, SPAN_ROW, Totals};
pub(crate) use self::free::{free_layout, free_unsized, usable_size};
pub(crate) use self::hardened::{Hardened, untagged};
use self::outbox::Outbox;
pub(crate) use self::serve::rounded;
use self::siblings::Siblings;
pub(crate) use self::span::chunk_of;
use crate::config::MISSES_PER_LOOK;
use crate::heap::HeapCore;
use crate::raw::arrivals::ArrivalList;
use crate::raw::chunk::{Chunk, EMPTY};
use crate::raw::counts::{Counter, Tally};
use crate::raw::free_list::FreeList;
use crate::raw::return_queue::ReturnQueue;
use crate::size_class::CLASSES;
use crate::threads::ThreadRecord;

/// Free blocks of every class, each from the class's current chunk.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct BlockCache {
    classes: [ClassCache; CLASSES],
}

/// Free blocks of one class, and the count of those taken from here.
#[derive(Debug)]
struct ClassCache {
    free: FreeList,
    taken: Tally,
}

/// The cache of a thread that has none yet: "not initialised" and "used up" are one branch.
pub(crate) static EMPTY_CACHE: EmptyCache = EmptyCache(BlockCache::new());

pub(crate) struct EmptyCache(BlockCache);

// SAFETY: its cells are written when a block is taken, of which it has none, and by the slow path of
// the local heap that a cache is part of, which this one is not.
unsafe impl Sync for EmptyCache {}

impl EmptyCache {
    pub(crate) const fn as_ptr(&'static self) -> *const BlockCache {
        &raw const self.0
    }
}

impl BlockCache {
    const fn new() -> Self {
        Self { classes: [const { ClassCache { free: FreeList::new(), taken: Tally::new() } }; CLASSES] }
    }

    /// A block of `class` for a request of `size` bytes; null when the slow path must find one.
    ///
    /// # Safety
    /// (I7) The caller holds the record that this cache belongs to; `class` is a class.
    #[inline(always)]
    pub(crate) unsafe fn alloc(&self, class: usize, size: usize) -> *mut u8 {
        debug_assert!(class < CLASSES);
        // SAFETY: as the caller promises.
        let cache = unsafe { self.classes.get_unchecked(class) };
        let block = cache.free.pop();
        if !block.is_null() {
            cache.taken.count(size);
        }
        block.cast()
    }

    fn is_empty(&self, class: usize) -> bool {
        self.classes[class].free.is_empty()
    }

    /// Blocks of `class` at hand, counted one by one.
    fn len(&self, class: usize) -> u64 {
        self.classes[class].free.count()
    }

    /// Blocks of `class` taken from here and not in the totals yet, and the bytes requested for them.
    pub(crate) fn taken(&self, class: usize) -> (u64, u64) {
        self.classes[class].taken.get()
    }

    /// The local heap that this cache is part of; `None` for the static empty cache.
    #[inline]
    pub(crate) fn local(this: *const Self) -> Option<*const LocalCore> {
        // (I4) Every other cache is the first field of a `LocalCore`, and pointers to it are made
        // from pointers to the whole.
        (this != EMPTY_CACHE.as_ptr()).then_some(this.cast())
    }
}

/// One thread's private part of a heap. All of it belongs to the holder of `record`, but for
/// `inbox`, `arrived` and `posted`, which other threads write, and the counters, which anyone may read.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct LocalCore {
    /// First, so that a pointer to it is a pointer to the whole.
    blocks: BlockCache,
    /// The chunk that each class's blocks come from, or the empty one.
    current: [Cell<*const Chunk>; CLASSES],
    heap: *const HeapCore,
    record: *const ThreadRecord,
    /// Chunks with free blocks that are not current, per class.
    available: [ChunkList; CLASSES],
    /// Empty chunks.
    chunks: ChunkCache,
    /// Which class takes most fresh chunks, and by how many more than others, and than become empty.
    growing: Cell<(u8, u8)>,
    /// Misses of the block cache before the next look at the purge clock.
    until_look: Cell<u8>,
    /// The tick of the purge clock that was seen last.
    seen_tick: Cell<u32>,
    outbox: Outbox,
    /// What chunks that are no longer ours counted.
    totals: [Totals; ROWS],
    /// Bytes by which requests changed while their block stayed; wraps.
    resized: Counter,
    /// Bytes requested for blocks of ours that came home.
    received_requested: Counter,
    /// Odd while counts move between chunks and totals.
    version: Counter,
    /// The local heap made before this one in the same heap; constant.
    next_in_heap: AtomicPtr<LocalCore>,
    /// Neighbours in the record's list, under its lock.
    siblings: Siblings,
    /// Chunks of blocks that are not given up.
    owned: Cell<usize>,
    /// The next of the record's local heaps whose heaps' handles are gone: see `afterlife`.
    next_dropped: Cell<*const LocalCore>,
    /// The queue's allocation is being made: see `drain`.
    making_queue: Cell<bool>,
    /// What a hardened heap needs besides; null in others.
    hardened: *const Hardened,
    /// Where others announce what they freed of a hardened heap.
    arrived: CachePadded<ArrivalList>,
    inbox: CachePadded<ReturnQueue>,
    /// Blocks sent home by other threads, per class; any thread writes.
    posted: [Counter; CLASSES],
    /// Bytes requested for those blocks; any thread writes.
    posted_requested: Counter,
}

impl LocalCore {
    /// Builds a local heap in place.
    ///
    /// # Safety
    /// `place` is writable, aligned and the caller's alone; heap and record outlive it.
    pub(crate) unsafe fn init(
        place: *mut Self,
        heap: *const HeapCore,
        record: *const ThreadRecord,
        hardened: *const Hardened,
    ) {
        let value = Self {
            blocks: BlockCache::new(),
            current: [const { Cell::new(EMPTY.as_ptr()) }; CLASSES],
            heap,
            record,
            available: [const { ChunkList::new() }; CLASSES],
            chunks: ChunkCache::new(),
            growing: Cell::new((0, 0)),
            until_look: Cell::new(MISSES_PER_LOOK),
            seen_tick: Cell::new(0),
            outbox: Outbox::new(),
            totals: [const { Totals::new() }; ROWS],
            resized: Counter::new(),
            received_requested: Counter::new(),
            version: Counter::new(),
            next_in_heap: AtomicPtr::new(ptr::null_mut()),
            siblings: Siblings::new(),
            owned: Cell::new(0),
            next_dropped: Cell::new(ptr::null()),
            making_queue: Cell::new(false),
            hardened,
            arrived: CachePadded::new(ArrivalList::new()),
            inbox: CachePadded::new(ReturnQueue::new()),
            posted: [const { Counter::new() }; CLASSES],
            posted_requested: Counter::new(),
        };
        // SAFETY: as the caller promises.
        unsafe { place.write(value) };
    }

    pub(crate) fn blocks(&self) -> &BlockCache {
        &self.blocks
    }
    pub(crate) fn heap(&self) -> &HeapCore {
        // SAFETY: (I6) a heap outlives its local heaps.
        unsafe { &*self.heap }
    }
    #[inline(always)]
    pub(crate) fn record(&self) -> *const ThreadRecord {
        self.record
    }
    /// Whether there may be something that others sent home.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        !self.inbox.is_empty() || !self.arrived.is_empty()
    }
    pub(crate) fn inbox(&self) -> &ReturnQueue {
        &self.inbox
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
    fn siblings(&self) -> &Siblings {
        &self.siblings
    }

    /// Whether this is a local heap of `heap`.
    pub(crate) fn is_of(&self, heap: *const HeapCore) -> bool {
        self.heap == heap
    }

    pub(crate) fn next_dropped(&self) -> *const LocalCore {
        self.next_dropped.get()
    }
    pub(crate) fn set_next_dropped(&self, next: *const LocalCore) {
        self.next_dropped.set(next);
    }

    /// The local heap made before this one in the same heap.
    pub(crate) fn next_in_heap(&self) -> *const LocalCore {
        // ORDER: Relaxed; constant once published by the Release store to the heap's list.
        self.next_in_heap.load(Ordering::Relaxed)
    }
    pub(crate) fn set_next_in_heap(&self, next: *const LocalCore) {
        self.next_in_heap.store(next.cast_mut(), Ordering::Relaxed);
    }
}

const _: () = assert!(align_of::<LocalCore>() <= 128);
