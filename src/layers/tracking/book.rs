//! Counters, by tag.

use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::borrow::Cow;
use std::iter;
use std::sync::OnceLock;

use super::TagStats;

/// Bytes now, and the most there have been. Relaxed, as nothing else is published by them.
pub(super) struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    pub(super) const fn new() -> Self {
        Self { now: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Exact: whoever reaches a new peak sees it here.
    #[inline]
    pub(super) fn add(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Relaxed).wrapping_add(bytes);
        // What is freed under another tag than it was allocated with has taken a row below zero.
        if now > self.peak.load(Relaxed) && now <= isize::MAX.unsigned_abs() {
            self.peak.fetch_max(now, Relaxed);
        }
    }

    #[inline]
    pub(super) fn take(&self, bytes: usize) {
        self.now.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn now(&self) -> usize {
        let now = self.now.load(Relaxed);
        if now > isize::MAX.unsigned_abs() { 0 } else { now }
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }
}

/// A name and its counters; an element of a list that only grows, so that handles keep references.
pub(super) struct Tag {
    name: Cow<'static, str>,
    /// Its place in the list.
    index: usize,
    pub(super) bytes: Gauge,
    allocations: AtomicU64,
    frees: AtomicU64,
    resizes: AtomicU64,
    refused: AtomicU64,
    next: OnceLock<Box<Tag>>,
}

impl Tag {
    const fn new(name: Cow<'static, str>, index: usize) -> Self {
        Self {
            name,
            index,
            bytes: Gauge::new(),
            allocations: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            resizes: AtomicU64::new(0),
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

    #[inline]
    pub(super) fn allocated(&self) {
        self.allocations.fetch_add(1, Relaxed);
    }

    #[inline]
    pub(super) fn freed(&self) {
        // ORDER: Release, pairs with Acquire in `read`: who sees the free sees the allocation, too.
        self.frees.fetch_add(1, Release);
    }

    #[inline]
    pub(super) fn resized(&self) {
        self.resizes.fetch_add(1, Relaxed);
    }

    #[cold]
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> TagStats {
        // ORDER: Acquire, pairs with Release in `freed`; frees are read before allocations.
        let frees = self.frees.load(Acquire);
        TagStats {
            name: self.name.to_string(),
            allocations: self.allocations.load(Relaxed),
            frees,
            resizes: self.resizes.load(Relaxed),
            refused: self.refused.load(Relaxed),
            bytes: self.bytes.now(),
            peak: self.bytes.peak(),
        }
    }
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
