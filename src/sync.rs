//! The one door to shared memory: `std` in the library, `loom` in the models.
//!
//! What a loom model drives (the return queue, the orphan list, the reader gate) uses only these
//! names. Statistics counters and the words inside mapped memory are plain `core` atomics: they
//! publish nothing, so there is nothing to model.

#[cfg(not(loom))]
mod imp {
    #[cfg(feature = "allocator-api2-02")]
    pub(crate) use core::sync::atomic::AtomicIsize;
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
    pub(crate) use crossbeam_queue::ArrayQueue;
    /// Of the registry, which nobody waits for inside `Global`.
    pub(crate) use parking_lot::{Mutex as TableLock, MutexGuard as TableGuard};

    /// A cell that the models can check for racing accesses.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
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
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicUsize, Ordering, fence};

    pub(crate) use loom::sync::MutexGuard as TableGuard;

    /// parking_lot's, which loom does not know.
    #[derive(Debug)]
    pub(crate) struct TableLock<T>(loom::sync::Mutex<T>);

    impl<T> TableLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }
        pub(crate) fn lock(&self) -> TableGuard<'_, T> {
            self.0.lock().unwrap()
        }
        pub(crate) fn try_lock(&self) -> Option<TableGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    /// The contract of crossbeam's `ArrayQueue` (bounded, refuses when full, never loses), under
    /// a lock: crossbeam-queue cannot be built on loom's atomics.
    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        /// Read by every operation, so that loom sees one that does not come after the making.
        capacity: UnsafeCell<usize>,
        items: loom::sync::Mutex<std::collections::VecDeque<T>>,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self {
                capacity: UnsafeCell::new(capacity),
                items: loom::sync::Mutex::new(std::collections::VecDeque::new()),
            }
        }
        pub(crate) fn push(&self, item: T) -> Result<(), T> {
            // SAFETY: never written after the making.
            let capacity = self.capacity.with(|capacity| unsafe { *capacity });
            let mut items = self.items.lock().unwrap();
            if items.len() == capacity {
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

/// The orderings that a negative model can weaken, to show that the protocol fails without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    /// The exchange that publishes a chain on the overflow path of a return queue.
    OverflowPost,
    /// The store that publishes a return queue's slots.
    QueueMade,
    /// The fence between a reader's announcement and its loads.
    GateEnter,
    /// The decrement after a reader's loads.
    GateLeave,
    /// The decrement of a heap's references.
    ReferenceLeft,
    /// The exchange that tells a record's holder to look.
    Nudge,
    /// The fence between what is put into a heap and the look whether its handle is gone.
    DroppedByNow,
    /// The fence between the listing of the dead, or the unlocking of the table, and the look for the other.
    Burial,
    /// The barrier between an owner's announcement and its look whether it may.
    BiasEnter,
    /// The barrier between the closing of an owner's way and the look whether it is under way.
    BiasClose,
    /// The store after what an owner did.
    BiasLeave,
    /// The exchange that gives a block of a hardened chunk back.
    BlockGiven,
    /// The addition that counts it.
    Arrival,
    /// The exchange that tells the chunk's owner of it.
    ChunkTold,
}

/// `order`, the ordering at `site`.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn at(_site: Site, order: Ordering) -> Ordering {
    order
}

/// `fence(order)`, the fence at `site`.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn fence_at(_site: Site, order: Ordering) {
    fence(order);
}

#[cfg(loom)]
pub(crate) use weakening::*;

#[cfg(loom)]
mod weakening {
    use super::{Ordering, Site, fence};
    use std::cell::Cell;

    std::thread_local! {
        /// A model and all its threads run on one thread of the system.
        static WEAK: Cell<Option<Site>> = const { Cell::new(None) };
    }

    /// Runs a model with `site` weakened.
    pub(crate) fn weakened(site: Site, model: impl FnOnce()) {
        WEAK.set(Some(site));
        model();
        WEAK.set(None);
    }

    pub(crate) fn at(site: Site, order: Ordering) -> Ordering {
        if WEAK.get() == Some(site) { Ordering::Relaxed } else { order }
    }

    pub(crate) fn fence_at(site: Site, order: Ordering) {
        if WEAK.get() != Some(site) {
            fence(order);
        }
    }
}

/// The cheap side of a pair of barriers, the other of which is [`barrier_of_all`]: keeps the compiler from
/// moving a store behind a load. The processor may still, until the other side makes it stop.
#[inline(always)]
pub(crate) fn barrier_of_one() {
    #[cfg(not(loom))]
    core::sync::atomic::compiler_fence(at(Site::BiasEnter, Ordering::SeqCst));
    #[cfg(loom)]
    fence_at(Site::BiasEnter, Ordering::SeqCst);
}

/// The dear side: every thread of the process that runs just now passes a full barrier, so that whatever it
/// stored before its [`barrier_of_one`] is seen here, or what was stored here is seen after that.
#[cfg(not(loom))]
#[cold]
pub(crate) fn barrier_of_all() {
    fence_at(Site::BiasClose, Ordering::SeqCst);
    if !membarrier::run() {
        // Whoever called asked whether it works first. To go on would be a data race.
        std::process::abort();
    }
    fence(Ordering::SeqCst);
}
#[cfg(loom)]
pub(crate) fn barrier_of_all() {
    fence_at(Site::BiasClose, Ordering::SeqCst);
}

/// Whether [`barrier_of_all`] does what it says.
#[cfg(not(loom))]
pub(crate) fn barriers_work() -> bool {
    use core::sync::atomic::AtomicU8;
    /// 0 is not known yet.
    static WORK: AtomicU8 = AtomicU8::new(0);
    // ORDER: Relaxed; whoever finds it unset asks the system itself.
    match WORK.load(Ordering::Relaxed) {
        0 => {
            let work = !cfg!(miri) && membarrier::register() && membarrier::run();
            WORK.store(1 + u8::from(work), Ordering::Relaxed);
            work
        }
        known => known == 2,
    }
}

/// Lets others run while they finish a few instructions.
#[cfg(not(loom))]
pub(crate) fn wait() {
    std::thread::yield_now();
}
#[cfg(loom)]
pub(crate) fn wait() {
    loom::thread::yield_now();
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(loom)))]
mod membarrier {
    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED` and its `REGISTER`: since Linux 4.14.
    const RUN: libc::c_int = 1 << 3;
    const REGISTER: libc::c_int = 1 << 4;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: the call touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
    pub(super) fn register() -> bool {
        call(REGISTER)
    }
    pub(super) fn run() -> bool {
        // A process that was forked may have to register again.
        call(RUN) || (call(REGISTER) && call(RUN))
    }
}

#[cfg(all(not(any(target_os = "linux", target_os = "android")), not(loom)))]
mod membarrier {
    pub(super) fn register() -> bool {
        false
    }
    pub(super) fn run() -> bool {
        false
    }
}

/// A lock that never allocates and cannot be poisoned: on the systems that have futexes (Linux,
/// Android, Windows, the BSDs) `std`'s mutex is one word. `parking_lot` allocates for a thread's
/// first contended wait, which must not happen inside `Global`.
#[derive(Debug)]
pub(crate) struct Lock<T>(MutexImp<T>);

#[cfg(loom)]
use loom::sync::Mutex as MutexImp;
#[cfg(loom)]
pub(crate) use loom::sync::MutexGuard;
#[cfg(not(loom))]
use std::sync::Mutex as MutexImp;
#[cfg(not(loom))]
pub(crate) use std::sync::MutexGuard;

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
