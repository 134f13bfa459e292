//! Who needs a heap that was routed into: see `afterlife`.

use crate::sync::{AtomicBool, AtomicUsize, Ordering, Site, at, fence, fence_at};

/// One reference of the handle, one of every local heap, and one of everybody who frees a block that is no
/// chunk's, or that goes home by itself, for as long as that takes.
#[derive(Debug)]
pub(crate) struct References {
    count: AtomicUsize,
    /// The handle is gone.
    dropped: AtomicBool,
}

impl References {
    /// That of the handle.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { count: AtomicUsize::new(1), dropped: AtomicBool::new(false) }
    }
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { count: AtomicUsize::new(1), dropped: AtomicBool::new(false) }
    }

    /// Counts one more, who knows the heap to be alive.
    pub(crate) fn hold(&self) {
        // ORDER: Relaxed: made visible by whatever hands the new reference on.
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives one up; true when it was the last.
    pub(crate) fn leave(&self) -> bool {
        // ORDER: Release, pairs with the Acquire fence: what each did in the heap comes before its end.
        if self.count.fetch_sub(1, at(Site::ReferenceLeft, Ordering::Release)) != 1 {
            return false;
        }
        fence(Ordering::Acquire);
        true
    }

    /// Says that the handle is gone. Whoever has something in the heap is to be told after this.
    pub(crate) fn drop_handle(&self) {
        // ORDER: Release, pairs with the Acquire in `is_dropped`.
        self.dropped.store(true, Ordering::Release);
        // ORDER: SeqCst, pairs with the fence in `is_dropped_by_now`.
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_dropped(&self) -> bool {
        // ORDER: Acquire, pairs with the Release in `drop_handle`.
        self.dropped.load(Ordering::Acquire)
    }

    /// As [`is_dropped`](Self::is_dropped), after something was put into the heap: where this says no, whoever
    /// is told of the drop finds it.
    pub(crate) fn is_dropped_by_now(&self) -> bool {
        // ORDER: SeqCst, pairs with the fence in `drop_handle`: of what this thread put and what the other
        // said, one is seen.
        fence_at(Site::DroppedByNow, Ordering::SeqCst);
        self.is_dropped()
    }
}
