//! `Limit`: to the byte, on any number of threads.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

use blockyard::Global;
use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Failing, Limit, SoftLimit};
use proptest::prelude::*;

use crate::support::block::Block;
use crate::support::{KIB, MIB, Rng, layout, team};

#[test]
fn the_last_byte_can_be_had() {
    let budget = Limit::new(Global, 100);
    let first = HeapBox::try_new_in([0_u8; 60], &budget).expect("within");
    assert!(HeapBox::try_new_in([0_u8; 41], &budget).is_err());
    let second = HeapBox::try_new_in([0_u8; 40], &budget).expect("within");
    assert!(HeapBox::try_new_in(0_u8, &budget).is_err());
    assert_eq!((budget.used(), budget.remaining()), (100, 0));
    drop((first, second));
    assert_eq!((budget.used(), budget.peak()), (0, 100));
}

#[test]
fn sizes_that_overflow_are_refused() {
    let budget = Limit::new(Global, usize::MAX);
    let _some = HeapBox::new_in([0_u8; 100], &budget);
    let most = layout(isize::MAX.unsigned_abs(), 1);
    assert!(budget.allocate(most).is_err());
    assert_eq!((budget.used(), budget.peak()), (100, 100));
}

#[test]
fn a_refusal_of_the_childs_is_not_counted() {
    let budget = Limit::new(Failing::nth(Global, 1), 1000);
    let mut bytes = HeapVec::<u8, _>::with_capacity_in(10, &budget);
    assert!(bytes.try_reserve_exact(500).is_err());
    assert_eq!((budget.used(), budget.peak()), (10, 10));
    bytes.try_reserve_exact(20).expect("the next one is served");
    assert_eq!((budget.used(), budget.peak()), (20, 20));

    let budget = Limit::new(Failing::nth(Global, 0), 1000);
    assert!(HeapBox::try_new_in([0_u8; 500], &budget).is_err());
    assert_eq!((budget.used(), budget.peak()), (0, 0));
    drop(HeapBox::try_new_in([0_u8; 10], &budget).expect("the next one is served"));
    assert_eq!((budget.used(), budget.peak()), (0, 10));
}

#[test]
fn the_soft_limit_is_told_once_per_crossing() {
    let told = RefCell::new(Vec::new());
    let budget = Limit::new(Global, 1000).on_soft_limit(100, |crossed| told.borrow_mut().push(crossed));
    for _ in 0..2 {
        let mut bytes = HeapVec::<u8, _>::with_capacity_in(100, &budget);
        bytes.reserve_exact(150);
        bytes.reserve_exact(200);
    }
    let crossed = SoftLimit { limit: 100, used: 150, requested: 50 };
    assert_eq!(*told.borrow(), [crossed, crossed]);
    assert!(HeapBox::try_new_in([0_u8; 1001], &budget).is_err());
    assert_eq!(told.borrow().len(), 2, "what the hard limit refuses crosses nothing");
}

#[test]
fn the_callback_may_free_and_allocate() {
    let budget = Limit::new(Global, 1000);
    let cache = RefCell::new(HeapVec::<u8, _>::with_capacity_in(400, &budget));
    let evicting = Limit::new(&budget, 1000).on_soft_limit(100, |_| {
        cache.borrow_mut().shrink_to(0);
        drop(HeapBox::new_in([0_u8; 300], &budget));
    });
    let block = HeapBox::try_new_in([0_u8; 900], &evicting).expect("the cache was given up for it");
    assert_eq!(budget.used(), 900);
    drop(block);
}

#[test]
fn a_callback_that_panics_changes_nothing() {
    let armed = Cell::new(false);
    let budget = Limit::new(Global, 1000).on_soft_limit(100, |_| assert!(!armed.get(), "told"));
    let mut bytes = HeapVec::new_in(&budget);
    bytes.extend_from_slice(&[7_u8; 50]);
    let before = (budget.used(), bytes.capacity());
    armed.set(true);
    catch_unwind(AssertUnwindSafe(|| bytes.reserve_exact(200))).expect_err("a panic");
    assert_eq!((budget.used(), bytes.capacity()), before);
    assert!(bytes.iter().all(|&byte| byte == 7));
    armed.set(false);
    bytes.reserve_exact(200);
    assert_eq!(budget.used(), 250);
}

/// Threads allocate up to `largest` bytes at a time until they are refused, and free what they have.
fn threads_never_pass(limit: usize, largest: usize) {
    let told = AtomicUsize::new(0);
    let live = AtomicUsize::new(0);
    let budget = Limit::new(Global, limit).on_soft_limit(limit / 2, |crossed| {
        assert!(crossed.used > limit / 2 && crossed.used - crossed.requested <= limit / 2);
        told.fetch_add(1, Ordering::Relaxed);
    });
    team(|scope| {
        for thread in 0..4 {
            let (budget, live) = (&budget, &live);
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                let mut blocks = Vec::new();
                let free = |block: Block| {
                    live.fetch_sub(block.layout().size(), Ordering::Relaxed);
                    // SAFETY: the block is this budget's.
                    unsafe { block.free(&budget) };
                };
                for _ in 0..3000 {
                    let asked = layout(rng.below(largest), 8);
                    match Block::new(&budget, asked, false, rng.next()) {
                        Some(block) => {
                            let before = live.fetch_add(block.layout().size(), Ordering::Relaxed);
                            assert!(before + block.layout().size() <= limit);
                            blocks.push(block);
                        }
                        None => blocks.drain(..).for_each(free),
                    }
                    if rng.below(3) == 0 && !blocks.is_empty() {
                        free(blocks.swap_remove(rng.below(blocks.len())));
                    }
                    assert!(budget.used() <= limit);
                }
                blocks.into_iter().for_each(free);
            });
        }
    });
    assert_eq!(budget.used(), 0);
    assert!(budget.peak() <= limit && told.load(Ordering::Relaxed) > 0);
    let block = Block::new(&&budget, layout(limit, 8), false, 7).expect("all of it can be had again");
    // SAFETY: the block is this budget's.
    unsafe { block.free(&&budget) };
}

#[test]
fn threads_never_pass_the_limit() {
    threads_never_pass(10_000, 1500);
}

#[test]
fn threads_never_pass_a_limit_of_which_each_was_granted_some() {
    threads_never_pass(MIB, 4000);
}

/// Runs `f` on another thread, which stays until all is over, so that it keeps what it was granted.
fn on_another_thread(f: impl FnOnce() + Send, then: impl FnOnce()) {
    let both = Barrier::new(2);
    team(|scope| {
        scope.spawn(|| {
            f();
            both.wait();
            both.wait();
        });
        both.wait();
        then();
        both.wait();
    });
}

#[test]
fn what_an_idle_thread_was_granted_can_be_had() {
    const LIMIT: usize = 100 * KIB;
    let budget = Limit::new(Global, LIMIT);
    let use_it = || drop(HeapBox::new_in([0_u8; 1000], &budget));
    on_another_thread(use_it, || {
        assert_eq!(budget.used(), 0);
        let all = HeapVec::<u8, _>::with_capacity_in(LIMIT, &budget);
        assert!(HeapBox::try_new_in(0_u8, &budget).is_err());
        assert_eq!((budget.used(), budget.peak(), budget.remaining()), (LIMIT, LIMIT, 0));
        drop(all);
        for _ in 0..500 {
            use_it();
        }
        on_another_thread(use_it, || {
            let _most = HeapVec::<u8, _>::with_capacity_in(LIMIT - 1, &budget);
            assert!(HeapBox::try_new_in([0_u8; 2], &budget).is_err());
            drop(HeapBox::try_new_in(0_u8, &budget).expect("the last byte"));
        });
    });
}

#[test]
fn a_crossing_is_told_whoever_took_what_is_below() {
    const SOFT: usize = 64 * KIB;
    let told = Mutex::new(Vec::new());
    let budget = Limit::new(Global, MIB).on_soft_limit(SOFT, |crossed| told.lock().unwrap().push(crossed));
    let half = Mutex::new(None);
    let keep_half = || *half.lock().unwrap() = Some(HeapVec::<u8, _>::with_capacity_in(SOFT / 2, &budget));
    on_another_thread(keep_half, || {
        let rest = HeapVec::<u8, _>::with_capacity_in(SOFT / 2, &budget);
        assert_eq!(*told.lock().unwrap(), []);
        let crossing = SoftLimit { limit: SOFT, used: SOFT + 1, requested: 1 };
        for times in 1..300 {
            let byte = HeapBox::new_in(0_u8, &budget);
            assert_eq!(told.lock().unwrap().len(), times);
            assert_eq!(told.lock().unwrap().last(), Some(&crossing));
            drop(byte);
        }
        // Below again by what the other thread had: not told until it is above.
        *half.lock().unwrap() = None;
        drop(HeapVec::<u8, _>::with_capacity_in(SOFT / 2, &budget));
        assert_eq!(told.lock().unwrap().len(), 299);
        drop(HeapVec::<u8, _>::with_capacity_in(SOFT / 2 + 1, &budget));
        assert_eq!(told.lock().unwrap().len(), 300);
        drop(rest);
    });
    drop(half);
    assert_eq!((budget.used(), budget.peak()), (0, SOFT + 1));
}

#[test]
fn more_limits_than_threads_have_lines_for() {
    let budgets: Vec<_> = (0..100).map(|n| Limit::new(Global, 1000 + n)).collect();
    let blocks: Vec<_> = budgets.iter().map(|budget| HeapBox::new_in([0_u8; 1000], budget)).collect();
    for (n, budget) in budgets.iter().enumerate() {
        assert_eq!((budget.used(), budget.remaining()), (1000, n));
        assert!(HeapBox::try_new_in([0_u8; 1000], budget).is_err());
    }
    drop(blocks);
    assert!(budgets.iter().all(|budget| budget.used() == 0 && budget.peak() == 1000));
}

#[test]
fn a_thread_leaves_what_it_was_granted() {
    let budget = Limit::new(Global, 100 * KIB);
    for _ in 0..20 {
        let kept = std::thread::scope(|scope| {
            let kept = scope.spawn(|| HeapBox::new_in([0_u8; 5000], &budget));
            kept.join().expect("no panic")
        });
        assert_eq!(budget.used(), 5000);
        drop(kept);
        assert_eq!(budget.used(), 0);
    }
    drop(HeapVec::<u8, _>::with_capacity_in(100 * KIB, &budget));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The books are the sum of what is live, whatever grows and shrinks, is refused or freed.
    #[test]
    fn used_is_what_is_live(calls in prop::collection::vec((0..4_usize, 0..600_usize, 0..8_usize), 1..200)) {
        let budget = Limit::new(Global, 2000);
        let (mut live, mut peak) = (Vec::<Block>::new(), 0);
        for (call, size, which) in calls {
            let used = budget.used();
            match (call, live.is_empty()) {
                (0 | 1, _) | (_, true) => match Block::new(&budget, layout(size, 8), call == 1, 7) {
                    Some(block) => live.push(block),
                    None => prop_assert!(used + size > 2000),
                },
                (2, false) => {
                    let index = which % live.len();
                    // SAFETY: the block is this budget's.
                    unsafe { live.swap_remove(index).free(&budget) };
                }
                (_, false) => {
                    let index = which % live.len();
                    let old = live[index].layout().size();
                    // SAFETY: the block is this budget's.
                    let resized = unsafe { live[index].resize(&budget, layout(size, 16), which % 2 == 0) };
                    prop_assert!(resized || used - old + size > 2000);
                }
            }
            let sum: usize = live.iter().map(|block| block.layout().size()).sum();
            peak = peak.max(sum);
            prop_assert_eq!((budget.used(), budget.peak()), (sum, peak));
        }
        // SAFETY: the blocks are this budget's.
        live.into_iter().for_each(|block| unsafe { block.free(&budget) });
    }
}

#[test]
fn a_block_that_shrinks_gives_its_bytes_back() {
    let budget = Limit::new(Global, 1000);
    let (old, new) = (Layout::new::<[u8; 800]>(), Layout::new::<[u8; 100]>());
    let block = budget.allocate(old).expect("within").cast();
    // SAFETY: the budget's block.
    unsafe {
        let block = budget.shrink(block, old, new).expect("less").cast();
        assert_eq!(budget.remaining(), 900);
        budget.deallocate(block, new);
    }
}
