//! Pools of values and of blocks.

use std::alloc::Layout;
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use blockyard::{BlockPool, LocalBlockPool, LocalPool, Pool, PoolBox};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::support::probe::{Habits, Probe, Refusal};
use crate::support::reconcile::{assert_empty, assert_reconciled};
use crate::support::team;

assert_impl_all!(Pool<Rc<u8>>: Send, Sync);
assert_impl_all!(BlockPool: Send, Sync);
assert_impl_all!(PoolBox<'static, Cell<u8>>: Send);
assert_not_impl_any!(PoolBox<'static, Cell<u8>>: Sync);
assert_not_impl_any!(PoolBox<'static, Rc<u8>>: Send, Sync);
assert_not_impl_any!(LocalPool<'static, u8>: Send, Sync);
assert_not_impl_any!(LocalBlockPool<'static>: Send, Sync);

/// Counts how many of its kind are alive.
#[derive(Debug)]
struct Counted<'a> {
    alive: &'a AtomicUsize,
    number: usize,
}

impl<'a> Counted<'a> {
    fn new(alive: &'a AtomicUsize, number: usize) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { alive, number }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A value of which some operation panics.
struct Explosive {
    clone: bool,
    drop: bool,
}

impl Clone for Explosive {
    fn clone(&self) -> Self {
        assert!(!self.clone, "told to panic in `clone`");
        Self { ..*self }
    }
}

impl Drop for Explosive {
    fn drop(&mut self) {
        assert!(!self.drop, "told to panic in `drop`");
    }
}

#[test]
fn values_are_dropped_once_on_whichever_thread() {
    let alive = AtomicUsize::new(0);
    let pool = Pool::new();
    team(|team| {
        for thread in 0..4 {
            let (pool, alive) = (&pool, &alive);
            team.spawn(move || {
                let local = pool.local();
                let made: Vec<_> = (0..1000)
                    .map(|n| {
                        let value = Counted::new(alive, thread * 1000 + n);
                        if n % 2 == 0 { pool.alloc(value) } else { local.alloc(value) }
                    })
                    .collect();
                let elsewhere = std::thread::scope(|scope| {
                    scope
                        .spawn(move || {
                            assert!(
                                made.iter().enumerate().all(|(n, value)| value.number == thread * 1000 + n)
                            );
                            made.into_iter().map(PoolBox::into_inner).take(500).collect::<Vec<_>>()
                        })
                        .join()
                        .expect("checks hold")
                });
                assert_eq!(elsewhere.len(), 500);
            });
        }
    });
    assert_eq!((alive.into_inner(), pool.live()), (0, 0));
    assert_reconciled(&pool.stats());
    assert_empty(&pool.stats());
}

#[test]
fn a_capacity_is_exact_whichever_threads_take_and_give() {
    const CAPACITY: usize = 50;
    let alive = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    let refusals = AtomicUsize::new(0);
    let pool = Pool::builder().capacity(CAPACITY).build().unwrap();
    let start = Barrier::new(4);
    team(|team| {
        for _ in 0..4 {
            team.spawn(|| {
                start.wait();
                let local = pool.local();
                let mut held = Vec::new();
                for round in 0..20_000 {
                    let taken = if round % 2 == 0 { pool.try_alloc(round) } else { local.try_alloc(round) };
                    match taken {
                        Ok(value) => {
                            most.fetch_max(1 + alive.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                            held.push(value);
                        }
                        Err(refused) => {
                            refusals.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(refused.error().capacity(), Some(CAPACITY));
                            assert_eq!(refused.into_value(), round);
                            alive.fetch_sub(held.len(), Ordering::SeqCst);
                            held.clear();
                        }
                    }
                }
                alive.fetch_sub(held.len(), Ordering::SeqCst);
            });
        }
    });
    assert_eq!(most.into_inner(), CAPACITY);
    assert_ne!(refusals.into_inner(), 0);
    assert_eq!(pool.live(), 0);
    let all: Vec<_> = (0..CAPACITY).map(|n| pool.alloc(n)).collect();
    assert!(pool.try_alloc(0).is_err() && pool.local().try_alloc_uninit().is_err());
    assert_eq!(pool.live(), all.len());
}

#[test]
fn what_panics_gives_its_block_back() {
    let calm = Explosive { clone: false, drop: false };
    for capacity in [usize::MAX, 3] {
        let pool = Pool::builder().capacity(capacity).build().unwrap();
        let panics = |work: &dyn Fn()| {
            assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
            assert_eq!(pool.live(), 0);
        };
        panics(&|| drop(pool.duplicate(&Explosive { clone: true, ..calm })));
        panics(&|| drop(pool.alloc(Explosive { clone: true, ..calm }).clone()));
        panics(&|| drop(pool.alloc_with(|| panic!("told to"))));
        panics(&|| drop(pool.alloc(Explosive { drop: true, ..calm })));
        panics(&|| drop(PoolBox::into_inner(pool.alloc(Explosive { drop: true, ..calm }))));
        assert_eq!(pool.live(), 0);
    }
    let full = Pool::builder().name("none").capacity(0).build().unwrap();
    let message = catch_unwind(AssertUnwindSafe(|| drop(full.alloc(7)))).unwrap_err();
    let message = message.downcast_ref::<String>().map(String::as_str);
    assert_eq!(message, Some("pool \"none\": its capacity of 0 is taken"));
}

#[test]
fn values_of_no_bytes_have_places_of_their_own() {
    let pool = Pool::builder().capacity(100).build().unwrap();
    let alive = AtomicUsize::new(0);
    struct Empty;
    let units: Vec<_> = (0..100).map(|_| pool.alloc(Empty)).collect();
    let places: HashSet<_> = units.iter().map(PoolBox::as_ptr).collect();
    assert_eq!((places.len(), pool.live()), (100, 100));
    assert!(pool.try_alloc(Empty).is_err());
    drop(units);

    #[repr(align(256))]
    struct Aligned;
    let aligned = Pool::<(Aligned, Counted<'_>)>::new();
    let none = Pool::new();
    let (one, other) = (aligned.alloc((Aligned, Counted::new(&alive, 1))), none.alloc(Aligned));
    assert_eq!(PoolBox::as_ptr(&one).addr() % 256, 0);
    assert_eq!(PoolBox::as_ptr(&other).addr() % 256, 0);
    drop(one);
    assert_eq!(alive.into_inner(), 0);
}

#[test]
fn alignments_beyond_a_chunk_and_values_beyond_a_class() {
    #[repr(align(131072))]
    struct Wide {
        _byte: u8,
    }
    let pool = Pool::<Wide>::new();
    let places: Vec<_> = (0..3).map(|_| pool.alloc_zeroed()).collect();
    assert!(places.iter().all(|place| PoolBox::as_ptr(place).addr().is_multiple_of(131_072)));
    assert_eq!(pool.live(), 3);
    drop(places);
    assert_eq!(pool.live(), 0);

    let large = Pool::<[u8; 3 << 20]>::new();
    // SAFETY: zeroes are bytes.
    let mut bytes = unsafe { large.local().alloc_uninit().write_zeroes() };
    bytes[(3 << 20) - 1] = 7;
    assert_eq!((bytes[0], bytes[(3 << 20) - 1]), (0, 7));
}

/// Writes zeroes, which has no name in the pool: there is `alloc_zeroed`.
trait WriteZeroes<'p, T> {
    /// # Safety
    /// Zeroes are a `T`.
    unsafe fn write_zeroes(self) -> PoolBox<'p, T>;
}

impl<'p, T> WriteZeroes<'p, T> for PoolBox<'p, std::mem::MaybeUninit<T>> {
    unsafe fn write_zeroes(mut self) -> PoolBox<'p, T> {
        // SAFETY: the place is for a `T`, and as the caller promises.
        unsafe {
            self.as_mut_ptr().write_bytes(0, 1);
            self.assume_init()
        }
    }
}

#[test]
fn preheated_memory_is_there_before_the_first_use() {
    let probe = Probe::new(Habits::GOOD);
    let pool = Pool::<[u64; 8]>::builder().source(probe.clone()).preheat(10_000).build().unwrap();
    assert_eq!(pool.live(), 0);
    let reserved = probe.counts().reserved;
    assert_ne!(reserved, 0);
    team(|team| {
        team.spawn(|| {
            let values: Vec<_> = (0..10_000).map(|n| pool.alloc([n; 8])).collect();
            assert_eq!(values[9_999][7], 9_999);
        });
    });
    assert_eq!(probe.counts().reserved, reserved);
    assert!(pool.collect() >= 10_000 * 64);
}

#[test]
fn a_source_that_refuses() {
    let never = || Probe::new(Habits { refusal: Refusal::From(0), ..Habits::GOOD });
    let pool = Pool::builder().name("starved").source(never()).capacity(2).build().unwrap();
    for _ in 0..3 {
        let refused = pool.try_alloc(7_u64).unwrap_err();
        assert_eq!((refused.error().capacity(), pool.live()), (None, 0));
        assert_eq!(refused.to_string(), "pool \"starved\": out of memory");
    }
    assert!(Pool::<u64>::builder().source(never()).preheat(1).build().is_err());
    assert!(pool.try_local().is_none());
}

#[test]
fn a_pool_has_its_row_in_the_statistics() {
    let pool = Pool::builder().name("sprites in a row").build().unwrap();
    let kept = PoolBox::leak(pool.alloc([7_u8; 100]));
    let stats = blockyard::stats();
    let row = stats.heaps.iter().find(|heap| heap.name.as_deref() == Some("sprites in a row")).unwrap();
    assert_eq!((row.blocks.live(), row.bytes.requested, kept[99]), (1, 100, 7));
    assert_eq!(format!("{pool:?}"), "Pool { name: Some(\"sprites in a row\"), capacity: None, live: 1, .. }");
}

#[test]
fn boxes_are_as_good_as_their_values() {
    let pool = Pool::new();
    let mut one = pool.alloc(String::from("one"));
    let two = pool.alloc(String::from("two"));
    assert!(one < two && one != two && one == one.clone());
    assert_eq!(format!("{one:?} {two}"), "\"one\" two");
    assert!(HashSet::from([one.clone()]).contains(&*one));
    one.clone_from(&two);
    one.push('!');
    assert_eq!((one.as_mut().as_str(), pool.live()), ("two!", 2));
}

#[test]
fn blocks_of_a_layout_given_at_run_time() {
    for (size, align) in [(0, 1), (1, 1), (24, 8), (100, 64), (70_000, 16), (10, 4096)] {
        let layout = Layout::from_size_align(size, align).unwrap();
        let pool = BlockPool::builder(layout).capacity(64).build().unwrap();
        let local = pool.local();
        let bytes: Vec<u8> = (0..size).map(|n| n as u8 ^ 0xa5).collect();
        let blocks: Vec<_> = (0..64)
            .map(|n| match n % 3 {
                0 => pool.duplicate(&bytes).unwrap(),
                1 => pool.alloc_zeroed().unwrap(),
                _ => local.duplicate(&bytes).unwrap(),
            })
            .collect();
        assert!(pool.alloc().is_err() && local.alloc_zeroed().is_err());
        let addresses: HashSet<_> = blocks.iter().map(|block| block.addr().get()).collect();
        assert_eq!((addresses.len(), pool.live()), (64, 64));
        for (n, block) in blocks.into_iter().enumerate() {
            assert_eq!(block.addr().get() % align, 0);
            // SAFETY: the pool's live block, all of it written, and given back once.
            unsafe {
                let found = std::slice::from_raw_parts(block.as_ptr(), size);
                assert!(if n % 3 == 1 { found.iter().all(|&byte| byte == 0) } else { found == bytes });
                if n % 2 == 0 { pool.free(block) } else { local.free(block) }
            }
        }
        assert_eq!(pool.live(), 0);
    }
    let pool = BlockPool::new(Layout::new::<u64>());
    assert!(catch_unwind(AssertUnwindSafe(|| pool.duplicate(&[0; 9]))).is_err());
    assert_eq!(pool.live(), 0);
}
