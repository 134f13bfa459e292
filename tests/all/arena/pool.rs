//! Arenas per thread.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use blockyard::{Arena, ArenaPool, Heap, Keep};
use rayon::prelude::*;
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(ArenaPool: Send, Sync, Default, std::fmt::Debug);
assert_impl_all!(Arena: Send, Default, std::fmt::Debug);
assert_not_impl_any!(Arena: Sync, Clone);
assert_not_impl_any!(blockyard::Scope<'static>: Send, Sync, Clone);
assert_impl_all!(blockyard::ArenaBox<'static, u8>: Send, Sync);
assert_not_impl_any!(blockyard::ArenaBox<'static, std::rc::Rc<u8>>: Send, Sync);
assert_not_impl_any!(blockyard::ArenaBox<'static, std::cell::Cell<u8>>: Sync);
assert_impl_all!(blockyard::FixedBuffer<'static>: Send);
assert_not_impl_any!(blockyard::FixedBuffer<'static>: Sync);
assert_impl_all!(blockyard::SharedFixedBuffer<'static>: Send, Sync);
assert_impl_all!(blockyard::StackFallback<64>: Send);
assert_not_impl_any!(blockyard::StackFallback<64>: Sync);

#[test]
fn parallel_iterators_nest_inside_an_allocation() {
    let mut pool = ArenaPool::new();
    for round in 0..5_usize {
        let rows: Vec<&[&usize]> = (0..64_usize)
            .into_par_iter()
            .map(|row| {
                &*pool.local().alloc_with(|| {
                    // Waits here, and steals other rows meanwhile: they use the same arena.
                    let made: Vec<&usize> = (0..64_usize)
                        .into_par_iter()
                        .map(|n| &*pool.local().alloc(row * 1000 + n + round))
                        .collect();
                    &*pool.local().alloc_slice_copy(&made)
                })
            })
            .map(|row| *row)
            .collect();
        for (r, row) in rows.iter().enumerate() {
            assert!(row.iter().enumerate().all(|(n, &&value)| value == r * 1000 + n + round));
        }
        drop(rows);
        pool.reset();
        assert_eq!(pool.stats().used, 0);
    }
}

#[test]
fn each_live_thread_has_its_own() {
    let pool = ArenaPool::new();
    let seen = Mutex::new(HashSet::new());
    let barrier = std::sync::Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let arena: *const Arena = pool.local();
                assert_eq!(arena, &raw const *pool.local());
                assert!(seen.lock().unwrap().insert(arena.addr()));
                barrier.wait();
            });
        }
    });
}

#[test]
fn several_pools_do_not_mix() {
    let heap = Heap::new();
    let (one, two, three) = (ArenaPool::new(), ArenaPool::new(), ArenaPool::new_in(&heap));
    for n in 0..100_u64 {
        let made = (one.local().alloc(n), two.local().alloc(n + 1), three.local().alloc(n + 2));
        assert_eq!((*made.0, *made.1, *made.2), (n, n + 1, n + 2));
    }
    assert_eq!(three.local().stats().used, 800);
    assert_eq!(one.local().stats().used, 800);
}

#[test]
fn arenas_of_ended_threads_are_used_again() {
    let mut pool = Arena::builder().keep(Keep::All).build_pool();
    for _ in 0..20 {
        for _ in 0..10 {
            thread::scope(|scope| {
                scope.spawn(|| pool.local().alloc([7_u8; 1000])).join().unwrap();
            });
        }
        assert!(pool.stats().used >= 10_000);
        pool.reset();
    }
    // At most one arena for each of the ten, however the system placed them.
    assert!(pool.stats().reserved <= 11 * 16 * 1024, "{:?}", pool.stats());
}

#[test]
fn a_reset_gives_a_thread_an_arena_again() {
    let mut pool = ArenaPool::new();
    for n in 0..100 {
        assert_eq!(*pool.local().alloc(n), n);
        assert_eq!(pool.local().stats().used, 4);
        pool.reset();
    }
    assert_eq!(pool.stats().chunks, 1);
}

/// A destructor of a thread-local that runs after `thread_local`'s own still uses its arena, while a new
/// thread has the same number of that crate's.
#[test]
fn a_dying_thread_keeps_its_arena_to_its_last_instruction() {
    struct Late(&'static Arena, u64);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    impl Drop for Late {
        fn drop(&mut self) {
            let made: Vec<&mut u64> = (0..20_000).map(|n| self.0.alloc(self.1 + n)).collect();
            thread::yield_now();
            assert!(made.iter().enumerate().all(|(n, value)| **value == self.1 + n as u64));
            DONE.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });

    let pool: &'static ArenaPool = Box::leak(Box::new(ArenaPool::new()));
    // `scope` returns before the destructors of its threads have run.
    for round in 0..50_u64 {
        thread::scope(|scope| {
            for n in 0..4 {
                scope.spawn(move || {
                    LATE.with(|_| ()); // registered first, destroyed last
                    let arena = pool.local();
                    LATE.set(Some(Late(arena, (round * 4 + n) << 32)));
                    let made: Vec<&mut u64> = (0..1000).map(|k| arena.alloc(k)).collect();
                    assert!(made.iter().enumerate().all(|(k, value)| **value == k as u64));
                });
            }
        });
    }
    while DONE.load(Ordering::Relaxed) < 200 {
        thread::yield_now();
    }
}
