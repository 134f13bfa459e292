//! A source that refuses: at every single call, once and from then on. Requests fail; nothing
//! crashes, leaks or is damaged, and all that was reserved is released.

use std::time::Duration;

use blockyard::Heap;
use blockyard::source::Purged;

use crate::model::{Op, Step, run};
use crate::support::block::Block;
use crate::support::probe::{Habits, Probe, Refusal};
use crate::support::reconcile::{assert_empty, assert_reconciled};
use crate::support::{KIB, MIB, Rng, layout};

/// Operations that make a heap call its source for every reason there is.
fn steps() -> Vec<Step> {
    let sizes = [8, 3000, 60 * KIB, 64 * KIB + 1, 300 * KIB, MIB + 1, 9 * KIB, 700 * KIB];
    let mut rng = Rng::new(3);
    let mut steps = Vec::new();
    for round in 0..2 {
        for size in sizes {
            let layout = layout(size, if size % 3 == 0 { 128 * KIB } else { 8 });
            let zeroed = rng.below(2) == 0;
            let ops = [
                Op::Alloc { layout, zeroed },
                Op::Alloc { layout, zeroed: !zeroed },
                Op::Resize { pick: rng.below(64), layout, zeroed },
                Op::Free { pick: rng.below(64), unsized_: false },
            ];
            steps.extend(ops.map(|op| op.once(rng.below(4) == 0)));
        }
        steps.push(Op::Collect.once(round == 1));
    }
    steps
}

/// Runs the steps on a heap whose source refuses as told. Returns whether it ever did.
fn refuse(habits: Habits) -> bool {
    let probe = Probe::new(habits);
    let builder = Heap::builder().source(probe.clone()).purge_delay(Duration::from_millis(1));
    let heap = builder.build().expect("memory for a record");
    let outcome = run(|| &heap, &steps());
    let refused = match habits.refusal {
        Refusal::Never => false,
        Refusal::Only(number) | Refusal::From(number) => probe.calls() > number,
    };
    assert!(refused || outcome.refused == 0, "nothing is refused without reason");
    heap.collect();
    assert_empty(&heap.stats());

    // Once memory is there again, so is the heap.
    if !matches!(habits.refusal, Refusal::From(_)) {
        for size in [1, 70 * KIB, 2 * MIB] {
            let ask = || Block::new(&&heap, layout(size, 8), true, 1);
            let block = ask().or_else(ask).expect("memory is back");
            // SAFETY: the block is this heap's.
            unsafe { block.free(&&heap) };
        }
    }
    drop(heap);
    probe.assert_balanced();
    refused
}

/// Refuses at call 0, 1, 2, ... until there is no such call.
fn refuse_at_every_call(refusal: impl Fn(usize) -> Refusal, habits: Habits) {
    let last = (0..).find(|&number| !refuse(Habits { refusal: refusal(number), ..habits }));
    assert!(last >= Some(20), "{last:?} calls of the source do not show much");
}

#[test]
fn every_call_is_refused_once() {
    refuse_at_every_call(Refusal::Only, Habits::GOOD);
}

#[test]
fn every_call_is_refused_once_by_a_poor_source() {
    refuse_at_every_call(Refusal::Only, Habits::POOR);
}

#[test]
fn memory_ends_at_every_call() {
    refuse_at_every_call(Refusal::From, Habits::GOOD);
}

#[test]
fn memory_ends_for_a_heap_that_keeps_everything() {
    refuse_at_every_call(Refusal::From, Habits { purged: Purged::Kept, remaps: false, ..Habits::POOR });
}

#[test]
fn a_heap_without_any_memory_says_no() {
    let probe = Probe::new(Habits { refusal: Refusal::From(0), ..Habits::GOOD });
    let heap = Heap::builder().source(probe.clone()).build().expect("memory for a record");
    for _ in 0..3 {
        assert!(heap.try_local().is_none());
        assert!(Block::new(&&heap, layout(1, 1), true, 0).is_none());
        assert!(Block::new(&&heap, layout(0, 64), false, 0).is_some(), "no bytes need no memory");
        heap.flush();
        assert_eq!(heap.collect(), 0);
    }
    let stats = heap.stats();
    assert_reconciled(&stats);
    assert_eq!((stats.bytes.mapped, stats.threads.len()), (0, 0));
    assert!(!heap.owns(std::ptr::from_ref(&heap).cast()));
    drop(heap);
    probe.assert_balanced();
}

#[test]
#[should_panic = "no memory for this thread's part of the heap"]
fn a_handle_without_memory_panics() {
    let probe = Probe::new(Habits { refusal: Refusal::From(0), ..Habits::GOOD });
    let heap = Heap::builder().source(probe).build().expect("memory for a record");
    let _ = heap.local();
}
