//! `arena-scope`: two scopes, one in the other, with a few allocations each.

use super::contender::Nested;
use super::{Entries, Rows, ours, peers, raw, spec};
use crate::bench::workload::Sample;

/// Nests per repetition.
const NESTS: u64 = 2_000;
/// Values in each of the two scopes.
const VALUES: u64 = 4;

pub(super) fn rows(rows: &mut Rows<'_>) {
    let spec = spec(
        "arena-scope",
        "arena-life",
        "enter a scope, allocate 4 numbers, enter one in it, 4 more, leave both",
        "both scopes",
        "checkpoints",
    );
    rows.add(spec, |entries| {
        enter::<ours::OneScope>(entries);
        enter::<peers::BumpScope>(entries);
        enter::<raw::RawBump>(entries);
    });
}

fn enter<A: Nested>(entries: &mut Entries<'_>) {
    entries.enter(A::NAME, |reps| {
        let mut arena = A::new();
        Sample::time(reps * NESTS, || {
            for _ in 0..reps * NESTS {
                arena.nested(VALUES);
            }
        })
    });
}
