//! `arena-64` and others: allocations one after the other, in an arena that is in the cache.

use std::alloc::Layout;
use std::hint::black_box;

use super::contender::{Arena, Space};
use super::{Rows, Workload, spec};
use crate::bench::workload::{Rng, Sample};

/// Allocations per round of an arena: some 20 KiB of the small ones.
const COUNT: usize = 300;
/// Rounds per repetition.
const ROUNDS: u64 = 100;
const GROUP: &str = "arena-alloc";

pub(super) fn rows(rows: &mut Rows<'_>) {
    let mut add = |name, about, stresses, what: What| {
        rows.add(spec(name, GROUP, about, "one allocation", stresses), |entries| what.enter_all(entries));
    };
    let filled = "fill an arena with 300 values of 64 bytes, then take them back";
    add("arena-64", filled, "the fast path, size and alignment known to the compiler", What::Value);
    add(
        "arena-mixed",
        "300 places of 1 to 128 bytes, aligned to 1 to 16",
        "the fast path, size and alignment known at run time",
        What::Mixed,
    );
    let copied = "copy 300 byte slices into an arena, then take them back";
    add("arena-copy-24", copied, "the fast path, and a small copy", What::Copy(24));
    add("arena-copy-1k", copied, "the copy", What::Copy(1024));
    add("arena-str", "copy 300 strings of 1 to 30 bytes", "sizes that vary, unaligned", What::Text);
    rows.add(
        spec(
            "arena-vec",
            GROUP,
            "push 1,000 numbers to a vector in an arena, from nothing",
            "one number",
            "growing in place through the allocator trait",
        ),
        |entries| Push.enter_all(entries),
    );
}

/// What one allocation is.
#[derive(Clone, Copy)]
enum What {
    Value,
    Mixed,
    /// A slice of so many bytes.
    Copy(usize),
    Text,
}

impl Workload for What {
    fn round<A: Arena>(self, reps: u64) -> Sample {
        match self {
            Self::Value => fill::<A, _>(reps, &vec![7_u64; COUNT], |space, &number| {
                black_box(space.value([number; 8]));
            }),
            Self::Mixed => {
                let mut rng = Rng::with_seed(0xa11a);
                let mut draw =
                    || Layout::from_size_align(rng.usize(1..=128), 1 << rng.u32(0..=4)).expect("a layout");
                let layouts: Vec<_> = (0..COUNT).map(|_| draw()).collect();
                fill::<A, _>(reps, &layouts, |space, &layout| {
                    let place = space.place(layout);
                    // SAFETY: the place is at least one byte long.
                    unsafe { place.write(1) };
                    black_box(place);
                })
            }
            Self::Copy(len) => {
                let bytes = vec![7_u8; black_box(len)];
                fill::<A, _>(reps, &[(); COUNT], |space, ()| {
                    black_box(space.bytes(&bytes));
                })
            }
            Self::Text => {
                let mut rng = Rng::with_seed(0x7e47);
                let texts: Vec<_> = (0..COUNT).map(|_| "x".repeat(rng.usize(1..=30))).collect();
                fill::<A, _>(reps, &texts, |space, text| {
                    black_box(space.text(text));
                })
            }
        }
    }
}

/// Allocates for each of `items`, round after round.
#[inline(always)]
fn fill<A: Arena, I>(reps: u64, items: &[I], allocate: impl Fn(&A::Space<'_>, &I)) -> Sample {
    let mut arena = A::new();
    Sample::time(reps * ROUNDS * items.len() as u64, || {
        for _ in 0..reps * ROUNDS {
            arena.round(|space| {
                for item in items {
                    allocate(space, item);
                }
            });
        }
    })
}

#[derive(Clone, Copy)]
struct Push;

impl Workload for Push {
    fn round<A: Arena>(self, reps: u64) -> Sample {
        const LEN: u64 = 1_000;
        let mut arena = A::new();
        Sample::time(reps * ROUNDS * LEN, || {
            for _ in 0..reps * ROUNDS {
                arena.round(|space| assert_eq!(space.pushed_sum(LEN), LEN * (LEN - 1) / 2));
            }
        })
    }
}
