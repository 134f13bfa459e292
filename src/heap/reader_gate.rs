//! Keeps segments mapped while a reader of statistics walks them.
//!
//! A reader never makes a writer wait. The writer unlinks a segment and asks whether anybody is
//! reading; if so it puts the segment aside and releases it later. Both sides announce themselves
//! before they look, so at least one of them sees the other (Dekker's pattern).

use crate::sync::{AtomicUsize, Ordering, Site, at, fence, fence_at};

/// Counts the readers inside.
#[derive(Debug)]
pub(crate) struct ReaderGate {
    readers: AtomicUsize,
}

impl ReaderGate {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { readers: AtomicUsize::new(0) }
    }
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { readers: AtomicUsize::new(0) }
    }

    /// Whatever a reader finds after this stays mapped until it leaves.
    pub(crate) fn enter(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
        // ORDER: SeqCst, pairs with the fence in `is_free`: either this reader's loads see the
        // unlinking, or the writer sees this reader.
        fence_at(Site::GateEnter, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        // ORDER: Release, pairs with the Acquire in `is_free`: the reader's loads come before the
        // memory goes.
        self.readers.fetch_sub(1, at(Site::GateLeave, Ordering::Release));
    }

    /// Forgets readers, of whom none is left.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn reset(&self) {
        self.readers.store(0, Ordering::Relaxed);
    }

    /// Whether what the caller has unlinked can go. Called after the unlinking.
    pub(crate) fn is_free(&self) -> bool {
        // ORDER: SeqCst, pairs with the fence in `enter`.
        fence(Ordering::SeqCst);
        // ORDER: Acquire, pairs with the Release in `leave`.
        self.readers.load(Ordering::Acquire) == 0
    }
}
