//! The one door to shared memory: `std` in the library, `loom` in the models.
//!
//! What a loom model drives (the return queue, the orphan list, the reader gate) uses only these
//! names. Statistics counters and the words inside mapped memory are plain `core` atomics: they
//! publish nothing, so there is nothing to model.

#[cfg(not(loom))]
mod imp {
    pub(crate) use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};
    pub(crate) use crossbeam_queue::ArrayQueue;

    /// A cell that the models can check for racing accesses.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline(always)]
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }
        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};

    /// The contract of crossbeam's `ArrayQueue` (bounded, refuses when full, never loses), under
    /// a lock: crossbeam-queue cannot be built on loom's atomics.
    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        capacity: usize,
        items: loom::sync::Mutex<std::collections::VecDeque<T>>,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self { capacity, items: loom::sync::Mutex::new(std::collections::VecDeque::new()) }
        }
        pub(crate) fn push(&self, item: T) -> Result<(), T> {
            let mut items = self.items.lock().unwrap();
            if items.len() == self.capacity {
                return Err(item);
            }
            items.push_back(item);
            Ok(())
        }
        pub(crate) fn pop(&self) -> Option<T> {
            self.items.lock().unwrap().pop_front()
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.items.lock().unwrap().is_empty()
        }
    }
}

pub(crate) use imp::*;

/// A lock that never allocates and cannot be poisoned: on the systems that have futexes (Linux,
/// Android, Windows, the BSDs) `std`'s mutex is one word. `parking_lot` allocates for a thread's
/// first contended wait, which must not happen inside `Global`.
#[derive(Debug)]
pub(crate) struct Lock<T>(MutexImp<T>);

#[cfg(loom)]
use loom::sync::{Mutex as MutexImp, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex as MutexImp, MutexGuard};

impl<T> Lock<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self(MutexImp::new(value))
    }
    #[cfg(loom)]
    pub(crate) fn new(value: T) -> Self {
        Self(MutexImp::new(value))
    }
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        // A panic while the lock is held can come only from a user's `Source`; the state behind
        // every lock is changed after the source has answered, so it is consistent.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
