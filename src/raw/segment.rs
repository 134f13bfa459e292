//! Segments: large aligned reservations cut into chunks, metadata in the head.
//!
//! A block's address gives its segment by masking and its chunk by shifting. The owners of the
//! chunks stand together, apart from the chunks' records: a thread that frees a foreign block reads
//! the owner and must not pull the record, which the owner writes on every call, out of the owner's
//! cache.

use core::cell::{Cell, UnsafeCell};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use super::chunk::Chunk;
use super::counts::Counter;
use crate::config::{CHUNK_SHIFT, CHUNK_SIZE, CHUNKS_PER_SEGMENT, SEGMENT_SIZE};
use crate::heap::HeapCore;
use crate::local_heap::LocalCore;
use crate::threads::ThreadRecord;

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Chunks.
    Chunks = 0,
    /// One big block.
    Big = 1,
}

/// The head of a segment. Fresh memory is all zeroes, which is a valid value of every field but
/// `heap`, so a segment is made by writing two words.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Segment {
    pub(crate) heap: Cell<*const HeapCore>,
    kind: AtomicU8,
    /// The next segment of the heap, for readers of statistics.
    pub(crate) next: AtomicPtr<Segment>,
    /// The one before it in that list; under the pool's lock.
    pub(crate) prev: Cell<*mut Segment>,
    /// Bytes reserved.
    pub(crate) size: Cell<usize>,
    /// What the canaries of a hardened heap's blocks are made of, and what its free blocks begin with: the heap's
    /// words, here because whoever frees a block reads this line. Constant.
    pub(crate) canary: Cell<u64>,
    pub(crate) fill: Cell<u64>,
    _line: u64,
    /// Thread record that owns each chunk; null unless blocks of a class are in it.
    pub(crate) owners: [AtomicPtr<ThreadRecord>; CHUNKS_PER_SEGMENT],
    pub(crate) pool: UnsafeCell<PoolLinks>,
    pub(crate) big: Big,
    pub(crate) chunks: [Chunk; CHUNKS_PER_SEGMENT],
}

/// What the pool knows of a segment. Touched under the pool's lock only.
#[derive(Debug)]
pub(crate) struct PoolLinks {
    pub(crate) next: *mut Segment,
    pub(crate) prev: *mut Segment,
    pub(crate) listed: bool,
    /// The next segment with doomed chunks.
    pub(crate) next_doomed: *mut Segment,
    pub(crate) doomed_listed: bool,
    /// Free chunks by the age of what is in them; a bit per chunk.
    pub(crate) free: FreeChunks,
    /// Chunks the source has committed.
    pub(crate) committed: u64,
    /// Chunks that can be handed out: not the head, nor a hardened heap's guard.
    pub(crate) chunks: u64,
    /// Chunks that the source was told will be used densely.
    pub(crate) dense: u64,
    /// Local heaps or other records live here: the segment stays as long as its heap.
    pub(crate) permanent: bool,
}

/// Free chunks of a segment, by age.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FreeChunks {
    /// Freed since the last tick of the purge clock.
    pub(crate) young: u64,
    /// Freed before it.
    pub(crate) old: u64,
    /// Idle for the whole delay: the next visits purge them.
    pub(crate) doomed: u64,
    /// Those of the above that are thin.
    pub(crate) thin: u64,
    /// No memory behind them; they read as zero when the source says so.
    pub(crate) clean: u64,
}

impl FreeChunks {
    pub(crate) fn any(&self) -> u64 {
        self.dirty() | self.clean
    }
    pub(crate) fn dirty(&self) -> u64 {
        self.young | self.old | self.doomed
    }
    pub(crate) fn remove(&mut self, mask: u64) {
        self.young &= !mask;
        self.old &= !mask;
        self.doomed &= !mask;
        self.thin &= !mask;
        self.clean &= !mask;
    }
}

/// What a segment of kind [`Kind::Big`] holds.
#[derive(Debug)]
pub(crate) struct Big {
    /// Local heap that allocated the block; null while there is none.
    pub(crate) local: AtomicPtr<LocalCore>,
    /// Bytes from the segment's start to the block.
    pub(crate) offset: Cell<usize>,
    /// Bytes in the block.
    pub(crate) block_size: Counter,
    /// Alignment the mapping was reserved with.
    pub(crate) align: Cell<usize>,
    /// Number of the reservation that the mapping is, or a part of. Neighbours of one number may become one.
    pub(crate) reservation: Cell<u64>,
    /// When the mapping became idle, in milliseconds of the purge clock; 0 while in use.
    pub(crate) idle_since: Cell<u64>,
    pub(crate) next: Cell<*mut Segment>,
    pub(crate) prev: Cell<*mut Segment>,
}

const _: () = assert!(size_of::<Segment>() <= CHUNK_SIZE, "the head is the first chunk");

impl Big {
    // ORDER: Relaxed. Who frees the block learned of it from whoever allocated it, and a walk looks for the
    // local heap that it holds, which is written here by itself.
    pub(crate) fn local(&self) -> *const LocalCore {
        self.local.load(Ordering::Relaxed)
    }
    pub(crate) fn set_local(&self, local: *const LocalCore) {
        self.local.store(local.cast_mut(), Ordering::Relaxed);
    }
}

impl Segment {
    /// All the chunks that can be handed out.
    pub(crate) const ALL: u64 = !1;

    /// The chunk that is a guard in a hardened heap.
    pub(crate) const GUARD: u64 = 1 << (CHUNKS_PER_SEGMENT - 1);

    /// The segment that `block` lies in.
    ///
    /// Not by `map_addr`: a pointer that was a box's or a reference's may reach the block and nothing else, in every
    /// model of aliasing (docs/unsafe.md). The segment's own pointer was exposed when it was made.
    #[inline(always)]
    pub(crate) fn of(block: *mut u8) -> *mut Self {
        ptr::with_exposed_provenance_mut(block.addr() & !(SEGMENT_SIZE - 1))
    }

    /// `block`, by a pointer that may reach all of it and not only what its user made of it, which can be less.
    #[inline(always)]
    pub(crate) fn whole(block: *mut u8) -> *mut u8 {
        ptr::with_exposed_provenance_mut(block.addr())
    }

    /// The index of the chunk that `block` lies in.
    #[inline(always)]
    pub(crate) fn index_of(block: *mut u8) -> usize {
        (block.addr() >> CHUNK_SHIFT) & (CHUNKS_PER_SEGMENT - 1)
    }

    /// Index of `chunk` in its segment.
    pub(crate) fn index_of_chunk(chunk: *const Chunk) -> usize {
        let segment = Self::of_chunk(chunk);
        // SAFETY: (I2) both addresses are in the same segment head.
        let first = unsafe { (&raw const (*segment).chunks).cast::<Chunk>() };
        (chunk.addr() - first.addr()) / size_of::<Chunk>()
    }

    /// The segment whose head holds `chunk`.
    pub(crate) fn of_chunk(chunk: *const Chunk) -> *mut Self {
        Self::of(chunk.cast::<u8>().cast_mut())
    }

    /// Address of the first byte of `chunk`.
    pub(crate) fn chunk_start(chunk: *const Chunk) -> *mut u8 {
        let index = Self::index_of_chunk(chunk);
        // SAFETY: (I2) a chunk's bytes lie in its segment.
        unsafe { Self::of_chunk(chunk).cast::<u8>().add(index * CHUNK_SIZE) }
    }

    /// The records of `span` chunks from `index` on.
    ///
    /// # Safety
    /// (I2) The segment is mapped for `'a`.
    pub(crate) unsafe fn run<'a>(this: *mut Self, index: usize, span: usize) -> &'a [Chunk] {
        // SAFETY: (I2) as the caller promises; everything in a record is a cell or an atomic.
        let chunks: &[Chunk; CHUNKS_PER_SEGMENT] = unsafe { &(*this).chunks };
        &chunks[index..index + span]
    }

    /// Makes a segment out of zeroed memory.
    ///
    /// # Safety
    /// `start` is aligned to [`SEGMENT_SIZE`], committed for the length of a segment head, zeroed
    /// there, and the caller's alone.
    pub(crate) unsafe fn init(
        start: NonNull<u8>,
        heap: *const HeapCore,
        kind: Kind,
        size: usize,
    ) -> *mut Self {
        let this = start.as_ptr().cast::<Self>();
        // For `of`.
        _ = this.expose_provenance();
        // SAFETY: zeroes are a valid `Segment`: integers, null pointers, `State::Free`, false.
        unsafe {
            (*this).heap.set(heap);
            (*this).kind.store(kind as u8, Ordering::Relaxed);
            (*this).size.set(size);
        }
        this
    }

    /// Bytes from the segment's start to the first block.
    pub(crate) fn head_size(&self) -> usize {
        match self.kind() {
            Kind::Chunks => CHUNK_SIZE,
            Kind::Big => self.big.offset.get(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        // ORDER: Relaxed; written once before the segment's first block is handed out.
        if self.kind.load(Ordering::Relaxed) == Kind::Chunks as u8 { Kind::Chunks } else { Kind::Big }
    }
}
