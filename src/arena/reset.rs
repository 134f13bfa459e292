//! Taking everything back at once.

use super::chunk::{Chunk, ChunkList};
use super::slow::LAST_CHUNK;
use super::{Arena, Keep};
use crate::allocator_api2::alloc::Allocator;

/// Decides chunk by chunk what stays.
struct Budget {
    keep: Keep,
    recent_peak: usize,
    /// Bytes of what stays; usable ones for the recent peak.
    kept: usize,
}

impl Budget {
    #[inline]
    fn keeps(&mut self, chunk: Chunk) -> bool {
        if self.keep == Keep::All {
            return true; // first, and by itself: what `reset` does most
        }
        let (keeps, bytes) = match self.keep {
            Keep::Nothing | Keep::All => (false, 0),
            Keep::UpTo(limit) => (chunk.size() <= limit.saturating_sub(self.kept), chunk.size()),
            Keep::RecentPeak => {
                // A chunk that was made for rounds much larger than the recent ones goes, too.
                let fits = chunk.capacity() <= LAST_CHUNK.max(2 * self.recent_peak);
                (fits && self.kept < self.recent_peak, chunk.capacity())
            }
        };
        if keeps {
            self.kept += bytes;
        }
        keeps
    }
}

/// The recent peak after one more round.
fn forgetting(recent_peak: usize, round_peak: usize) -> usize {
    round_peak.max(recent_peak - recent_peak / 8)
}

impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// Takes back all memory, and keeps as much of it as the builder's [`keep`](super::ArenaBuilder::keep)
    /// says: all, by default. No value is dropped.
    ///
    /// # Cost
    ///
    /// Some instructions where all is kept and there is one chunk; else time in the number of chunks.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut arena = blockyard::Arena::new();
    /// let first = &raw const *arena.alloc(1);
    /// arena.reset();
    /// assert_eq!(&raw const *arena.alloc(2), first); // the same place again
    /// ```
    #[inline]
    pub fn reset(&mut self) {
        self.reset_keeping(self.keep);
    }

    /// As [`reset`](Self::reset), keeping what `keep` says.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Arena, Keep};
    ///
    /// let mut arena = Arena::new();
    /// arena.alloc(1);
    /// arena.reset_keeping(Keep::Nothing);
    /// assert_eq!(arena.stats().reserved, 0);
    /// ```
    #[inline]
    pub fn reset_keeping(&mut self, keep: Keep) {
        let round_peak = self.round_peak();
        self.round_peak.set(0);
        self.low.set(usize::MAX);
        if round_peak != self.recent_peak {
            self.note_round(round_peak);
        }
        let mut budget = Budget { keep, recent_peak: self.recent_peak, kept: 0 };
        // A chunk before the current one has bytes in use or wasted, and a large block has bytes.
        let before = self.used_before.get() | self.wasted.get();
        if let Some(only) = self.chunks.head()
            && before == 0
            && self.spares.is_empty() & self.spare_larges.is_empty()
            && budget.keeps(only)
        {
            // SAFETY: (A1) where it stood at first; (A3) by `&mut self`.
            unsafe { self.bump.rise(only.end()) };
            only.hide();
            return self.publish();
        }
        budget.kept = 0;
        self.reset_slow(budget);
        self.publish();
    }

    /// As [`reset`](Self::reset), for an arena that serves one purpose after the other: where it has `small`
    /// bytes at most it keeps them all, and of more what the recent rounds needed. A round in which nothing
    /// was allocated costs next to nothing, and does not count.
    #[inline]
    pub(crate) fn reset_for_reuse(&mut self, small: usize) {
        if self.round_peak.get() == 0 && self.used() == 0 {
            return;
        }
        if self.reserved.get() <= small {
            self.reset_keeping(Keep::All);
        } else {
            self.reset_to_need(small);
        }
    }

    /// What the recent peak took with what chunks waste, which is a quarter at most, and the last chunk. By
    /// [`Keep::RecentPeak`] alone, the last chunk of each round would go and come again.
    #[inline(never)]
    fn reset_to_need(&mut self, last_chunk: usize) {
        let round_peak = self.round_peak.get().max(self.used());
        let recent_peak = forgetting(self.recent_peak, round_peak);
        self.reset_keeping(Keep::UpTo(recent_peak + recent_peak / 4 + last_chunk));
    }

    /// Out of line: a round that needs what the one before did, as frames do, has nothing to note.
    #[inline(never)]
    fn note_round(&mut self, round_peak: usize) {
        self.peak = self.peak.max(round_peak);
        self.recent_peak = forgetting(self.recent_peak, round_peak);
    }

    #[cold]
    #[inline(never)]
    fn reset_slow(&mut self, mut budget: Budget) {
        // First make the arena an empty one with spares, then look at what to keep: the child may panic.
        self.bump.clear();
        self.used_before.set(0);
        self.wasted.set(0);
        while let Some(chunk) = self.chunks.pop() {
            self.spares.insert(chunk);
        }
        // Large blocks that were kept and not used in this round go: else an arena whose large
        // blocks differ from round to round would grow for ever.
        let unused = core::mem::take(&mut self.spare_larges);
        while let Some(chunk) = self.larges.pop() {
            self.spare_larges.insert(chunk);
        }
        self.trim(unused, &mut Budget { keep: Keep::Nothing, recent_peak: 0, kept: 0 });
        let spares = core::mem::take(&mut self.spares);
        self.spares = self.trim(spares, &mut budget);
        let spare_larges = core::mem::take(&mut self.spare_larges);
        self.spare_larges = self.trim(spare_larges, &mut budget);
        self.restart();
    }

    /// Releases what the budget does not keep, and returns the rest, in order.
    fn trim(&self, list: ChunkList, budget: &mut Budget) -> ChunkList {
        let kept = ChunkList::new();
        while let Some(chunk) = list.pop() {
            if budget.keeps(chunk) {
                kept.push(chunk);
            } else {
                // SAFETY: (A2) just taken out; (A3) nothing is in a spare.
                unsafe { self.release(chunk) };
            }
        }
        let ordered = ChunkList::new();
        while let Some(chunk) = kept.pop() {
            ordered.push(chunk);
        }
        ordered
    }
}
