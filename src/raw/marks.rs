//! A hardened heap's marks: two bits per block, in the segment's head.

use core::sync::atomic::Ordering;

use super::chunk::Chunk;
use super::segment::Segment;
use crate::config::{CHUNK_SIZE, CHUNKS_PER_SEGMENT, HARD_LEAST, MARK_BYTES, MARKS_OFFSET};
use crate::sync::AtomicUsize;

/// Words of one chunk's bits of one kind.
const WORDS: usize = MARK_BYTES / size_of::<usize>();
/// Bits in a word.
pub(crate) const BITS: usize = usize::BITS as usize;

/// The marks of one chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    live: *const AtomicUsize,
    given: *const AtomicUsize,
}

const _: () = assert!(size_of::<Segment>() <= MARKS_OFFSET);
const _: () = assert!(WORDS * BITS * HARD_LEAST == CHUNK_SIZE);

impl Marks {
    /// Those of the chunk at `index`.
    ///
    /// # Safety
    /// (I2) The segment is a hardened heap's, of chunks, and mapped as long as the marks are used.
    #[inline(always)]
    pub(crate) unsafe fn of(segment: *mut Segment, index: usize) -> Self {
        debug_assert!(index < CHUNKS_PER_SEGMENT);
        // SAFETY: (I2) both lie in the segment's head.
        unsafe {
            let live = segment.cast::<u8>().add(MARKS_OFFSET + index * MARK_BYTES);
            let given = live.add(CHUNKS_PER_SEGMENT * MARK_BYTES);
            Self { live: live.cast(), given: given.cast() }
        }
    }

    /// Those of `chunk`.
    ///
    /// # Safety
    /// As for [`of`](Self::of).
    #[inline(always)]
    pub(crate) unsafe fn of_chunk(chunk: *const Chunk) -> Self {
        // SAFETY: (I2) passed on.
        unsafe { Self::of(Segment::of_chunk(chunk), Segment::index_of_chunk(chunk)) }
    }

    /// The word of a block's bit that is set while a caller holds it. The owner writes it, with plain stores, or
    /// where the chunk is a run that is one block whoever holds that.
    #[inline(always)]
    pub(crate) fn live(&self, word: usize) -> &AtomicUsize {
        debug_assert!(word < WORDS);
        // SAFETY: (I2) as in `of`; blocks are numbered below `WORDS * BITS`, since none is below 32 bytes.
        unsafe { &*self.live.add(word) }
    }

    /// The word of a block's bit that is set when another thread gave the block back; see `arrivals`.
    #[inline(always)]
    pub(crate) fn given(&self, word: usize) -> &AtomicUsize {
        debug_assert!(word < WORDS);
        // SAFETY: (I2) as in `live`.
        unsafe { &*self.given.add(word) }
    }

    /// Words that hold the bits of `blocks` blocks.
    pub(crate) fn words(blocks: u32) -> usize {
        (blocks as usize).div_ceil(BITS)
    }

    /// Sets or clears the bit of block `number`. Owner only.
    #[inline(always)]
    pub(crate) fn set_live(&self, number: usize, live: bool) {
        let (word, bit) = (self.live(number / BITS), 1 << (number % BITS));
        // ORDER: Relaxed: who frees a block learned of it from whoever got it, and its bit has been set since.
        let now = word.load(Ordering::Relaxed);
        word.store(if live { now | bit } else { now & !bit }, Ordering::Relaxed);
    }

    /// Whether a caller holds block `number`, and has not given it back on another thread either.
    #[inline(always)]
    pub(crate) fn is_live(&self, number: usize) -> bool {
        let word = number / BITS;
        let bits = self.live(word).load(Ordering::Relaxed) & !self.given(word).load(Ordering::Relaxed);
        bits >> (number % BITS) & 1 == 1
    }

    /// As [`live`](Self::live), of the chunk at `index`.
    ///
    /// # Safety
    /// As for [`of`](Self::of); a chunk has so many words.
    #[inline(always)]
    pub(crate) unsafe fn live_word<'a>(segment: *mut Segment, index: usize, word: usize) -> &'a AtomicUsize {
        debug_assert!(word < WORDS);
        // SAFETY: (I2) as in `of`.
        unsafe { &*Self::of(segment, index).live.add(word) }
    }

    /// Clears the bit of a run that is one block, on any thread; false if it was clear.
    pub(crate) fn end_run(&self) -> bool {
        // ORDER: Relaxed: the run is handed on under the pool's lock.
        self.live(0).fetch_and(!1, Ordering::Relaxed) & 1 == 1
    }
}
