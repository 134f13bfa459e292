//! Sequences that proptest makes up, and shrinks when one fails.

use std::time::Duration;

use blockyard::source::Purged;
use blockyard::{Global, Heap};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{AsGlobalAlloc, Local, Op, Outcome, Step, run};
use crate::support::probe::{Habits, Probe};
use crate::support::reconcile::{assert_empty, assert_reconciled, assert_sent_is_received};
use crate::support::{KIB, MIB, layout};

/// Sizes of every kind of block: in classes, runs of chunks, mappings.
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        12 => 0..=KIB,
        6 => 0..=64 * KIB,
        3 => 60 * KIB..=1100 * KIB,
        1 => MIB..=5 * MIB,
    ]
}

fn aligns() -> impl Strategy<Value = usize> {
    let shift = prop_oneof![12 => 0..=6_u32, 3 => 7..=16_u32, 1 => 17..=23_u32];
    shift.prop_map(|shift| 1 << shift)
}

fn ops() -> impl Strategy<Value = Op> {
    let layouts =
        || (sizes(), aligns(), any::<bool>()).prop_map(|(size, align, flag)| (layout(size, align), flag));
    prop_oneof![
        10 => layouts().prop_map(|(layout, zeroed)| Op::Alloc { layout, zeroed }),
        6 => (any::<usize>(), layouts()).prop_map(|(pick, (layout, zeroed))| Op::Resize { pick, layout, zeroed }),
        8 => any::<(usize, bool)>().prop_map(|(pick, unsized_)| Op::Free { pick, unsized_ }),
        1 => Just(Op::Flush),
        1 => Just(Op::Collect),
    ]
}

/// Now and then the same again and again, so that chunks fill and empty.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let times = prop_oneof![6 => Just(1), 1 => 1..200_usize];
    let step = (ops(), times, prop::bool::weighted(0.3)).prop_map(|(op, times, elsewhere)| Step {
        op,
        times: op.at_most(times),
        elsewhere,
    });
    vec(step, 1..120)
}

/// Everything has been freed: the counters say so, but for what frees without a layout could not tell.
fn assert_all_returned(heap: &Heap, outcome: &Outcome) {
    assert_eq!(outcome.refused, 0);
    heap.flush();
    heap.collect();
    let stats = heap.stats();
    assert_reconciled(&stats);
    assert_sent_is_received(&stats);
    assert_eq!((stats.blocks.live(), stats.bytes.in_blocks), (0, 0), "{stats}");
    let requested: i64 = stats.threads.iter().map(|thread| thread.requested).sum();
    assert_eq!(requested, -(outcome.slack as i64), "{stats}");
    if outcome.slack == 0 {
        assert_empty(&stats);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_shared_heap_behaves(steps in steps()) {
        let heap = Heap::new();
        let outcome = run(|| &heap, &steps);
        assert_all_returned(&heap, &outcome);
    }

    #[test]
    fn a_local_heap_behaves(steps in steps()) {
        let heap = Heap::new();
        let outcome = run(|| Local::new(&heap), &steps);
        assert_all_returned(&heap, &outcome);
    }

    #[test]
    fn global_behaves(steps in steps()) {
        prop_assert_eq!(run(|| Global, &steps), Outcome::default());
    }

    #[test]
    fn global_behaves_as_global_alloc(steps in steps()) {
        prop_assert_eq!(run(|| AsGlobalAlloc, &steps), Outcome::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    /// Every visit to the pool gives back what is free, so that memory goes and comes all the time.
    #[test]
    fn a_heap_over_any_source_behaves(
        steps in steps(),
        fresh_is_zero in any::<bool>(),
        purged in prop_oneof![Just(Purged::Zeroed), Just(Purged::Unspecified), Just(Purged::Kept)],
        remaps in any::<bool>(),
        splits in any::<bool>(),
        delay_ms in 0..2_u64,
    ) {
        let probe = Probe::new(Habits { fresh_is_zero, purged, remaps, splits, ..Habits::GOOD });
        let builder = Heap::builder().source(probe.clone()).purge_delay(Duration::from_millis(delay_ms));
        let heap = builder.build().expect("there is memory for a heap");
        let outcome = run(|| &heap, &steps);
        assert_all_returned(&heap, &outcome);
        drop(heap);
        probe.assert_balanced();
    }
}
