//! Counters that each thread has a set of, so that counting is a load and a store.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::alloc::System;

use crossbeam_utils::CachePadded;

use super::thread_index;

/// Threads that have a set of their own at a time.
const SETS: usize = 64;

/// A `T` for each thread that asked for one, in the C library's memory. Sets stay when their threads end: the
/// next thread of that number goes on with them.
#[derive(Debug)]
pub(crate) struct PerThread<T> {
    sets: [AtomicPtr<CachePadded<T>>; SETS],
}

impl<T: Default> PerThread<T> {
    pub(crate) const fn new() -> Self {
        Self { sets: [const { AtomicPtr::new(ptr::null_mut()) }; SETS] }
    }

    /// This thread's set: only this thread writes to it. `None` where there are too many threads, no memory,
    /// or the thread is about to be gone.
    #[inline(always)]
    pub(crate) fn own(&self) -> Option<&T> {
        self.own_or_made(|_| ())
    }

    /// [`own`](Self::own); `first` is told of the set if it was made just now.
    #[inline(always)]
    pub(crate) fn own_or_made(&self, first: impl FnOnce(&T)) -> Option<&T> {
        let index = thread_index()?;
        let slot = self.sets.get(index)?;
        // SAFETY: a set stays until `self` goes. Relaxed: this thread made it, or one before it whose end
        // happens before our start.
        match unsafe { slot.load(Ordering::Relaxed).as_ref() } {
            Some(own) => Some(own),
            None => make(slot).inspect(|set| first(set)),
        }
    }

    /// Every set, to be read.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        // ORDER: Acquire, pairs with the Release in `make`; publishes the set.
        // SAFETY: a set stays until `self` goes.
        self.sets.iter().filter_map(|slot| unsafe { slot.load(Ordering::Acquire).as_ref() }).map(|set| &**set)
    }
}

#[cold]
#[inline(never)]
fn make<T: Default>(slot: &AtomicPtr<CachePadded<T>>) -> Option<&T> {
    // SAFETY: not empty: padded. Nobody else makes the set of this thread's number.
    unsafe {
        let made = System.alloc(Layout::new::<CachePadded<T>>()).cast::<CachePadded<T>>();
        if made.is_null() {
            return None;
        }
        made.write(CachePadded::new(T::default()));
        slot.store(made, Ordering::Release);
        Some(&*made)
    }
}

impl<T> Drop for PerThread<T> {
    fn drop(&mut self) {
        for slot in &mut self.sets {
            let set = *slot.get_mut();
            if !set.is_null() {
                // SAFETY: made by `make`, and nobody else's any more.
                unsafe {
                    set.drop_in_place();
                    System.dealloc(set.cast(), Layout::new::<CachePadded<T>>());
                }
            }
        }
    }
}
