//! `arena-refill-*`, `arena-fresh-*`, `arena-100k-*`: from the first allocation to the end.

use std::hint::black_box;
use std::time::Duration;

use super::contender::{Arena, Owned, Space};
use super::{Brief, Rows, Workload, spec};
use crate::bench::machine;
use crate::bench::workload::{CpuClock, Sample};

/// Arenas or rounds per repetition.
const ROUNDS: u64 = 500;
/// Values of the large arena.
const MANY: u64 = 100_000;
const GROUP: &str = "arena-life";

pub(super) fn rows(rows: &mut Rows<'_>) {
    rows.add(
        spec(
            "arena-refill",
            GROUP,
            "50 allocations, a fifth of them strings, then a reset",
            "one round",
            "the reset of a small arena",
        ),
        |entries| Refill.enter_all(entries),
    );
    for (name, values) in [("arena-fresh-10", 10), ("arena-fresh-100", 100)] {
        let about = "make an arena, allocate 10 or 100 values of 64 bytes, drop it";
        rows.add(spec(name, GROUP, about, "one arena", "the first chunks"), |entries| {
            Fresh { values }.enter_all(entries);
        });
    }
    let about = "fill an arena with 100,000 values of 64 bytes";
    rows.add(
        spec("arena-100k-warm", GROUP, about, "one value", "second-level cache and beyond"),
        |entries| HundredThousand.enter_all(entries),
    );
    rows.add(
        spec(
            "arena-100k-cold",
            GROUP,
            "the same in a fresh arena, all free memory given back to the system before",
            "one value",
            "page faults",
        ),
        |entries| Cold.enter_all(entries),
    );
}

#[derive(Clone, Copy)]
struct Refill;

impl Workload for Refill {
    fn round<A: Arena>(self, reps: u64) -> Sample {
        let text = black_box("the name of something");
        let mut arena = A::new();
        Sample::time(reps * ROUNDS, || {
            for round in 0..reps * ROUNDS {
                arena.round(|space| {
                    for _ in 0..10 {
                        black_box(space.value(round));
                        black_box(space.value([round; 4]));
                        black_box(space.value(round as u32));
                        black_box(space.value([round; 8]));
                        black_box(space.text(text));
                    }
                });
            }
        })
    }
}

#[derive(Clone, Copy)]
struct Fresh {
    values: u64,
}

impl Brief for Fresh {
    fn round<A: Owned>(self, reps: u64) -> Sample {
        Sample::time(reps * ROUNDS, || {
            for _ in 0..reps * ROUNDS {
                lines(A::new().space(), self.values);
            }
        })
    }
}

#[derive(Clone, Copy)]
struct HundredThousand;

impl Workload for HundredThousand {
    fn round<A: Arena>(self, reps: u64) -> Sample {
        let mut arena = A::new();
        // Twice: what an arena keeps may be less than what it had.
        for _ in 0..2 {
            arena.round(|space| lines(space, MANY));
        }
        Sample::time(reps * MANY, || {
            for _ in 0..reps {
                arena.round(|space| lines(space, MANY));
            }
        })
    }
}

#[derive(Clone, Copy)]
struct Cold;

impl Brief for Cold {
    fn round<A: Owned>(self, reps: u64) -> Sample {
        let (mut elapsed, mut faults) = (Duration::ZERO, 0);
        for _ in 0..reps {
            A::give_back();
            let faults_before = machine::page_faults();
            let clock = CpuClock::of_thread();
            let arena = A::new();
            lines(arena.space(), MANY);
            elapsed += clock.elapsed();
            faults += machine::page_faults() - faults_before;
        }
        A::give_back();
        Sample::new(elapsed, reps * MANY).with_faults(faults)
    }
}

/// Allocates `values` values of 64 bytes.
#[inline(always)]
fn lines(space: &impl Space, values: u64) {
    for number in 0..values {
        black_box(space.value([number; 8]));
    }
}
