//! `fork` in a process of several threads.
//!
//! The child has one thread, and memory as it was in the middle of what the others were doing. So that `Global` serves
//! it, the thread that forks takes every lock that a call of `Global` can wait for, in the order in which calls nest
//! them, and both processes give them back: what they guard is whole in the child. What the others owned (their chunks,
//! caches and outboxes) nobody touches there any more; it is lost to the child. What they may have left half done
//! without a lock is put right by [`in_child`].
//!
//! Locks of other heaps are not taken: a source may allocate from `Global` under one, so no order would do.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::MutexGuard;

use super::core::GLOBAL;
use super::pool::Pool;
use crate::threads::HeldThreads;

/// Given back in this order: the pool's lock, which guards [`HELD`], last.
struct Held {
    threads: HeldThreads,
    _growing: MutexGuard<'static, ()>,
    _pool: MutexGuard<'static, Pool>,
}

struct Place(UnsafeCell<Option<Held>>);

// SAFETY: touched by who holds the pool's lock only.
unsafe impl Sync for Place {}

static HELD: Place = Place(UnsafeCell::new(None));

extern "C" fn before() {
    // (I8) No code of users runs until they are given back. A thread that ends holds its record's lock, takes the
    // others inside it, and never forks meanwhile.
    let own = HeldThreads::own_locals();
    let growing = GLOBAL.table.hold();
    let pool = GLOBAL.pool.lock();
    let threads = HeldThreads::all(own);
    // SAFETY: the pool's lock is held.
    unsafe { *HELD.0.get() = Some(Held { threads, _growing: growing, _pool: pool }) };
}

extern "C" fn in_parent() {
    // SAFETY: the pool's lock is held since `before`.
    drop(unsafe { (*HELD.0.get()).take() });
}

extern "C" fn in_child() {
    // SAFETY: as in `in_parent`; no other thread is there.
    let held = unsafe { (*HELD.0.get()).take() };
    // Someone may have been inside: a reader of statistics, who would keep segments mapped; who empties orphans, which
    // one at a time does; and in a slot of a return queue, where the next one would wait. Full queues overflow, as if
    // they had not been made yet.
    GLOBAL.gate.reset();
    GLOBAL.emptying.store(false, Ordering::Relaxed);
    GLOBAL.locals().for_each(|local| local.inbox().forget_queue());
    if let Some(held) = &held {
        held.threads.renew();
    }
    drop(held);
}

/// Has every later `fork` of this process see to [`GLOBAL`]. Called before a thread's first allocation.
pub(crate) fn guard_forks() {
    static DONE: AtomicBool = AtomicBool::new(false);
    // ORDER: Relaxed: nothing depends on it.
    if !cfg!(miri) && !DONE.load(Ordering::Relaxed) && !DONE.swap(true, Ordering::Relaxed) {
        // SAFETY: the functions may be called at any fork. Without memory for them forks are as if they were not there.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}
