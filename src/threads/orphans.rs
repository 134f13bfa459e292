//! Records without a thread.
//!
//! Whoever takes a record out of the list holds it, with everything it owns, until it puts it back
//! or keeps it: the list's lock hands one holder's writes to the next.

use core::ptr;

use super::record::{ThreadRecord, ThreadState};
use crate::sync::Lock;

/// A last-in first-out list of orphans: the record that was used last is the warmest.
#[derive(Debug)]
pub(crate) struct OrphanList {
    head: Lock<Head>,
}

#[derive(Debug)]
pub(super) struct Head(*const ThreadRecord);

// SAFETY: the pointer in it leads to records, which are never freed and whose links are touched
// under the lock only.
unsafe impl Send for Head {}

impl OrphanList {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { head: Lock::new(Head(ptr::null())) }
    }
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { head: Lock::new(Head(ptr::null())) }
    }

    /// Keeps the list as it is.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn hold(&self) -> std::sync::MutexGuard<'_, Head> {
        self.head.lock()
    }

    /// Lists a record. Everything its holder did is visible to the next holder.
    ///
    /// # Safety
    /// The caller holds the record and stops using it; records are never freed.
    pub(crate) unsafe fn put(&self, record: *const ThreadRecord) {
        let mut head = self.head.lock();
        // SAFETY: (I7) links are touched under this lock only; records live for ever.
        unsafe {
            (*record).set_state(ThreadState::Orphan);
            let links = (*record).links.get();
            debug_assert!(!(*links).listed);
            (*links).listed = true;
            (*links).prev = ptr::null();
            (*links).next = head.0;
            if !head.0.is_null() {
                (*(*head.0).links.get()).prev = record;
            }
        }
        head.0 = record;
    }

    /// Takes the record listed last; the caller is its holder.
    pub(crate) fn take(&self, state: ThreadState) -> Option<*const ThreadRecord> {
        let mut head = self.head.lock();
        let record = head.0;
        if record.is_null() {
            return None;
        }
        // SAFETY: (I7) listed, and the lock is held.
        unsafe { Self::unlink(&mut head, record, state) };
        Some(record)
    }

    /// Takes this very record, if it is an orphan now; the caller is its holder then.
    ///
    /// # Safety
    /// `record` is a record (records are never freed).
    pub(crate) unsafe fn take_this(&self, record: *const ThreadRecord) -> bool {
        let mut head = self.head.lock();
        // SAFETY: (I7) the lock is held.
        unsafe {
            let listed = (*(*record).links.get()).listed;
            if listed {
                Self::unlink(&mut head, record, ThreadState::Leased);
            }
            listed
        }
    }

    /// # Safety
    /// `record` is listed and the lock is held.
    unsafe fn unlink(head: &mut Head, record: *const ThreadRecord, state: ThreadState) {
        // SAFETY: (I7) passed on.
        unsafe {
            let links = (*record).links.get();
            (*links).listed = false;
            if (*links).prev.is_null() {
                head.0 = (*links).next;
            } else {
                (*(*(*links).prev).links.get()).next = (*links).next;
            }
            if !(*links).next.is_null() {
                (*(*(*links).next).links.get()).prev = (*links).prev;
            }
            (*record).set_state(state);
        }
    }
}
