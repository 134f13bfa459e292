//! A budget.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::around::{Answer, Around, implement_around};
use crate::allocator_api2::alloc::{AllocError, Allocator};

/// An allocator that gives out no more than so many bytes of its child's at a time.
///
/// Counted is what was asked for, not what the child makes of it. A block that moves as it grows is counted once,
/// though the child holds both for a moment. Beyond the hard limit requests are refused; where the soft one is crossed
/// upwards, [`on_soft_limit`](Self::on_soft_limit)'s callback is told, before the child is asked, so it may free
/// something.
///
/// Share it by reference. Threads share the budget, to the byte.
///
/// # Cost
///
/// One atomic read-modify-write per call, and another one while the peak grows.
///
/// # Panics
///
/// Where the callback does; then nothing was allocated, and nothing is counted.
///
/// # Examples
///
/// ```
/// use blockyard::{Global, allocator_api2::vec::Vec, layers::Limit};
///
/// let budget = Limit::new(Global, 1000);
/// let mut bytes = Vec::new_in(&budget);
/// bytes.resize(600, 7_u8);
/// assert!(bytes.try_reserve_exact(500).is_err());
/// assert_eq!((budget.used(), budget.remaining()), (600, 400));
/// drop(bytes);
/// assert_eq!((budget.used(), budget.peak()), (0, 600));
/// ```
pub struct Limit<A, F = fn(SoftLimit)> {
    child: A,
    hard: usize,
    soft: usize,
    on_soft: F,
    /// Bytes of live blocks and of requests under way: at most `hard`. Relaxed throughout, as nothing else is
    /// published by it.
    used: AtomicUsize,
    peak: AtomicUsize,
}

/// What the callback of a soft limit is told.
///
/// # Examples
///
/// ```
/// use blockyard::layers::SoftLimit;
///
/// let message = SoftLimit { limit: 100, used: 120, requested: 64 }.to_string();
/// assert_eq!(message, "64 bytes more make 120 bytes, above the soft limit of 100");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftLimit {
    /// The soft limit, in bytes.
    pub limit: usize,
    /// Bytes in use with this request.
    pub used: usize,
    /// Bytes that this request adds.
    pub requested: usize,
}

impl fmt::Display for SoftLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, used, requested } = self;
        write!(f, "{requested} bytes more make {used} bytes, above the soft limit of {limit}")
    }
}

fn ignore(_: SoftLimit) {}

impl<A> Limit<A> {
    /// At most `hard` bytes of `child`'s at a time.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::Limit};
    ///
    /// static BUDGET: Limit<Global> = Limit::new(Global, 64 << 20);
    /// assert_eq!(BUDGET.remaining(), 64 << 20);
    /// ```
    #[must_use]
    pub const fn new(child: A, hard: usize) -> Self {
        Self {
            child,
            hard,
            soft: usize::MAX,
            on_soft: ignore,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }
}

impl<A, F> Limit<A, F> {
    /// `callback` is called whenever a request takes the bytes in use from `soft` or less to more, on the thread that
    /// asks. No lock is held: it may allocate here, and free.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::vec::Vec, layers::Limit};
    /// use std::cell::Cell;
    ///
    /// let warned = Cell::new(0);
    /// let budget = Limit::new(Global, 1000).on_soft_limit(500, |_| warned.set(warned.get() + 1));
    /// let mut bytes = Vec::<u8, _>::with_capacity_in(500, &budget);
    /// assert_eq!(warned.get(), 0);
    /// bytes.reserve_exact(501);
    /// bytes.reserve_exact(600);
    /// assert_eq!(warned.get(), 1);
    /// ```
    #[must_use]
    pub fn on_soft_limit<G: Fn(SoftLimit)>(self, soft: usize, callback: G) -> Limit<A, G> {
        let Self { child, hard, used, peak, .. } = self;
        Limit { child, hard, soft, on_soft: callback, used, peak }
    }

    /// The child allocator. What is allocated there is not counted.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::Limit};
    ///
    /// assert_eq!(*Limit::new(Global, 1000).child(), Global);
    /// ```
    #[must_use]
    pub const fn child(&self) -> &A {
        &self.child
    }

    /// The hard limit, in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::Limit::new(blockyard::Global, 1000).limit(), 1000);
    /// ```
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.hard
    }

    /// Bytes of live blocks, and of requests under way on other threads.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::Limit::new(blockyard::Global, 1000).used(), 0);
    /// ```
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Bytes that can still be had.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::Limit::new(blockyard::Global, 1000).remaining(), 1000);
    /// ```
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.hard - self.used()
    }

    /// The most bytes in use so far. Requests that were refused have not counted, unless another thread was served
    /// meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Limit};
    ///
    /// let budget = Limit::new(Global, 1000);
    /// drop(Box::new_in([0_u8; 100], &budget));
    /// assert_eq!(budget.peak(), 100);
    /// ```
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

impl<A: Allocator, F: Fn(SoftLimit)> Limit<A, F> {
    /// Asks the child with `bytes` more on the books, unless they are too many.
    #[inline]
    fn ask_for(&self, bytes: usize, ask: impl FnOnce() -> Answer) -> Answer {
        let fits = |used: usize| used.checked_add(bytes).filter(|&now| now <= self.hard);
        let before = self.used.fetch_update(Relaxed, Relaxed, fits).map_err(|_| AllocError)?;
        let charge = Charge { used: &self.used, bytes };
        let now = before + bytes;
        if before <= self.soft && now > self.soft {
            (self.on_soft)(SoftLimit { limit: self.soft, used: now, requested: bytes });
        }
        let block = ask()?;
        core::mem::forget(charge);
        if now > self.peak.load(Relaxed) {
            self.peak.fetch_max(now, Relaxed);
        }
        Ok(block)
    }
}

/// Bytes on the books of a request that has not been served yet.
struct Charge<'l> {
    used: &'l AtomicUsize,
    bytes: usize,
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Relaxed);
    }
}

impl<A: Allocator, F: Fn(SoftLimit)> Around for Limit<A, F> {
    type Child = A;

    #[inline(always)]
    fn child(&self) -> &A {
        &self.child
    }
    #[inline]
    fn on_allocate(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        self.ask_for(layout.size(), ask)
    }
    #[inline]
    fn on_grow(&self, _block: NonNull<u8>, old: Layout, new: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        self.ask_for(new.size() - old.size(), ask)
    }
    #[inline]
    fn on_shrink(
        &self,
        _block: NonNull<u8>,
        old: Layout,
        new: Layout,
        ask: impl FnOnce() -> Answer,
    ) -> Answer {
        let block = ask()?;
        self.release(old.size() - new.size());
        Ok(block)
    }
    #[inline]
    fn on_free(&self, _block: NonNull<u8>, layout: Layout, free: impl FnOnce()) {
        free();
        self.release(layout.size());
    }
}
implement_around!([A: Allocator, F: Fn(SoftLimit)] Limit<A, F>);

impl<A: fmt::Debug, F> fmt::Debug for Limit<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("child", &self.child)
            .field("limit", &self.hard)
            .field("used", &self.used())
            .field("peak", &self.peak())
            .finish_non_exhaustive()
    }
}
