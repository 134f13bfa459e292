//! What one thread may take and give back without asking anybody.
//!
//! A line is written by its owner with plain stores, on every call. Whoever wants to know for certain what the owner has,
//! or wants it for somebody else, closes the line: it changes the bounds, has the system run a barrier on every processor
//! that runs a thread of the process, and looks. Owner and closer each say what they do before they look at the other's
//! word, so one of them sees the other: see (L2).

use crate::sync::{AtomicIsize, Ordering::Relaxed, barrier_of_one};

/// `lower` of a closed line, which no `left` reaches.
const CLOSED_BELOW: isize = isize::MAX;
/// `upper` of a closed line.
const CLOSED_ABOVE: isize = isize::MIN;

/// `granted` of a closed line.
const NOT_OPEN: isize = -1;

/// Nobody has seen `left`.
const UNSEEN: isize = -1;

/// One thread's words of one [`Meter`](super::Meter). One line of the cache.
///
/// (L2) The owner stores `left` and looks at the bounds after that; a closer stores the bounds and looks at `left` after
/// that, with the pair of barriers between. So what a closer reads holds every step that found the line open; the
/// owner's next step finds it closed, and may be in what was read, or not: `seen` says so.
#[derive(Debug)]
#[cfg_attr(not(loom), repr(C, align(64)))]
pub(crate) struct Line {
    /// Bytes that may be taken. The owner's.
    left: AtomicIsize,
    /// The least that `left` may become unnoticed. Raised by closing, under the lock of the meter's holder; lowered by the
    /// owner where nobody has closed it.
    lower: AtomicIsize,
    /// The most that `left` may become unnoticed. Under the same lock.
    upper: AtomicIsize,
    /// What `left` was when the line was opened, and how far `upper` was above that where that counts. Under the same lock.
    granted: AtomicIsize,
    down: AtomicIsize,
    /// What the last closer found in `left`. Under the same lock.
    seen: AtomicIsize,
    /// For the meter's holder.
    pub(crate) counts: [AtomicIsize; 2],
}

impl Line {
    /// A closed one.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            left: AtomicIsize::new(0),
            lower: AtomicIsize::new(CLOSED_BELOW),
            upper: AtomicIsize::new(CLOSED_ABOVE),
            granted: AtomicIsize::new(NOT_OPEN),
            down: AtomicIsize::new(0),
            seen: AtomicIsize::new(UNSEEN),
            counts: [const { AtomicIsize::new(0) }; 2],
        }
    }
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            left: AtomicIsize::new(0),
            lower: AtomicIsize::new(CLOSED_BELOW),
            upper: AtomicIsize::new(CLOSED_ABOVE),
            granted: AtomicIsize::new(NOT_OPEN),
            down: AtomicIsize::new(0),
            seen: AtomicIsize::new(UNSEEN),
            counts: [AtomicIsize::new(0), AtomicIsize::new(0)],
        }
    }

    /// A step of the owner's: so many bytes less. False where that is to be looked at, by [`Step`].
    #[inline(always)]
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let left = self.left.load(Relaxed).wrapping_sub_unsigned(bytes);
        // ORDER: Relaxed, as is the load; the barriers of both sides order them (L2).
        self.left.store(left, Relaxed);
        barrier_of_one();
        left >= self.lower.load(Relaxed)
    }

    /// A step of the owner's: so many bytes more. False where that is to be looked at.
    #[inline(always)]
    pub(crate) fn give(&self, bytes: usize) -> bool {
        let left = self.left.load(Relaxed).wrapping_add_unsigned(bytes);
        // ORDER: as in `take`.
        self.left.store(left, Relaxed);
        barrier_of_one();
        left <= self.upper.load(Relaxed)
    }

    /// Makes the step that took `left` below `lower`, but not below zero, count. The lower bound that it had; `None` where
    /// the line was closed.
    ///
    /// The owner's, after a [`take`](Self::take) that was false.
    pub(crate) fn lower_to_left(&self) -> Option<isize> {
        let (left, lower) = (self.left.load(Relaxed), self.lower.load(Relaxed));
        let may = lower != CLOSED_BELOW && (0..lower).contains(&left);
        // ORDER: Relaxed; who closes the line either finds what is stored here, and then what `take` stored in `left`, or
        // is found (L2).
        (may && self.lower.compare_exchange(lower, left, Relaxed, Relaxed).is_ok()).then_some(lower)
    }

    /// Takes [`lower_to_left`](Self::lower_to_left) back, unless something else has happened.
    pub(crate) fn raise_again(&self, to: isize) {
        let left = self.left.load(Relaxed);
        let _ = self.lower.compare_exchange(left, to, Relaxed, Relaxed);
    }

    /// Notes that `left` is the least yet. The owner's, of a line that nobody closes.
    #[cfg(not(loom))]
    pub(crate) fn note_least(&self) {
        self.lower.store(self.left.load(Relaxed), Relaxed);
    }

    /// Counts one, without a read-modify-write. The owner's.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn count(&self, which: usize, order: crate::sync::Ordering) {
        self.counts[which].store(self.counts[which].load(Relaxed).wrapping_add(1), order);
    }

    /// What was counted. It may be less by now, where the owner has counted it elsewhere.
    #[cfg(not(loom))]
    pub(crate) fn counted(&self, which: usize, order: crate::sync::Ordering) -> u64 {
        self.counts[which].load(order) as u64
    }

    /// Takes away what was counted. The owner's.
    #[cfg(not(loom))]
    pub(crate) fn take_count(&self, which: usize) -> u64 {
        let counted = self.counted(which, Relaxed);
        self.counts[which].store(0, Relaxed);
        counted
    }

    /// Undoes the owner's last step. What `left` was with it.
    pub(crate) fn undo(&self, step: isize) -> isize {
        let left = self.left.load(Relaxed);
        self.left.store(left.wrapping_add(step), Relaxed);
        left
    }

    /// Forgets what was written where no line is.
    pub(crate) fn forget_step(&self) {
        self.left.store(0, Relaxed);
    }

    /// Under the lock.
    pub(crate) fn is_open(&self) -> bool {
        self.granted.load(Relaxed) != NOT_OPEN
    }

    /// Whether this was not asked before. Under the lock.
    pub(crate) fn is_new(&self) -> bool {
        self.counts[0].swap(1, Relaxed) == 0
    }

    /// What was granted, of an open line. Under the lock.
    pub(crate) fn granted(&self) -> isize {
        self.granted.load(Relaxed)
    }

    /// The most of it that was taken at a time, or that was known to have been taken before. Under the lock.
    pub(crate) fn most(&self) -> isize {
        self.granted() - self.lower.load(Relaxed)
    }

    /// What of it is taken now. Under the lock.
    pub(crate) fn taken(&self) -> isize {
        self.granted() - self.left.load(Relaxed).max(0)
    }

    /// What of it is taken now, or less than nothing.
    #[cfg(not(loom))]
    pub(crate) fn moved(&self) -> isize {
        self.granted() - self.left.load(Relaxed)
    }

    /// How far `left` may rise above what was granted, where that counts. Under the lock.
    pub(crate) fn down(&self) -> isize {
        self.down.load(Relaxed)
    }

    /// Opens the line, whose owner may take `granted` bytes. The owner's, under the lock.
    pub(crate) fn open(&self, granted: isize, lower: isize, upper: isize, down: isize) {
        self.granted.store(granted, Relaxed);
        self.down.store(down, Relaxed);
        self.left.store(granted, Relaxed);
        self.upper.store(upper, Relaxed);
        self.lower.store(lower, Relaxed);
    }

    /// Closes the line: the owner notices with its next step. What [`most`](Self::most) was. Under the lock; whoever is not the owner passes
    /// [`barrier_of_all`](crate::sync::barrier_of_all) before it goes on with [`settle`](Self::settle).
    pub(crate) fn close(&self) -> isize {
        // ORDER: Relaxed; see `take`, and `lower_to_left`.
        self.upper.store(CLOSED_ABOVE, Relaxed);
        self.granted() - self.lower.swap(CLOSED_BELOW, Relaxed)
    }

    /// What of a line that was closed is taken. Under the lock.
    pub(crate) fn settle(&self) -> isize {
        let mut left = self.left.load(Relaxed);
        while left < 0 {
            // The owner undoes a step that took more than there is, before it asks for the lock.
            crate::sync::wait();
            left = self.left.load(Relaxed);
        }
        self.seen.store(left, Relaxed);
        self.granted.swap(NOT_OPEN, Relaxed) - left
    }

    /// Whether whoever closed the line has found the owner's step that made `left` this, if there was one. The owner's,
    /// under the lock; told once.
    pub(crate) fn was_seen(&self, left: Option<isize>) -> bool {
        let seen = self.seen.swap(UNSEEN, Relaxed);
        seen != UNSEEN && left == Some(seen)
    }

    /// The line as it was when it was made.
    #[cfg(not(loom))]
    pub(crate) fn reset(&self) {
        self.close();
        for word in [&self.left, &self.down, &self.counts[0], &self.counts[1]] {
            word.store(0, Relaxed);
        }
        self.granted.store(NOT_OPEN, Relaxed);
        self.seen.store(UNSEEN, Relaxed);
    }
}
