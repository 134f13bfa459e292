//! Decks: which free block of a class is next.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering;

use super::{Hardened, LEAST_CLASS, STEP, padded, padded_class};
use crate::config::{CANARY_BYTES, HARD_CARVE_BYTES};
use crate::heap::{Misuse, Place, canary_in, canary_of, sign_off};
use crate::local_heap::LocalCore;
use crate::local_heap::current::reopen_at;
use crate::raw::chunk::Chunk;
use crate::raw::marks::{BITS, Marks};
use crate::raw::segment::Segment;
use crate::size_class::{CLASSES, block_size};

/// Blocks dealt at once: as many as a carving of the usual sizes has, so that the order of all of them is random.
const DECK: usize = 64;

/// Numbers of free blocks of a class's current chunk, and what an allocation must know of that.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Deck {
    len: Cell<usize>,
    /// Bytes in a block.
    size: Cell<usize>,
    /// The chunk's first byte.
    start: Cell<*mut u8>,
    marks: Cell<Marks>,
    cards: [Cell<u16>; DECK],
}

impl Deck {
    fn clear(&self) {
        self.len.set(0);
    }
}

/// By the class that would serve a request without the canary: what it has room for besides the canary, and the class
/// that serves more than that, or [`CLASSES`] where none does. No two classes are closer than a canary, but for those
/// that are too small anyway.
static WITH_CANARY: [(u16, u16); CLASSES] = {
    let mut table = [(0, 0); CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let room = if class < LEAST_CLASS { 0 } else { block_size(class) - CANARY_BYTES };
        let next = if class < LEAST_CLASS { LEAST_CLASS } else { class + 1 };
        table[class] = (room as u16, next as u16);
        class += 1;
    }
    table
};

/// A number below `bound`, which fits in 32 bits, by the upper half of a random word.
#[inline(always)]
fn pick(random: u64, bound: usize) -> usize {
    ((random >> 32) as usize * bound) >> 32
}

impl Hardened {
    /// Puts free blocks of `chunk` on a deck that has none, in random order; returns how many.
    ///
    /// # Safety
    /// (I4) The chunk is the caller's.
    unsafe fn collect(&self, chunk: &Chunk, deck: &Deck) -> usize {
        let carved = chunk.carved.get();
        if carved == 0 {
            return 0;
        }
        // SAFETY: (I2) ours, so it is mapped.
        let marks = unsafe { Marks::of_chunk(chunk) };
        let (words, last) = (Marks::words(carved), carved as usize % BITS);
        let mut random = self.random() | 1;
        let start = pick(random, words);
        let (mut word, mut len) = (start, 0);
        loop {
            // ORDER: Relaxed: only the owner writes there.
            let mut free = !marks.live(word).load(Ordering::Relaxed);
            if word + 1 == words && last != 0 {
                free &= (1 << last) - 1;
            }
            while free != 0 && len < DECK {
                // Shuffled as they come: the next one's place is one of those so far, whose card goes to the end.
                random = random.wrapping_mul(STEP);
                let place = pick(random, len + 1);
                // SAFETY: there are fewer than `DECK`, and the place is one of them or the next.
                unsafe {
                    let card = deck.cards.get_unchecked(place);
                    deck.cards.get_unchecked(len).set(card.get());
                    card.set((word * BITS + free.trailing_zeros() as usize) as u16);
                }
                free &= free - 1;
                len += 1;
            }
            word = if word + 1 == words { 0 } else { word + 1 };
            if word == start || len == DECK {
                return len;
            }
        }
    }
}

impl LocalCore {
    /// A block for `layout`; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record, and this is a local heap of a hardened heap.
    // Calls nothing but at its ends, so that no registers are to be saved.
    #[inline(never)]
    pub(in crate::local_heap) unsafe fn alloc_hardened(
        &self,
        hardened: &Hardened,
        class: usize,
        layout: Layout,
    ) -> *mut u8 {
        // SAFETY: (I7) passed on; (I4) the deck's blocks are of the current chunk and free. The class is one, there is
        // a deck more than there are classes, and the cards of a deck are fewer than `DECK`.
        unsafe {
            let (room, next) = *WITH_CANARY.get_unchecked(class);
            let class = if layout.size() <= room as usize {
                class
            } else if layout.align() <= CANARY_BYTES {
                next as usize
            } else {
                padded_class(padded(layout))
            };
            let deck = hardened.decks.get_unchecked(class);
            let Some(left) = deck.len.get().checked_sub(1) else {
                return self.alloc_carefully(hardened, class, layout);
            };
            let number = deck.cards.get_unchecked(left).get() as usize;
            let block = deck.start.get().add(number * deck.size.get());
            let words = block.cast::<u64>();
            if words.read() != hardened.quick_fill || words.add(1).read() != hardened.quick_fill {
                return self.alloc_carefully(hardened, class, layout);
            }
            deck.len.set(left);
            deck.marks.get().set_live(number, true);
            self.blocks.classes.get_unchecked(class).taken.count(layout.size());
            block
        }
    }

    /// The same where the class's deck is used up, or the next block is to be looked at to its end or was written to.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_carefully(&self, hardened: &Hardened, class: usize, layout: Layout) -> *mut u8 {
        let deck = &hardened.decks[class];
        // SAFETY: (I7) passed on; (I4) as above.
        unsafe {
            if class == CLASSES {
                return self.alloc_large(layout, false);
            }
            if deck.len.get() == 0 && !self.restock(hardened, class) {
                return ptr::null_mut();
            }
            let left = deck.len.get() - 1;
            deck.len.set(left);
            let (number, size) = (deck.cards[left].get() as usize, deck.size.get());
            let block = deck.start.get().add(number * size);
            if !hardened.is_untouched(block, size) {
                self.heap().report(Misuse::WriteAfterFree, block, Place::Class(size));
            }
            deck.marks.get().set_live(number, true);
            self.blocks.classes[class].taken.count(layout.size());
            block
        }
    }

    /// Deals blocks of `class`. False when out of memory.
    unsafe fn restock(&self, hardened: &Hardened, class: usize) -> bool {
        // SAFETY: (I7) passed on; (I4) listed and current chunks are ours.
        unsafe {
            if self.count_miss() {
                self.look_at_clock();
                // A look calls sources, which may free and allocate here.
                if hardened.decks[class].len.get() != 0 {
                    return true;
                }
            }
            if self.blocks.classes[class].taken.is_enough() {
                self.settle_taken(class);
            }
            if (*self.record).is_nudged() {
                sign_off(self.record);
            }
            self.take_home();
            if self.restock_from_ours(hardened, class) {
                return true;
            }
            self.relieve();
            self.restock_from_ours(hardened, class)
        }
    }

    unsafe fn restock_from_ours(&self, hardened: &Hardened, class: usize) -> bool {
        // SAFETY: (I7) passed on; (I4) as above.
        unsafe {
            loop {
                if self.deal(hardened, class, true) {
                    return true;
                }
                // What is left of the current chunk waits until more of it is free, and listed chunks have more:
                // else every allocation would look for the few that are.
                if !self.available[class].is_empty() {
                    self.leave_current(class);
                    if let Some(next) = self.available[class].pop_front() {
                        self.make_current(class, next);
                        continue;
                    }
                }
                if self.replace_current(class).is_none() {
                    return self.deal(hardened, class, false);
                }
            }
        }
    }

    /// Deals blocks of the current chunk, carving more of it if need be. False if there are none, or fewer
    /// than are worth it if they are to be.
    unsafe fn deal(&self, hardened: &Hardened, class: usize, worth: bool) -> bool {
        // SAFETY: (I4) ours, or the empty one.
        unsafe {
            let chunk = &*self.current[class].get();
            let deck = &hardened.decks[class];
            if chunk.capacity.get() == 0 {
                return false;
            }
            if chunk.countdown.is_enough() {
                self.settle(chunk);
            }
            // In the course of going home, leaving and relieving, chunks' events may have come here already.
            debug_assert_eq!(deck.len.get(), 0);
            let least = if worth { reopen_at(chunk) as usize } else { 1 };
            let mut len = hardened.collect(chunk, deck);
            if len < least && chunk.carved.get() < chunk.capacity.get() {
                self.carve_hardened(hardened, chunk);
                len = hardened.collect(chunk, deck);
            } else if len < least {
                return false;
            }
            deck.size.set(chunk.block_size());
            deck.start.set(Segment::chunk_start(chunk));
            deck.marks.set(Marks::of_chunk(chunk));
            deck.len.set(len);
            self.moving(|| chunk.hand_over(len as u32));
            true
        }
    }

    /// Makes free blocks of the next pages of a chunk.
    unsafe fn carve_hardened(&self, hardened: &Hardened, chunk: &Chunk) {
        let (size, carved) = (chunk.block_size(), chunk.carved.get());
        let count = ((HARD_CARVE_BYTES / size).max(1) as u32).min(chunk.capacity.get() - carved);
        for number in carved..carved + count {
            // SAFETY: (I3) the block lies in the chunk and is nobody's.
            unsafe {
                let block = Segment::chunk_start(chunk).add(number as usize * size);
                Hardened::fill(hardened.fill, hardened.wipe, block, size);
                canary_in(block, size).write(canary_of(hardened.key, block));
            }
        }
        self.moving(|| chunk.carved.set(carved + count));
        self.note_touched(chunk);
    }

    /// Blocks of `class` on the deck.
    pub(in crate::local_heap) fn dealt(&self, class: usize) -> u64 {
        self.hardened().map_or(0, |hardened| hardened.decks[class].len.get() as u64)
    }

    /// Gives the deck's blocks back to the current chunk.
    pub(in crate::local_heap) unsafe fn undeal(&self, hardened: &Hardened, class: usize) {
        let deck = &hardened.decks[class];
        let len = deck.len.get() as u64;
        if len != 0 {
            // SAFETY: (I4) ours.
            let chunk = unsafe { &*self.current[class].get() };
            self.moving(|| {
                deck.clear();
                chunk.handed.set(chunk.handed.get() - len);
                chunk.countdown.lower(len);
            });
        }
    }
}
