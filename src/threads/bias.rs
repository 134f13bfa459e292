//! A value that one thread uses all the time, and any thread now and then.
//!
//! A lock costs its owner two atomic read-modify-writes, more than a block from a heap does. Here the owner
//! announces itself with a plain store and looks at one word. Who else wants the value closes that way first:
//! it takes the lock, clears the word, and has the system run a barrier on every processor that runs a thread
//! of the process. From then on the owner takes the lock, too, and after some calls that nobody else came
//! between opens the way again. Where there is no such barrier everybody takes the lock.

use crate::sync::{
    AtomicBool, Lock, MutexGuard, Ordering, Site, UnsafeCell, at, barrier_of_all, barrier_of_one,
};

/// Calls of the owner's under the lock, with nobody between them, before the way without it opens again:
/// what closing it costs the others (some 0.5 to 5 µs) should be small beside what they save.
const CALLS: u32 = if cfg!(loom) { 1 } else { 128 };

/// A value with an owner.
///
/// (B1) Whoever is at the value holds the lock with `open` false and `busy` seen false after that, or is the
/// owner, `busy`, and has seen `open` after saying so. Of an owner and a visitor, each says what it does
/// before it looks at the other's word, with a barrier between the two: one of them sees the other.
#[derive(Debug)]
pub(crate) struct Biased<T> {
    /// The owner is at the value, or about to see whether it may. Written by the owner.
    busy: AtomicBool,
    /// The owner needs no lock. Written under it.
    open: AtomicBool,
    /// Calls of the owner's under the lock since the last visit.
    calls: Lock<u32>,
    /// Whether the way may be opened.
    may_open: bool,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is the field that is not; (B1) one thread at a time is at it.
unsafe impl<T: Send> Sync for Biased<T> {}

/// The owner, at the value without the lock.
pub(crate) struct Alone<'b, T>(&'b Biased<T>);

/// Somebody at the value, who uses it through [`with`](Self::with) and does not come back meanwhile.
pub(crate) enum Entered<'b, T> {
    Alone(Alone<'b, T>),
    Locked(&'b Biased<T>, MutexGuard<'b, u32>),
}

impl<T> Biased<T> {
    /// One that nobody owns unless it `may_open`, for which [`barriers_work`](crate::sync::barriers_work).
    pub(crate) fn new(value: T, may_open: bool) -> Self {
        Self {
            busy: AtomicBool::new(false),
            open: AtomicBool::new(may_open),
            calls: Lock::new(0),
            may_open,
            value: UnsafeCell::new(value),
        }
    }

    /// The owner's way.
    ///
    /// # Safety
    /// One thread at a time calls this, and what an owner did happens before what the next one does.
    #[inline(always)]
    pub(crate) unsafe fn own(&self) -> Entered<'_, T> {
        // SAFETY: passed on.
        match unsafe { self.own_at_once() } {
            Some(alone) => Entered::Alone(alone),
            None => self.own_locked(),
        }
    }

    /// The owner's way, if it needs no lock.
    ///
    /// # Safety
    /// As for [`own`](Self::own).
    #[inline(always)]
    pub(crate) unsafe fn own_at_once(&self) -> Option<Alone<'_, T>> {
        // ORDER: Relaxed; the barriers of both sides order it before the load.
        self.busy.store(true, Ordering::Relaxed);
        barrier_of_one();
        // ORDER: Relaxed; it was set by this thread or before it became the owner, under the lock, which is
        // what shows this thread what visitors did before.
        let alone = Alone(self);
        self.open.load(Ordering::Relaxed).then_some(alone)
    }

    #[cold]
    #[inline(never)]
    fn own_locked(&self) -> Entered<'_, T> {
        let mut calls = self.calls.lock();
        *calls += 1;
        if *calls >= CALLS && self.may_open {
            *calls = 0;
            // Whoever looks does so under the lock, which we keep until we are done.
            self.open.store(true, Ordering::Relaxed);
        }
        Entered::Locked(self, calls)
    }

    /// Anybody's way, the owner's too.
    ///
    /// # Cost
    ///
    /// A lock, and a system call where the owner was there after the last visit.
    #[cold]
    #[inline(never)]
    pub(crate) fn visit(&self) -> Entered<'_, T> {
        let mut calls = self.calls.lock();
        *calls = 0;
        if self.open.load(Ordering::Relaxed) {
            // ORDER: Relaxed; the barrier orders it before the load below.
            self.open.store(false, Ordering::Relaxed);
            barrier_of_all();
            // ORDER: Acquire, pairs with the Release in `drop`.
            while self.busy.load(Ordering::Acquire) {
                crate::sync::wait();
            }
        }
        Entered::Locked(self, calls)
    }
}

impl<T> Alone<'_, T> {
    /// Uses the value.
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: (B1) the owner is busy, and saw the way open after that.
        self.0.value.with_mut(|value| f(unsafe { &mut *value }))
    }
}

impl<T> Drop for Alone<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // ORDER: Release, pairs with the Acquire in `visit`; publishes what the owner did to the value.
        self.0.busy.store(false, at(Site::BiasLeave, Ordering::Release));
    }
}

impl<T> Entered<'_, T> {
    /// Uses the value.
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        match self {
            Self::Alone(alone) => alone.with(f),
            // SAFETY: (B1) the lock is held, the owner has left, and finds the way closed until the lock is
            // free; or it is the owner who has the lock.
            Self::Locked(biased, _lock) => biased.value.with_mut(|value| f(unsafe { &mut *value })),
        }
    }
}
