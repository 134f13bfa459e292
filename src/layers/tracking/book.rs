//! Counters, by tag.

use core::sync::atomic::{
    AtomicIsize, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::borrow::Cow;
use std::iter;
use std::sync::OnceLock;

use super::TagStats;
use crate::threads::{Line, PerThread};

/// Bytes that a thread counts for itself before all threads' sum is told: what a peak may be off by, per
/// thread that is at work. Below it a thread's pairs are plain stores.
pub(super) const OWN: isize = 64 << 10;

/// Bytes now, and the most there have been. Relaxed, as nothing else is published by them.
///
/// Each thread counts how far it has moved the sum since it last told. The sum of all is exact when they are
/// quiet. The most is exact where one thread is at work; where there are several, each one's most counts as if
/// they had been at the same time.
pub(super) struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// One thread's part of a [`Gauge`]. Only that thread writes to it.
#[derive(Default)]
pub(super) struct Part {
    moved: AtomicIsize,
    /// The most `moved` has been since it was told.
    most: AtomicIsize,
}

impl Part {
    const fn new() -> Self {
        Self { moved: AtomicIsize::new(0), most: AtomicIsize::new(0) }
    }

    /// How far the thread has moved the sum, and how far it had at most.
    pub(super) fn get(&self) -> (isize, isize) {
        (self.moved.load(Relaxed), self.most.load(Relaxed))
    }

    /// Goes on from there. The owner's.
    pub(super) fn set(&self, (moved, most): (isize, isize)) {
        self.moved.store(moved, Relaxed);
        self.most.store(most, Relaxed);
    }
}

impl Gauge {
    pub(super) const fn new() -> Self {
        Self { now: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    #[inline(always)]
    pub(super) fn add(&self, part: Option<&Part>, bytes: usize) {
        let Some(part) = part else { return self.tell(bytes as isize, bytes as isize) };
        let moved = part.moved.load(Relaxed).wrapping_add_unsigned(bytes);
        if moved > part.most.load(Relaxed) {
            part.most.store(moved, Relaxed);
        }
        part.moved.store(moved, Relaxed);
        if moved > OWN {
            self.settle(part);
        }
    }

    #[inline(always)]
    pub(super) fn take(&self, part: Option<&Part>, bytes: usize) {
        let Some(part) = part else { return self.tell((bytes as isize).wrapping_neg(), 0) };
        let moved = part.moved.load(Relaxed).wrapping_sub_unsigned(bytes);
        part.moved.store(moved, Relaxed);
        if moved < -OWN {
            self.settle(part);
        }
    }

    /// The calling thread's part, told.
    #[cold]
    #[inline(never)]
    fn settle(&self, part: &Part) {
        let (moved, most) = (part.moved.load(Relaxed), part.most.load(Relaxed));
        part.moved.store(0, Relaxed);
        part.most.store(0, Relaxed);
        self.tell(moved, most);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn tell(&self, moved: isize, most: isize) {
        let before = self.now.fetch_add(moved as usize, Relaxed);
        // What is freed under another tag than it was allocated with takes a row below zero.
        let peak = (before as isize).saturating_add(most).max(0);
        self.peak.fetch_max(peak.unsigned_abs(), Relaxed);
    }

    /// Bytes now, and the most there have been.
    pub(super) fn read(&self, parts: impl Iterator<Item = (isize, isize)>) -> (usize, usize) {
        let told = self.now.load(Relaxed) as isize;
        let (mut now, mut most) = (told, told);
        for (part_moved, part_most) in parts {
            now = now.saturating_add(part_moved);
            most = most.saturating_add(part_most);
        }
        let now = now.max(0).unsigned_abs();
        (now, self.peak.load(Relaxed).max(most.max(0).unsigned_abs()).max(now))
    }
}

/// A name and its counters; an element of a list that only grows, so that handles keep references.
pub(super) struct Tag {
    name: Cow<'static, str>,
    /// Its place in the list.
    index: usize,
    pub(super) bytes: Gauge,
    own: PerThread<Counts>,
    /// Of the threads that have none of their own.
    others: Counts,
    refused: AtomicU64,
    next: OnceLock<Box<Tag>>,
}

/// One thread's counters of a tag. Only that thread writes to them.
#[derive(Default)]
pub(super) struct Counts {
    allocations: AtomicU64,
    frees: AtomicU64,
    resizes: AtomicU64,
    pub(super) bytes: Part,
}

/// Counts one, where `is_own` without a read-modify-write.
#[inline(always)]
fn count(counter: &AtomicU64, is_own: bool, order: core::sync::atomic::Ordering) {
    if is_own {
        counter.store(counter.load(Relaxed).wrapping_add(1), order);
    } else {
        counter.fetch_add(1, order);
    }
}

impl Tag {
    const fn new(name: Cow<'static, str>, index: usize) -> Self {
        Self {
            name,
            index,
            bytes: Gauge::new(),
            own: PerThread::new(),
            others: Counts {
                allocations: AtomicU64::new(0),
                frees: AtomicU64::new(0),
                resizes: AtomicU64::new(0),
                bytes: Part::new(),
            },
            refused: AtomicU64::new(0),
            next: OnceLock::new(),
        }
    }

    pub(super) const fn untagged() -> Self {
        Self::new(Cow::Borrowed("untagged"), 0)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// This tag and those behind it.
    pub(super) fn all(&self) -> impl Iterator<Item = &Self> {
        iter::successors(Some(self), |tag| tag.next.get().map(|next| &**next))
    }

    /// The tag of this name, here or behind. Two threads that add one wait for each other at the end of the list.
    pub(super) fn find_or_add(&self, name: &str) -> &Self {
        let mut tag = self;
        while tag.name != name {
            tag = tag.next.get_or_init(|| Box::new(Self::new(Cow::Owned(name.to_owned()), tag.index + 1)));
        }
        tag
    }

    #[inline(always)]
    pub(super) fn allocated(&self, bytes: usize) {
        let own = self.own.own();
        count(&own.unwrap_or(&self.others).allocations, own.is_some(), Relaxed);
        self.bytes.add(own.map(|own| &own.bytes), bytes);
    }

    #[inline(always)]
    pub(super) fn freed(&self, bytes: usize) {
        let own = self.own.own();
        self.bytes.take(own.map(|own| &own.bytes), bytes);
        // ORDER: Release, pairs with Acquire in `read`: who sees the free sees the allocation, too.
        count(&own.unwrap_or(&self.others).frees, own.is_some(), Release);
    }

    /// By so many bytes more, or fewer.
    #[inline]
    pub(super) fn resized(&self, more: usize, fewer: usize) {
        let own = self.own.own();
        count(&own.unwrap_or(&self.others).resizes, own.is_some(), Relaxed);
        self.bytes.add(own.map(|own| &own.bytes), more);
        self.bytes.take(own.map(|own| &own.bytes), fewer);
    }

    #[cold]
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a resize, whose bytes are on the thread's line.
    pub(super) fn resized_on_line(&self) {
        let own = self.own.own();
        count(&own.unwrap_or(&self.others).resizes, own.is_some(), Relaxed);
    }

    /// Counts what was on the calling thread's line, whose counts are 0 then. False when there is no memory for that, and
    /// nothing has changed.
    pub(super) fn take_over(&self, line: &Line, moved: (isize, isize)) -> bool {
        let Some(own) = self.own.own() else { return false };
        let add = |counter: &AtomicU64, more, order| counter.store(counter.load(Relaxed) + more, order);
        // Whoever reads meanwhile may see an allocation twice and a free not at all, not the other way.
        add(&own.allocations, line.counted(ALLOCATIONS, Relaxed), Relaxed);
        add(&own.frees, line.take_count(FREES), Release);
        line.take_count(ALLOCATIONS);
        own.bytes.set(moved);
        true
    }

    /// The tag's row; `lines` are those of threads that count there what they allocate under it.
    pub(super) fn read<'l, I: Iterator<Item = &'l Line>>(&self, lines: impl Fn() -> I) -> TagStats {
        let all = || self.own.all().chain([&self.others]);
        // ORDER: Acquire, pairs with Release in `freed`; all frees are read before the first allocation.
        let frees: u64 = all().map(|counts| counts.frees.load(Acquire)).sum();
        let frees = frees + lines().map(|line| line.counted(FREES, Acquire)).sum::<u64>();
        let allocations: u64 = lines().map(|line| line.counted(ALLOCATIONS, Relaxed)).sum();
        let parts = self.own.all().map(|counts| counts.bytes.get()).chain(lines().filter_map(moved));
        let (bytes, peak) = self.bytes.read(parts);
        TagStats {
            name: self.name.to_string(),
            allocations: allocations + all().map(|counts| counts.allocations.load(Relaxed)).sum::<u64>(),
            frees,
            resizes: all().map(|counts| counts.resizes.load(Relaxed)).sum(),
            refused: self.refused.load(Relaxed),
            bytes,
            peak,
        }
    }
}

/// What a line counts.
pub(super) const ALLOCATIONS: usize = 0;
pub(super) const FREES: usize = 1;

/// How far a thread has moved the sum on its line, and how far it had at most.
pub(super) fn moved(line: &Line) -> Option<(isize, isize)> {
    line.is_open().then(|| (line.moved(), line.most()))
}

/// One tag after the other: a long list would take as much stack.
impl Drop for Tag {
    fn drop(&mut self) {
        let mut rest = self.next.take();
        while let Some(mut tag) = rest {
            rest = tag.next.take();
        }
    }
}
