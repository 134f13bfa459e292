//! What is left of a heap whose handle is gone while blocks of it live.
//!
//! A heap that program-wide allocations were routed into cannot go with its handle: nobody knows who still
//! holds a block. It lives on [`References`](super::references::References) instead. A local heap gives its reference up when
//! nothing is left in it: it *signs off*. Only the holder of its thread record can see to that, so
//! whoever may have left a local heap empty *nudges* the record: an orphan is dealt with at once, a thread
//! that lives does it on its next visit to the slow path of any heap, or when it ends.
//!
//! A live block keeps the local heap that it belongs to from signing off, so a thread that frees a
//! block finds the heap alive, and what it posts is received before the heap goes.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use super::HeapCore;
use crate::local_heap::LocalCore;
use crate::stats;
use crate::threads::{self, ThreadRecord, current_record};

impl HeapCore {
    /// Gives a reference up.
    ///
    /// # Safety
    /// The reference is the caller's, who does not touch the heap afterwards.
    unsafe fn leave(&self) {
        if self.references.leave() {
            // SAFETY: listed from its making on; the last reference is gone.
            unsafe { stats::HEAPS.give_up(NonNull::from(self)) };
            bury();
        }
    }

    /// Runs `f`, which frees or sends home a block that keeps the heap alive.
    pub(crate) fn while_held(&self, owner: *const LocalCore, f: impl FnOnce()) {
        // ORDER: Relaxed: set before the heap's first routed block was handed out.
        if !self.routed.load(Ordering::Relaxed) {
            return f();
        }
        // SAFETY: (I6) the block lives until `f`, so its local heap is there; (I7) records live for ever.
        let record = unsafe { (*owner).record() };
        self.references.hold();
        f();
        let dropped = self.references.is_dropped_by_now();
        // SAFETY: counted above, and not used below.
        unsafe { self.leave() };
        if dropped {
            nudge(record);
        }
    }

    /// Whether the handle is gone, and blocks may live.
    pub(crate) fn is_dropped(&self) -> bool {
        self.references.is_dropped()
    }

    /// Counts a local heap that was just listed, and sees to it that a drop of the handle that did not
    /// see it there is not missed.
    pub(super) fn hold_for(&self, record: *const ThreadRecord) {
        self.references.hold();
        if self.references.is_dropped_by_now() {
            // SAFETY: (I7) records live for ever.
            unsafe { (*record).set_nudged() };
        }
    }
}

/// The handle of a heap goes that allocations were routed into.
///
/// # Safety
/// The caller gives the handle up. Nothing borrows it.
pub(super) unsafe fn abandon(core: NonNull<HeapCore>) {
    // SAFETY: the handle's reference keeps the heap until `leave`.
    unsafe {
        let core = core.as_ref();
        core.references.drop_handle();
        core.locals().for_each(|local| nudge(local.record()));
        core.leave();
    }
}

/// A local heap of `record` may have become empty, or was sent something, and its heap's handle is gone.
fn nudge(record: *const ThreadRecord) {
    // SAFETY: (I7) records live for ever; the current one is this thread's, and a leased one ours.
    unsafe {
        (*record).set_nudged();
        if record == current_record() {
            sign_off(record);
        } else {
            threads::lease_nudged(record);
        }
    }
}

/// Winds up the local heaps of `record` whose heaps' handles are gone, and signs those off that are
/// empty.
///
/// # Safety
/// (I7) The caller holds the record, and is not in the middle of a call into one of its local heaps.
pub(crate) unsafe fn sign_off(record: *const ThreadRecord) {
    // SAFETY: (I7) passed on. (I6) A local heap on the list has not signed off, so its heap is alive; and
    // nobody but the record's holder signs it off.
    unsafe {
        let record = &*record;
        // What is wound up may allocate, and so come here again.
        if !record.begin_sign_off() {
            return;
        }
        let mut next = dropped_locals(record);
        while let Some(local) = next.as_ref() {
            next = local.next_dropped();
            let heap = local.heap();
            let (sent, empty) = local.wind_up();
            if sent {
                heap.locals().filter(|other| !ptr::eq(*other, local)).for_each(|other| nudge(other.record()));
            }
            if empty {
                local.detach();
                heap.leave();
            }
        }
        record.end_sign_off();
    }
}

/// The local heaps of `record` whose heaps' handles are gone, linked.
unsafe fn dropped_locals(record: &ThreadRecord) -> *const LocalCore {
    let first = record.locals.lock();
    let (mut found, mut next) = (ptr::null(), *first);
    // SAFETY: attached local heaps are alive, and linked under the lock.
    while let Some(local) = unsafe { next.as_ref() } {
        if local.heap().is_dropped() {
            local.set_next_dropped(found);
            found = local;
        }
        // SAFETY: as above.
        next = unsafe { local.next_in_record() };
    }
    found
}

/// Releases the heaps that nobody needs, unless statistics are just being read: whoever reads them comes here afterwards.
pub(crate) fn bury() {
    stats::HEAPS.bury(|core| {
        // SAFETY: nobody needs the heap, statistics do not list it any more, and its local heaps
        // are detached; the record was allocated like a box's.
        unsafe {
            core.as_ref().release_all();
            drop(Box::from_raw(core.as_ptr()));
        }
    });
}
