//! A record's list of its local heaps.
//!
//! The record's holder walks it when its thread ends. A heap that is dropped takes its own local heaps off first, all
//! of them: that waits for a thread that is ending just now, and after the last one nobody is at work on the heap.

use core::ptr;

use super::LocalCore;
use crate::sync::UnsafeCell;

/// A local heap's neighbours in its record's list, under that list's lock.
#[derive(Debug)]
pub(crate) struct Siblings(UnsafeCell<Links>);

#[derive(Debug)]
struct Links {
    next: *const LocalCore,
    prev: *const LocalCore,
}

impl Links {
    const NONE: Self = Self { next: ptr::null(), prev: ptr::null() };
}

impl Siblings {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(Links::NONE))
    }
    fn next(&self) -> *const LocalCore {
        // SAFETY: the caller holds the list's lock.
        self.0.with(|links| unsafe { (*links).next })
    }
    fn prev(&self) -> *const LocalCore {
        // SAFETY: as in `next`.
        self.0.with(|links| unsafe { (*links).prev })
    }
    fn set_next(&self, next: *const LocalCore) {
        // SAFETY: as in `next`.
        self.0.with_mut(|links| unsafe { (*links).next = next });
    }
    fn set_prev(&self, prev: *const LocalCore) {
        // SAFETY: as in `next`.
        self.0.with_mut(|links| unsafe { (*links).prev = prev });
    }
}

impl LocalCore {
    /// The next local heap of the same record.
    ///
    /// # Safety
    /// The caller holds the lock of the record's list.
    pub(crate) unsafe fn next_in_record(&self) -> *const LocalCore {
        self.siblings().next()
    }

    /// Puts this local heap on its record's list.
    pub(crate) fn attach(&self) {
        // SAFETY: (I7) records are never freed; the links are touched under the lock only.
        unsafe {
            let mut first = (*self.record()).locals.lock();
            self.siblings().set_next(*first);
            if !first.is_null() {
                (**first).siblings().set_prev(self);
            }
            *first = self;
        }
    }

    /// Takes this local heap off its record's list; waits for a thread that is ending just now.
    pub(crate) fn detach(&self) {
        // SAFETY: (I7) as in `attach`; the neighbours are attached, so they are alive.
        unsafe {
            let mut first = (*self.record()).locals.lock();
            let (next, prev) = (self.siblings().next(), self.siblings().prev());
            if prev.is_null() {
                *first = next;
            } else {
                (*prev).siblings().set_next(next);
            }
            if !next.is_null() {
                (*next).siblings().set_prev(prev);
            }
            // A walk attaches it again.
            self.siblings().set_next(ptr::null());
            self.siblings().set_prev(ptr::null());
        }
    }
}
