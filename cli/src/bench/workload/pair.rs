//! `pair-*`: one block allocated and freed at once, again and again.
//!
//! The shortest path of an allocator: always the same block, always in the first-level cache. The layout
//! is a constant, as it is for a `Box`, and the block is not touched.

use super::{Needs, Pace, Sample, Spec, Workload, layout, opaque};
use crate::bench::contender::{Contender, Need, ThreadAlloc};

/// Pairs per repetition.
const PAIRS: u64 = 10_000;

pub(crate) struct Pair<const SIZE: usize>;

impl<const SIZE: usize> Workload for Pair<SIZE> {
    fn spec(&self) -> Spec {
        Spec {
            name: match SIZE {
                16 => "pair-16",
                64 => "pair-64",
                256 => "pair-256",
                1024 => "pair-1k",
                8192 => "pair-8k",
                _ => unreachable!("a size without a row"),
            },
            group: "pair",
            about: "allocate one block and free it at once, the layout known to the compiler",
            op: "one pair",
            stresses: "the fast path alone",
            threads: 1,
            needs: Needs::OneSize,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let layout = const { layout(SIZE) };
        let local = contender.local(Need { size: SIZE, blocks: 16 });
        let pairs = reps * PAIRS;
        Sample::time(pairs, || {
            for _ in 0..pairs {
                // SAFETY: the size is above zero; the block is freed once, with its layout.
                unsafe {
                    let block = opaque(local.alloc(layout));
                    local.dealloc(block, layout);
                }
            }
        })
    }
}
