//! Blocks of a hardened heap: nothing that the heap relies on is in them.
//!
//! Which blocks are live is said by the chunk's marks. Per class there is a *deck*: the numbers of some free
//! blocks of the current chunk, in random order. An allocation takes the last of them; a free clears a mark, and on
//! another thread sets one (see `raw::arrivals`). When a deck is used up the slow path deals another, from the
//! blocks of the current chunk that are not live.
//!
//! The block cache's lists stay empty, so every allocation comes here by the slow path, and the words for
//! owners are no record's address, so every free does. A plain heap pays nothing on its fast paths. Chunks have the same states and the
//! same equation: a block in a deck is outstanding.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering;

use super::slow::{REOPEN, REOPEN_MAX};
use super::{LocalCore, free};
use crate::config::{CANARY_BYTES, HARD_CARVE_BYTES, HARD_LEAST, MAX_CLASS_SIZE, MAX_SPAN_SIZE, PAGE_SIZE};
use crate::heap::{GLOBAL, HeapCore, Level, Misuse, Place, canary_in, canary_of, sign_off};
use crate::raw::arrivals::{ArrivalList, Arrivals};
use crate::raw::chunk::{Chunk, State};
use crate::raw::marks::{BITS, Marks};
use crate::raw::segment::{Kind, Segment};
use crate::size_class::{CLASSES, class_of};
use crate::threads::{ThreadRecord, UNBOUND};

/// Blocks dealt at once: as many as a carving of the usual sizes has, so that the order of all of them is random.
const DECK: usize = 64;

/// What a local heap of a hardened heap has besides.
#[derive(Debug)]
pub(crate) struct Hardened {
    decks: [Deck; CLASSES],
    random: Cell<u64>,
    key: u64,
    fill: u64,
    wipe: bool,
}

/// Numbers of free blocks of a class's current chunk.
#[derive(Debug)]
struct Deck {
    len: Cell<usize>,
    cards: [Cell<u16>; DECK],
}

impl Deck {
    fn clear(&self) {
        self.len.set(0);
    }
}

/// The word of the `owners` of a segment for a chunk of a hardened heap: no record's address, so that a free does not take it
/// for the thread's own. No program has the upper half of all addresses.
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
    ((layout.size() + CANARY_BYTES).max(HARD_LEAST) + layout.align() - 1) & !(layout.align() - 1)
}

/// Free blocks that a full chunk waits for.
fn reopen_at(chunk: &Chunk) -> u32 {
    (chunk.capacity.get() / REOPEN).clamp(1, REOPEN_MAX)
}

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
            (&raw mut (*place).wipe).write(heap.level() == Level::Wipe);
        }
    }

    /// Xorshift64*: what it decides is only which free block is next.
    fn random(&self) -> u64 {
        let mut word = self.random.get();
        word ^= word >> 12;
        word ^= word << 25;
        word ^= word >> 27;
        self.random.set(word);
        word.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    fn below(&self, bound: usize) -> usize {
        ((u128::from(self.random()) * bound as u128) >> 64) as usize
    }

    /// Puts free blocks of `chunk` on a deck that has none, from a random place on; returns how many.
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
        let words = Marks::words(carved);
        let start = if words > 1 { self.below(words) } else { 0 };
        let mut len = 0;
        for word in (start..words).chain(0..start) {
            // ORDER: Relaxed: only the owner writes there.
            let mut free = !marks.live(word).load(Ordering::Relaxed);
            if word + 1 == words && !(carved as usize).is_multiple_of(BITS) {
                free &= (1 << (carved as usize % BITS)) - 1;
            }
            while free != 0 {
                if len == DECK {
                    return len;
                }
                deck.cards[len].set((word * BITS + free.trailing_zeros() as usize) as u16);
                free &= free - 1;
                len += 1;
            }
        }
        len
    }

    fn shuffle(&self, cards: &[Cell<u16>]) {
        let mut bits = 0;
        for last in (1..cards.len()).rev() {
            // A random word is good for four cards, of 64 at most.
            bits = if last % 4 == 3 || bits == 0 { self.random() } else { bits >> 16 };
            cards[last].swap(&cards[((bits & 0xffff) as usize * (last + 1)) >> 16]);
        }
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
    #[inline(always)]
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

    /// A block for `layout`; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record, and this is a local heap of a hardened heap.
    #[inline(never)]
    pub(super) unsafe fn alloc_hardened(&self, hardened: &Hardened, layout: Layout) -> *mut u8 {
        let size = padded(layout);
        // SAFETY: (I7) passed on; (I4) the deck's blocks are of the current chunk and free.
        unsafe {
            if size > MAX_CLASS_SIZE {
                return self.alloc_large(layout, false);
            }
            let class = class_of(size);
            let deck = &hardened.decks[class];
            if deck.len.get() == 0 && !self.restock(hardened, class) {
                return ptr::null_mut();
            }
            let left = deck.len.get() - 1;
            deck.len.set(left);
            let number = deck.cards[left].get() as usize;
            let chunk = self.current[class].get();
            let (segment, index) = (Segment::of_chunk(chunk), Segment::index_of_chunk(chunk));
            let size = (*chunk).block_size();
            let block = Segment::chunk_start(chunk).add(number * size);
            if !hardened.is_untouched(block, size) {
                self.heap().report(Misuse::WriteAfterFree, block, Place::Class(size));
            }
            Marks::of(segment, index).set_live(number, true);
            self.blocks.classes[class].taken.count(layout.size());
            block
        }
    }

    /// Deals blocks of `class`. False when out of memory.
    #[cold]
    #[inline(never)]
    unsafe fn restock(&self, hardened: &Hardened, class: usize) -> bool {
        // SAFETY: (I7) passed on; (I4) listed and current chunks are ours.
        unsafe {
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
            hardened.shuffle(&deck.cards[..len]);
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
    pub(super) fn dealt(&self, class: usize) -> u64 {
        self.hardened().map_or(0, |hardened| hardened.decks[class].len.get() as u64)
    }

    /// Gives the deck's blocks back to the current chunk.
    pub(super) unsafe fn undeal(&self, hardened: &Hardened, class: usize) {
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

    /// Takes in what other threads freed of our chunks.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(super) unsafe fn take_arrivals(&self) {
        let mut next = self.arrived.take();
        while !next.is_null() {
            // SAFETY: (I4) what others announce to us are our chunks; one with arrivals not taken yet is not
            // empty, so it stays ours. The pointer was made from one to the chunk's whole record.
            unsafe {
                let chunk = &*next.byte_sub(core::mem::offset_of!(Chunk, arrivals)).cast::<Chunk>();
                debug_assert!(ptr::eq(chunk.local(), self));
                // Before the count is taken: then the chunk may be listed again.
                next = chunk.arrivals.next();
                self.take_arrivals_of(chunk);
                if chunk.state() != State::Current {
                    self.chunk_event(chunk);
                }
            }
        }
    }

    unsafe fn take_arrivals_of(&self, chunk: &Chunk) {
        // SAFETY: (I2) ours, so it is mapped.
        let marks = unsafe { Marks::of_chunk(chunk) };
        self.moving(|| {
            let (count, bytes) = chunk.arrivals.take_count();
            let mut taken = 0;
            for word in 0..Marks::words(chunk.capacity.get()) {
                let bits = Arrivals::take_bits(marks.given(word));
                let live = marks.live(word).load(Ordering::Relaxed);
                if bits & !live != 0 {
                    let number = word * BITS + (bits & !live).trailing_zeros() as usize;
                    let size = chunk.block_size();
                    let block = Segment::chunk_start(chunk).wrapping_add(number * size);
                    self.heap().report(Misuse::DoubleFree, block, Place::Class(size));
                }
                marks.live(word).store(live & !bits, Ordering::Relaxed);
                taken += u64::from(bits.count_ones());
            }
            // Every block that was counted has its bit set, now or when the bits were taken before.
            let early = u64::from(chunk.early.get()) + taken - count;
            chunk.early.set(early as u16);
            chunk.countdown.count(count, bytes);
            self.totals[chunk.class()].received.add(count);
        });
    }

    /// Whether a chunk of ours that is full has free blocks after all.
    pub(super) fn has_free_blocks(&self, chunk: &Chunk) -> bool {
        if self.hardened.is_null() {
            !chunk.recent.is_empty()
        } else {
            chunk.outstanding() < u64::from(chunk.capacity.get()) + u64::from(chunk.early.get())
        }
    }

    /// Whether a chunk that is left has so few free blocks that it may wait as full.
    pub(super) fn is_as_good_as_full(&self, chunk: &Chunk) -> bool {
        let few = if self.hardened.is_null() {
            chunk.recent.is_empty()
        } else {
            let taken = chunk.outstanding().saturating_sub(u64::from(chunk.early.get()));
            taken > u64::from(chunk.capacity.get() - reopen_at(chunk))
        };
        few && chunk.carved.get() == chunk.capacity.get()
    }

    /// A block for `new` with the contents of the block for `old`, which is of a hardened heap; null when out
    /// of memory. It stays where it is if `new` would be served by as large a block.
    ///
    /// # Safety
    /// (I7) The caller holds the record; (I1) as for [`realloc`](Self::realloc).
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn realloc_hardened(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: (I1) passed on; (I2) the block is live, so its segment is mapped.
        unsafe {
            let over = free::over_aligned(self.heap(), block);
            let segment = over.unwrap_or_else(|| Segment::of(block));
            let heap = &*(*segment).heap.get();
            if block.addr() & (new.align() - 1) == 0 && old.align() == new.align() {
                let (size, place) = (padded(new), check_block(heap, segment, block, Some(old)));
                let large = (new.size() + CANARY_BYTES).next_multiple_of(PAGE_SIZE);
                let same = match place {
                    Place::Class(has) => {
                        size <= MAX_CLASS_SIZE && has == crate::size_class::block_size(class_of(size))
                    }
                    Place::Run(has) => size > MAX_CLASS_SIZE && has == large,
                    Place::Mapping(has) => new.size() + CANARY_BYTES > MAX_SPAN_SIZE && has == large,
                    Place::Elsewhere => false,
                };
                if same {
                    self.count_resize(heap, old.size(), new.size());
                    return block;
                }
            }
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, old.size().min(new.size()));
                free::free_layout(|| heap, self.record(), block, old);
            }
            moved
        }
    }
}

/// What a hardened heap can tell of a block that it is asked to free or resize. Ends the process if it cannot be
/// a live block for `layout`.
///
/// # Safety
/// `segment` is a segment of `heap`, which is hardened.
unsafe fn check_block(
    heap: &HeapCore,
    segment: *mut Segment,
    block: *mut u8,
    layout: Option<Layout>,
) -> Place {
    // SAFETY: (I2) the segment is mapped, or nothing about the block would be known.
    unsafe {
        if (*segment).kind() == Kind::Big {
            return heap.check_big(segment, block, layout);
        }
        let chunk = super::slow::chunk_of(block);
        match (*chunk).state() {
            State::Span => check_run(heap, chunk, block, layout),
            State::Current | State::Available | State::Full => {
                check_cell(heap, chunk, block, layout);
                Place::Class((*chunk).block_size())
            }
            State::Free | State::Cached => heap.report(Misuse::DoubleFree, block, Place::Elsewhere),
            State::Tail | State::Metadata => heap.report(Misuse::InvalidFree, block, Place::Elsewhere),
        }
    }
}

/// The number of a block in its chunk, which is one of blocks.
///
/// # Safety
/// (I2) As for [`check_block`]; the chunk is hardened, and of blocks.
#[inline(always)]
unsafe fn check_cell(heap: &HeapCore, chunk: *const Chunk, block: *mut u8, layout: Option<Layout>) -> usize {
    // SAFETY: (I2) passed on; (I1) a live block is the caller's.
    unsafe {
        let size = (*chunk).block_size();
        let distance = block.addr().wrapping_sub(Segment::chunk_start(chunk).addr());
        let Some(number) = (*chunk).number_at(distance) else {
            heap.report(Misuse::InvalidFree, block, Place::Class(size));
        };
        if !Marks::of_chunk(chunk).is_live(number) {
            heap.report(Misuse::DoubleFree, block, Place::Class(size));
        }
        if let Some(layout) = layout {
            let padded = padded(layout);
            if padded > MAX_CLASS_SIZE || class_of(padded) != (*chunk).class() {
                heap.report(Misuse::WrongSize, block, Place::Class(size));
            }
        }
        if canary_in(block, size).read() != canary_of(heap.canary_key(), block) {
            heap.report(Misuse::Overflow, block, Place::Class(size));
        }
        number
    }
}

unsafe fn check_run(heap: &HeapCore, chunk: *const Chunk, block: *mut u8, layout: Option<Layout>) -> Place {
    // SAFETY: (I2) passed on; (I1) a live block is the caller's.
    unsafe {
        let size = (*chunk).block_size();
        let place = Place::Run(size);
        if block != Segment::chunk_start(chunk) {
            heap.report(Misuse::InvalidFree, block, place);
        }
        if layout.is_some_and(|layout| (layout.size() + CANARY_BYTES).next_multiple_of(PAGE_SIZE) != size) {
            heap.report(Misuse::WrongSize, block, place);
        }
        if !Marks::of_chunk(chunk).is_live(0) {
            heap.report(Misuse::DoubleFree, block, place);
        }
        heap.check_seal(block, size, place);
        place
    }
}

/// Checks a run that is to be freed, and marks it as free: of two threads that do so one is reported.
///
/// # Safety
/// (I1) The caller gives up the run's block; its heap is hardened.
#[cold]
pub(super) unsafe fn end_run(heap: &HeapCore, chunk: *const Chunk, block: *mut u8, layout: Option<Layout>) {
    // SAFETY: (I1), (I2) passed on.
    unsafe {
        let place = check_run(heap, chunk, block, layout);
        if !Marks::of_chunk(chunk).end_run() {
            heap.report(Misuse::DoubleFree, block, place);
        }
        if heap.level() == Level::Wipe {
            Hardened::fill(heap.fill_word(), true, block, (*chunk).block_size());
        }
    }
}

/// Frees a block of a hardened chunk of blocks.
///
/// # Safety
/// (I1) The caller gives up `block`, which lies in the run of `chunk`, whose owner is that of `owner`.
#[inline(never)]
pub(super) unsafe fn free_hardened(
    record: *const ThreadRecord,
    owner: *const ThreadRecord,
    chunk: *const Chunk,
    block: *mut u8,
    layout: Option<Layout>,
) {
    // SAFETY: (I2) the chunk has an owner, so its segment is mapped; (I1) passed on. (I4) What this thread's record owns is
    // this thread's.
    unsafe {
        let segment = Segment::of_chunk(chunk);
        let heap = &*(*segment).heap.get();
        let number = check_cell(heap, chunk, block, layout);
        let size = (*chunk).block_size();
        Hardened::fill(heap.fill_word(), heap.level() == Level::Wipe, block, size);
        let requested = layout.map_or(size - CANARY_BYTES, |layout| layout.size());
        if owner == tagged(record) {
            Marks::of_chunk(chunk).set_live(number, false);
            if (*chunk).countdown.count(1, requested as u64) {
                (*(*chunk).local()).chunk_event(&*chunk);
            }
        } else {
            send_home(record, heap, chunk, number, block, requested);
        }
    }
}

/// Gives a block to its owner, another thread.
unsafe fn send_home(
    record: *const ThreadRecord,
    heap: &HeapCore,
    chunk: *const Chunk,
    number: usize,
    block: *mut u8,
    requested: usize,
) {
    // SAFETY: (I7) a record that is not the one for none is this thread's.
    let known = if record == UNBOUND { None } else { unsafe { (*record).outbox(heap.id) } };
    let sender = match known {
        _ if heap.is_dropped() => None,
        Some(local) => Some(local),
        None if ptr::eq(heap, &GLOBAL) => crate::global::own(),
        None => heap.local(),
    };
    // SAFETY: (I7) this thread's own local heap; (I1), (I2) passed on: the block is live until it is given. (I6) So is its
    // owner, and the heap while it is held.
    unsafe {
        if let Some(sender) = sender {
            if known.is_none() && (*sender).record() == record {
                (*record).set_outbox(heap.id, sender);
            }
            (*sender).totals[(*chunk).class()].returned.add(1);
        }
        let (owner, size) = ((*chunk).local(), (*chunk).block_size());
        let marks = Marks::of_chunk(chunk);
        let given = marks.given(number / BITS);
        heap.while_held(owner, || {
            let (arrivals, list): (_, &ArrivalList) = (&raw const (*chunk).arrivals, &(&*owner).arrived);
            if !Arrivals::give(arrivals, given, 1 << (number % BITS), requested, list) {
                heap.report(Misuse::DoubleFree, block, Place::Class(size));
            }
        });
    }
}
