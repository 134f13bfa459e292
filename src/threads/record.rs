//! One thread's place in every heap.

use core::cell::{Cell, UnsafeCell};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};

use crate::config::GLOBAL_ID;
#[cfg(not(loom))]
use crate::local_heap::LocalCore;
#[cfg(loom)]
use crate::models::LocalCore;
use crate::sync::{AtomicBool, Lock, Site, at};

/// Who holds a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ThreadState {
    /// A thread that may allocate at any moment.
    Live = 0,
    /// Nobody: its thread has ended.
    Orphan = 1,
    /// Somebody who empties it, or a thread that allocates after its own record is gone.
    Leased = 2,
}

/// What owns chunks. Made once, never freed, handed from thread to thread: there are as many as
/// there were threads alive at once.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct ThreadRecord {
    /// Position in every heap's table of local heaps.
    pub(crate) index: usize,
    state: AtomicU8,
    /// The holder's number in the operating system.
    os_id: AtomicU64,
    /// The holder's name, set when it ends; before that the system has it.
    name: [AtomicU64; 2],
    /// Handles that outlive their thread's end; see `LocalHeap`. Holder only.
    pub(crate) handles: Cell<usize>,
    /// Numbers of heaps and the record's local heaps in them, whose outboxes were used last: `Global`'s, and
    /// another one. Holder only. (Not in the thread's binding: the library reaches that through a call
    /// where it is not inlined into a program.)
    outboxes: [Cell<(u64, *const LocalCore)>; 2],
    /// A local heap of a heap whose handle is gone may be empty: see `afterlife`. Any thread sets it.
    nudged: AtomicBool,
    /// Local heaps are being signed off. Holder only.
    signing_off: Cell<bool>,
    /// First of the record's local heaps, linked through `next_in_record`. The holder adds to it
    /// and walks it when its thread ends; a heap that is dropped takes its own out.
    pub(crate) locals: Lock<*const LocalCore>,
    /// Neighbours among the orphans; under the list's lock.
    pub(super) links: UnsafeCell<Links>,
    /// The record's lines, once it has some: see `meter`. Made by the holder.
    #[cfg(all(feature = "allocator-api2-02", not(loom)))]
    pub(super) lines: AtomicPtr<super::meter::Lines>,
    /// The record made before this one; constant.
    pub(super) older: AtomicPtr<ThreadRecord>,
}

#[derive(Debug)]
pub(super) struct Links {
    pub(super) next: *const ThreadRecord,
    pub(super) prev: *const ThreadRecord,
    pub(super) listed: bool,
}

impl ThreadRecord {
    pub(crate) fn new(index: usize, older: *const ThreadRecord) -> Self {
        Self {
            index,
            state: AtomicU8::new(ThreadState::Leased as u8),
            os_id: AtomicU64::new(0),
            name: [AtomicU64::new(0), AtomicU64::new(0)],
            handles: Cell::new(0),
            outboxes: [const { Cell::new((0, ptr::null())) }; 2],
            nudged: AtomicBool::new(false),
            signing_off: Cell::new(false),
            locals: Lock::new(ptr::null()),
            links: UnsafeCell::new(Links { next: ptr::null(), prev: ptr::null(), listed: false }),
            #[cfg(all(feature = "allocator-api2-02", not(loom)))]
            lines: AtomicPtr::new(ptr::null_mut()),
            older: AtomicPtr::new(older.cast_mut()),
        }
    }

    /// The local heap whose outbox was last used for heap `id`, if it is at hand. Holder only.
    #[inline(always)]
    pub(crate) fn outbox(&self, id: u64) -> Option<*const LocalCore> {
        let (of, local) = self.outboxes[usize::from(id != GLOBAL_ID)].get();
        (of == id).then_some(local)
    }
    pub(crate) fn set_outbox(&self, id: u64, local: *const LocalCore) {
        self.outboxes[usize::from(id != GLOBAL_ID)].set((id, local));
    }

    /// A hint: what there is to see is visible once [`begin_sign_off`](Self::begin_sign_off) says so.
    #[inline(always)]
    pub(crate) fn is_nudged(&self) -> bool {
        self.nudged.load(Ordering::Relaxed)
    }
    pub(crate) fn set_nudged(&self) {
        // ORDER: Release, pairs with the Acquire below; publishes what was sent before. A read-modify-write,
        // since a plain store would hide what whoever nudged before has published.
        self.nudged.swap(true, at(Site::Nudge, Ordering::Release));
    }
    /// False when that is being done already, further up the stack. Holder only.
    pub(crate) fn begin_sign_off(&self) -> bool {
        if self.signing_off.replace(true) {
            return false;
        }
        // ORDER: Acquire, as said above.
        self.nudged.swap(false, Ordering::Acquire);
        true
    }
    pub(crate) fn end_sign_off(&self) {
        self.signing_off.set(false);
    }

    // ORDER: Relaxed for state, number and name: they are shown in statistics. What a record
    // guards is handed over by the lock of the orphan list.
    pub(crate) fn state(&self) -> ThreadState {
        match self.state.load(Ordering::Relaxed) {
            0 => ThreadState::Live,
            1 => ThreadState::Orphan,
            _ => ThreadState::Leased,
        }
    }
    pub(crate) fn set_state(&self, state: ThreadState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
    pub(crate) fn os_id(&self) -> u64 {
        self.os_id.load(Ordering::Relaxed)
    }
    pub(crate) fn set_os_id(&self, id: u64) {
        self.os_id.store(id, Ordering::Relaxed);
    }

    /// The name left by the last thread that ended as this record's holder.
    pub(crate) fn last_name(&self) -> [u8; 16] {
        let mut name = [0; 16];
        for (bytes, word) in name.chunks_exact_mut(8).zip(&self.name) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        name
    }
    pub(crate) fn set_last_name(&self, name: [u8; 16]) {
        for (bytes, word) in name.chunks_exact(8).zip(&self.name) {
            let mut value = [0; 8];
            value.copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(value), Ordering::Relaxed);
        }
    }
}
