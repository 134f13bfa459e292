//! Which chunk a class allocates from: how chunks come, take turns, wait for blocks, and go.

use core::ptr;
use core::sync::atomic::Ordering;

use super::LocalCore;
use super::hardened::tagged;
use crate::config::{CHUNK_SIZE, DENSE_AFTER};
use crate::heap::Purpose;
use crate::raw::chunk::{Chunk, EMPTY, State};
use crate::raw::segment::Segment;
use crate::size_class::{block_size, span_of};

/// A full chunk is looked at again when one block in so many is free, [`REOPEN_MAX`] at most. At the
/// first free block it would be taken up for one allocation, and be full again: two visits to the
/// slow path for every pair in a program that replaces blocks at random.
const REOPEN: u32 = 16;
/// See [`REOPEN`].
const REOPEN_MAX: u32 = 32;

/// Free blocks that a full chunk waits for.
#[inline(always)]
pub(super) fn reopen_at(chunk: &Chunk) -> u32 {
    (chunk.capacity.get() / REOPEN).clamp(1, REOPEN_MAX)
}

/// Every method here asks the same of its caller: (I7) to hold this local heap's record.
impl LocalCore {
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
        self.moving(|| unpin(chunk, full));
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

    /// Leaves the current chunk, which has blocks out and none in the block cache, for `next`, just taken from the
    /// list: in one move, since classes with few blocks in a chunk do this at most allocations.
    #[inline(always)]
    pub(super) unsafe fn rotate(&self, class: usize, next: *const Chunk) {
        debug_assert!(self.blocks.is_empty(class));
        // SAFETY: (I4) both are ours: the caller took `next` from the list, and a current chunk that has blocks out is
        // not the empty one. Nothing is called here that could give either up.
        unsafe {
            let (chunk, next) = (&*self.current[class].replace(next), &*next);
            let full = self.is_as_good_as_full(chunk);
            self.moving(|| {
                unpin(chunk, full);
                pin(next);
            });
            chunk.check();
            next.check();
            if !full {
                self.available[class].push_back(chunk);
            }
        }
    }

    pub(super) unsafe fn make_current(&self, class: usize, chunk: *const Chunk) {
        // SAFETY: (I4) ours, in no list.
        let chunk = unsafe { &*chunk };
        self.moving(|| pin(chunk));
        self.current[class].set(chunk);
        chunk.check();
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
            // ORDER: Relaxed, as the load in `free::free` says.
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
            // ORDER: Relaxed, as the load in `free::free` says.
            (*segment).owners[index].store(ptr::null_mut(), Ordering::Relaxed);
        }
        if span != 1 || !self.chunks.push(chunk) {
            self.heap().give_chunks(chunk, span as usize);
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
}

/// Makes a chunk a current one, by its counts.
#[inline(always)]
fn pin(chunk: &Chunk) {
    chunk.set_state(State::Current);
    chunk.countdown.raise(1);
}

/// Makes a current chunk one that waits for blocks, or has some: see `raw::chunk`.
#[inline(always)]
fn unpin(chunk: &Chunk, full: bool) {
    if full {
        chunk.withheld.set(u64::from(chunk.capacity.get() - reopen_at(chunk)));
        chunk.countdown.lower(1 + chunk.withheld.get());
        chunk.set_state(State::Full);
    } else {
        chunk.countdown.lower(1);
        chunk.set_state(State::Available);
    }
}
