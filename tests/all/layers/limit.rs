//! `Limit`: to the byte, on any number of threads.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use blockyard::Global;
use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Failing, Limit, SoftLimit};
use proptest::prelude::*;

use crate::support::block::Block;
use crate::support::{Rng, layout, team};

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

#[test]
fn threads_never_pass_the_limit() {
    const LIMIT: usize = 10_000;
    let told = AtomicUsize::new(0);
    let budget = Limit::new(Global, LIMIT).on_soft_limit(LIMIT / 2, |crossed| {
        assert!(crossed.used > LIMIT / 2 && crossed.used - crossed.requested <= LIMIT / 2);
        told.fetch_add(1, Ordering::Relaxed);
    });
    team(|scope| {
        for thread in 0..4 {
            let budget = &budget;
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                let mut live = Vec::new();
                for _ in 0..3000 {
                    let asked = layout(rng.below(1500), 8);
                    match Block::new(&budget, asked, false, rng.next()) {
                        Some(block) => live.push(block),
                        // SAFETY: the blocks are this budget's.
                        None => live.drain(..).for_each(|block: Block| unsafe { block.free(&budget) }),
                    }
                    assert!(budget.used() <= LIMIT);
                }
                // SAFETY: as above.
                live.into_iter().for_each(|block| unsafe { block.free(&budget) });
            });
        }
    });
    assert_eq!(budget.used(), 0);
    assert!(budget.peak() <= LIMIT && told.into_inner() > 0);
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
