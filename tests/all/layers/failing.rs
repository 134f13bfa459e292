//! `Failing`, and each request refused once.

use blockyard::allocator_api2::alloc::{AllocError, Allocator};
use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Failing, Outcome, check_all_failures};
use blockyard::{Arena, Global};
use std::cell::Cell;

use crate::support::team;

fn served(memory: &impl Allocator, requests: usize) -> Vec<bool> {
    (0..requests).map(|_| HeapBox::try_new_in(7_u64, memory).is_ok()).collect()
}

#[test]
fn what_was_planned_is_refused() {
    assert_eq!(served(&Failing::never(Global), 4), [true; 4]);
    assert_eq!(served(&Failing::nth(Global, 2), 4), [true, true, false, true]);
    assert_eq!(served(&Failing::from_nth(Global, 2), 4), [true, true, false, false]);
}

#[test]
fn random_refusals_follow_the_seed() {
    let refused = |seed, probability| served(&Failing::random(Global, seed, probability), 500);
    assert_eq!(refused(1, 0.5), refused(1, 0.5));
    assert_ne!(refused(1, 0.5), refused(2, 0.5));
    assert!(refused(3, 0.0).iter().all(|&served| served));
    assert!(refused(3, 1.0).iter().all(|&served| !served));
}

#[test]
#[should_panic(expected = "a probability of 1.5")]
fn a_probability_is_one() {
    let _ = Failing::random(Global, 0, 1.5);
}

#[test]
fn growth_fails_and_shrinking_does_not() {
    let memory = Failing::from_nth(Global, 1);
    let mut numbers = HeapVec::with_capacity_in(100, &memory);
    numbers.extend(0..10);
    assert!(numbers.try_reserve_exact(200).is_err());
    numbers.shrink_to_fit();
    assert!(numbers.iter().copied().eq(0..10));
    assert_eq!((memory.requests(), memory.refusals()), (2, 1));
}

#[test]
fn threads_share_the_count() {
    let memory = Failing::nth(Global, 1000);
    let refused = std::sync::atomic::AtomicUsize::new(0);
    team(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mine = served(&memory, 500).iter().filter(|&&served| !served).count();
                refused.fetch_add(mine, std::sync::atomic::Ordering::Relaxed);
            });
        }
    });
    assert_eq!((memory.requests(), memory.refusals(), refused.into_inner()), (2000, 1, 1));
}

#[test]
fn an_arena_survives_each_refusal() {
    let report = check_all_failures(|memory| {
        let arena = Arena::new_in(memory);
        for size in [10, 1000, 100_000, 50] {
            arena.try_alloc_slice_copy(&vec![7_u8; size])?;
        }
        Ok::<_, blockyard::ArenaError>(())
    });
    // Where a large chunk is refused, a smaller one will do.
    assert!(report.runs.iter().all(|run| matches!(run, Outcome::Failed | Outcome::Succeeded)), "{report}");
    assert!(report.runs.len() >= 2 && report.runs.contains(&Outcome::Failed), "{report}");
}

#[test]
fn leaks_panics_and_swallowed_errors_are_told() {
    let report = check_all_failures(|memory| {
        let cache = HeapBox::try_new_in(0_u64, memory).ok();
        let first = HeapBox::into_raw(HeapBox::try_new_in([1_u8; 100], memory)?);
        let second = HeapBox::try_new_in(2_u64, memory)?;
        let third = HeapBox::try_new_in(3_u64, memory);
        // SAFETY: it was just made.
        drop(unsafe { HeapBox::from_raw_in(first, memory) });
        drop((cache, second));
        third.expect("there is memory");
        Ok::<_, AllocError>(())
    });
    let panicked =
        Outcome::Panicked { message: "there is memory: AllocError".to_owned(), blocks: 0, bytes: 0 };
    assert_eq!(report.undisturbed, Outcome::Succeeded);
    assert_eq!(
        report.runs,
        [Outcome::Succeeded, Outcome::Failed, Outcome::Leaked { blocks: 1, bytes: 100 }, panicked]
    );
    assert_eq!(
        report.to_string(),
        "4 requests refused, 1 of them handled\n\
         request 0 refused: succeeded\n\
         request 2 refused: leaked 1 blocks of 100 bytes\n\
         request 3 refused: panicked: there is memory: AllocError"
    );
}

#[test]
fn a_first_run_that_does_not_succeed_is_the_report() {
    let report = check_all_failures(|memory| {
        let _forgotten = HeapBox::leak(HeapBox::try_new_in(7_u64, memory)?);
        Ok::<_, AllocError>(())
    });
    assert_eq!(report.undisturbed, Outcome::Leaked { blocks: 1, bytes: 8 });
    assert!(report.runs.is_empty() && !report.is_clean());
    assert_eq!(report.to_string(), "without any refusal: leaked 1 blocks of 8 bytes");
}

#[test]
fn code_that_changes_between_runs_is_told() {
    let runs = Cell::new(0);
    let report = check_all_failures(|memory| {
        runs.set(runs.get() + 1);
        if runs.get() == 1 {
            HeapBox::try_new_in(7_u64, memory)?;
        }
        Ok::<_, AllocError>(())
    });
    assert_eq!(report.runs, [Outcome::NotReached]);
}
