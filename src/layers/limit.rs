//! A budget.

use core::alloc::Layout;
use core::fmt;
use core::mem;
use core::ptr::{self, NonNull};

use super::around::{Answer, Around, implement_around};
use crate::allocator_api2::alloc::{AllocError, Allocator};
use crate::sync::barriers_work;
use crate::threads::{Budget, Charge, Line, Meter};

/// An allocator that gives out no more than so many bytes of its child's at a time.
///
/// Counted is what was asked for, not what the child makes of it. A block that moves as it grows is counted once,
/// though the child holds both for a moment. Beyond the hard limit requests are refused; where the soft one is crossed
/// upwards, [`on_soft_limit`](Self::on_soft_limit)'s callback is told, before the child is asked, so it may free
/// something.
///
/// Share it by reference. Threads share the budget, to the byte: what is live never exceeds the limit, and a request is
/// refused only where it would with what is live on all threads and under way just then.
///
/// # Cost
///
/// Six instructions per call: each thread is granted bytes of its own, up to 64 KiB of them where there are several threads,
/// and all there are where there is one. Now and then a call takes a lock; where too little is left to be
/// granted (less than 2 KiB for each thread) each one does, 30 to 60 ns. Before a request is refused or a
/// limit crossed while threads hold what they were granted, the system runs a barrier on their processors (0.5 to 5 µs), at
/// most once in 128 calls. Each call takes the lock where the system has no such barrier (other than Linux and Android),
/// beyond 62 limits and [`Tracking`](super::Tracking)s in use at a time, and on threads about to be gone.
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
    /// Bytes of live blocks and of requests under way: at most `hard`.
    budget: Budget,
    meter: Meter,
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
            budget: Budget::new(hard),
            meter: Meter::new(),
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
        let Self { child, hard, budget, meter, .. } = self;
        let budget = budget.with_soft(soft, || meter.all());
        Limit { child, hard, soft, on_soft: callback, budget, meter }
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

    /// Bytes of live blocks, and of requests under way on other threads. Exact when these are quiet, and never more than
    /// the limit.
    ///
    /// # Cost
    ///
    /// A lock, and a look at each thread's line.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::Limit::new(blockyard::Global, 1000).used(), 0);
    /// ```
    #[must_use]
    pub fn used(&self) -> usize {
        self.budget.read(self.meter.all()).0
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
        self.hard.saturating_sub(self.used())
    }

    /// The most bytes in use so far: exact where one thread is at work, else too high by up to 64 KiB for each other
    /// thread, but never above the limit. Requests that were refused have not counted, unless another thread was served
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
        self.budget.read(self.meter.all()).1
    }

    #[cold]
    #[inline(never)]
    fn refund(&self, bytes: usize) {
        self.release(bytes);
    }

    #[inline(always)]
    fn release(&self, bytes: usize) {
        let line = self.meter.line();
        if !line.give(bytes) {
            self.release_slowly(line, bytes);
        }
    }

    #[cold]
    #[inline(never)]
    fn release_slowly(&self, tripped: &Line, bytes: usize) {
        let (line, stored) = self.own(tripped, (bytes as isize).wrapping_neg());
        self.budget.give(line, stored, bytes, || self.meter.all());
    }

    /// Takes so many bytes where [`Line::take`] would not.
    fn take_slowly(&self, tripped: &Line, bytes: usize) -> Option<Charge> {
        if let Some(before) = tripped.lower_to_left() {
            return Some(Charge::Line(before));
        }
        let (line, stored) = self.own(tripped, bytes as isize);
        self.budget.take(line, stored, bytes, || self.meter.all())
    }

    /// This thread's line, if it may have one.
    fn own_line(&self) -> Option<&Line> {
        if barriers_work() { self.meter.own() } else { None }
    }

    /// Undoes a step. This thread's line, if it may have one, and what `left` was before if the step was there.
    fn own(&self, tripped: &Line, back: isize) -> (Option<&Line>, Option<isize>) {
        let line = self.own_line();
        match line {
            Some(line) if ptr::eq(line, tripped) => (Some(line), Some(line.undo(back))),
            _ => {
                tripped.forget_step();
                (line, None)
            }
        }
    }
}

impl<A: Allocator, F: Fn(SoftLimit)> Limit<A, F> {
    /// Asks the child with `bytes` more on the books, unless they are too many.
    #[inline(always)]
    fn ask_for(&self, bytes: usize, ask: impl FnOnce() -> Answer) -> Answer {
        let line = self.meter.line();
        // Asked at two places, not handed to a function out of line: what it captures would be written to memory on
        // every call, to be pointed to.
        if line.take(bytes) {
            let request = Quick { limit: self, bytes };
            let block = ask()?;
            mem::forget(request);
            Ok(block)
        } else {
            let request = self.charge(line, bytes)?;
            let block = ask()?;
            mem::forget(request);
            Ok(block)
        }
    }

    /// A request for more than the thread was granted.
    #[cold]
    #[inline(never)]
    fn charge(&self, tripped: &Line, bytes: usize) -> Result<Request<'_, A, F>, AllocError> {
        let charge = self.take_slowly(tripped, bytes).ok_or(AllocError)?;
        let crossed = if let Charge::Books { crossed, .. } = charge { crossed } else { None };
        let request = Request { limit: self, bytes, charge };
        if let Some(used) = crossed {
            (self.on_soft)(SoftLimit { limit: self.soft, used, requested: bytes });
        }
        Ok(request)
    }
}

/// Bytes on the books of a request that has not been served yet.
struct Request<'l, A, F> {
    limit: &'l Limit<A, F>,
    bytes: usize,
    /// What is to be undone besides.
    charge: Charge,
}

/// The same, of a request that was found within what its thread was granted.
struct Quick<'l, A, F> {
    limit: &'l Limit<A, F>,
    bytes: usize,
}

impl<A, F> Drop for Quick<'_, A, F> {
    // Inline, and what it does is not: else the request would be written to memory to be pointed to.
    #[inline(always)]
    fn drop(&mut self) {
        self.limit.refund(self.bytes);
    }
}

impl<A, F> Drop for Request<'_, A, F> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        let limit = self.limit;
        match self.charge {
            Charge::Books { peak, .. } => {
                return limit.budget.refund(limit.own_line(), self.bytes, peak, || limit.meter.all());
            }
            Charge::Line(before) => limit.meter.line().raise_again(before),
            Charge::Seen => {}
        }
        limit.release(self.bytes);
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
