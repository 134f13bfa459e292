//! Blocks of a hardened heap: nothing that the heap relies on is in them.
//!
//! Which blocks are live is said by the chunk's marks. Per class there is a *deck*: the numbers of some free
//! blocks of the current chunk, in random order. An allocation takes the last of them; a free clears a mark, and on
//! another thread sets one (see `raw::arrivals`). When a deck is used up the slow path deals another, from the
//! blocks of the current chunk that are not live.
//!
//! The block cache's lists stay empty, so every allocation comes here by the slow path, and the words for
//! owners are no record's address, so every free does. A plain heap pays nothing on its fast paths. Chunks have
//! the same states and the same equation: a block in a deck is outstanding.

mod arrive;
mod check;
mod deck;
mod give;

use core::alloc::Layout;
use core::cell::Cell;

pub(super) use self::check::end_run;
use self::deck::Deck;
pub(super) use self::give::{free_hardened, free_own};
use super::LocalCore;
use crate::config::{CANARY_BYTES, HARD_LEAST, MAX_CLASS_SIZE};
use crate::heap::{HeapCore, Level, canary_in, canary_of};
use crate::raw::chunk::Chunk;
use crate::size_class::{CLASSES, block_size, class_of};
use crate::threads::ThreadRecord;

/// What a local heap of a hardened heap has besides.
#[derive(Debug)]
pub(crate) struct Hardened {
    /// Of each class; and one that never has a card, of requests that no class serves.
    decks: [Deck; CLASSES + 1],
    random: Cell<u64>,
    key: u64,
    /// What free blocks begin with; where there is more to be looked at, what they do not.
    quick_fill: u64,
    fill: u64,
    wipe: bool,
}

/// The word of the `owners` of a segment for a chunk of a hardened heap: no record's address, so that a free does not
/// take it for the thread's own. No program has the upper half of all addresses.
#[inline(always)]
pub(super) fn tagged(record: *const ThreadRecord) -> *const ThreadRecord {
    record.map_addr(|address| address | TAG)
}

/// The record that a chunk's owner stands for.
pub(crate) fn untagged(owner: *const ThreadRecord) -> *const ThreadRecord {
    owner.map_addr(|address| address & !TAG)
}

/// Whether a chunk's owner is that of a hardened one.
#[inline(always)]
pub(super) fn is_tagged(owner: *const ThreadRecord) -> bool {
    owner.addr() & TAG != 0
}

/// Whether a chunk's owner is that of a hardened one, or none: one comparison for both.
#[inline(always)]
pub(super) fn is_none_or_tagged(owner: *const ThreadRecord) -> bool {
    owner.addr().cast_signed() <= 0
}

const TAG: usize = 1 << (usize::BITS - 1);

/// Bytes that a block of a hardened heap must have for `layout`.
#[inline(always)]
fn padded(layout: Layout) -> usize {
    // Cannot overflow: a layout's size rounded up to its alignment fits in an `isize`.
    (layout.size() + CANARY_BYTES + layout.align() - 1) & !(layout.align() - 1)
}

/// The class that serves requests that need `bytes`, canary included, or [`CLASSES`].
fn padded_class(bytes: usize) -> usize {
    if bytes > MAX_CLASS_SIZE { CLASSES } else { class_of(bytes).max(LEAST_CLASS) }
}

const LEAST_CLASS: usize = class_of(HARD_LEAST);

/// What xorshift64* is multiplied with; a good multiplier by itself.
const STEP: u64 = 0x2545_f491_4f6c_dd1d;

impl Hardened {
    /// Builds one in place, on zeroes.
    ///
    /// # Safety
    /// `place` is zeroed, aligned and the caller's alone; the heap has its keys.
    pub(crate) unsafe fn init(place: *mut Self, heap: &HeapCore) {
        // SAFETY: as the caller promises; zeroes are empty decks.
        unsafe {
            let seed = canary_of(heap.canary_key(), place.cast()) ^ heap.fill_word();
            (&raw mut (*place).random).write(Cell::new(seed | 1));
            (&raw mut (*place).key).write(heap.canary_key());
            (&raw mut (*place).fill).write(heap.fill_word());
            let wipe = heap.level() == Level::Wipe;
            (&raw mut (*place).quick_fill).write(if wipe { !heap.fill_word() } else { heap.fill_word() });
            (&raw mut (*place).wipe).write(wipe);
        }
    }

    /// Makes an empty chunk one of `class`.
    pub(super) fn set_class(&self, chunk: &Chunk, class: usize) {
        let size = block_size(class);
        let below = if class == LEAST_CLASS { 0 } else { block_size(class - 1) };
        chunk.set_hardened_class(class, size, size - below, !self.wipe);
    }

    /// Xorshift64*: what it decides is only which free block is next.
    fn random(&self) -> u64 {
        let mut word = self.random.get();
        word ^= word >> 12;
        word ^= word << 25;
        word ^= word >> 27;
        self.random.set(word);
        word.wrapping_mul(STEP)
    }

    /// Writes what a free block has.
    ///
    /// # Safety
    /// (I1) The caller holds the block, of `size` bytes.
    #[inline(always)]
    unsafe fn fill(word: u64, wipe: bool, block: *mut u8, size: usize) {
        let words = if wipe { (size - CANARY_BYTES) / 8 } else { 2 };
        // SAFETY: as the caller promises; a block has 32 bytes at least.
        unsafe {
            for at in 0..words {
                block.cast::<u64>().add(at).write(word);
            }
        }
    }

    /// Whether a free block is as it was left.
    ///
    /// # Safety
    /// As for [`fill`](Self::fill).
    unsafe fn is_untouched(&self, block: *mut u8, size: usize) -> bool {
        let words = block.cast::<u64>();
        // SAFETY: as the caller promises.
        unsafe {
            // The canary stays where it is and is looked at when the block is freed: here it would be one more cache
            // line to wait for, which was two fifths of an allocation in larson.
            let mut changed = (words.read() ^ self.fill) | (words.add(1).read() ^ self.fill);
            if self.wipe {
                changed |= canary_in(block, size).read() ^ canary_of(self.key, block);
                for at in 2..(size - CANARY_BYTES) / 8 {
                    changed |= words.add(at).read() ^ self.fill;
                }
            }
            changed == 0
        }
    }
}

impl LocalCore {
    #[inline(always)]
    pub(super) fn hardened(&self) -> Option<&Hardened> {
        // SAFETY: null, or made with the local heap, in the same heap's memory.
        unsafe { self.hardened.as_ref() }
    }
}
