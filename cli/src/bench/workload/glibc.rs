//! `glibc-simple` and `glibc-thread`: after the benchmarks that come with the GNU C library.

use std::ptr;

use super::{Needs, Pace, Sample, Slot, Spec, Tape, Workload, layout, opaque, sizes, team};
use crate::bench::contender::{Contender, Need, ThreadAlloc};

/// Blocks of one size: half of them freed first in, first out, the other half last in, first out.
pub(crate) struct Simple;

const SIZE: usize = 128;
const BLOCKS: usize = 1_600;

impl Workload for Simple {
    fn spec(&self) -> Spec {
        Spec {
            name: "glibc-simple",
            group: "glibc",
            about: "allocate 1,600 blocks of 128 bytes, free half in order and half in reverse",
            op: "one block",
            stresses: "the hot path in two orders",
            threads: 1,
            needs: Needs::OneSize,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let layout = const { layout(SIZE) };
        let local = contender.local(Need { size: SIZE, blocks: BLOCKS });
        let mut blocks = [ptr::null_mut(); BLOCKS];
        Sample::time(reps * BLOCKS as u64, || {
            for _ in 0..reps {
                for block in &mut blocks {
                    // SAFETY: the size is above zero.
                    *block = opaque(unsafe { local.alloc(layout) });
                }
                let (in_order, reversed) = blocks.split_at(BLOCKS / 2);
                for &block in in_order.iter().chain(reversed.iter().rev()) {
                    // SAFETY: allocated just now with this layout; every block comes once.
                    unsafe { local.dealloc(block, layout) };
                }
            }
        })
    }
}

/// Each thread replaces random blocks among 1,024, their sizes as common as the inverse of their square.
pub(crate) struct Threaded {
    threads: usize,
    tape: Tape,
}

const SLOTS: usize = 1_024;
/// Replacements per repetition and thread.
const STEPS: u64 = 5_000;

impl Threaded {
    pub(crate) fn new(threads: usize) -> Self {
        let tape =
            Tape::draw(0x911bc, |rng| rng.usize(0..SLOTS), |rng| sizes::inverse_square(rng, 8, 32_768));
        Self { threads, tape }
    }
}

impl Workload for Threaded {
    fn spec(&self) -> Spec {
        Spec {
            name: "glibc-thread",
            group: "glibc",
            about: "each thread replaces random blocks among 1,024 of 8 bytes to 32 KiB, nearly all small",
            op: "one replacement: a free and an allocation",
            stresses: "the hot path on all threads at once",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let elapsed = team(contender, self.threads, |member, gate| {
            let local = contender.local(Need::ANY);
            let mut slots = Slot::<C>::array(SLOTS);
            let mut tape = self.tape.reader(member);
            for slot in &mut slots {
                slot.fill(&local, tape.step().size as usize);
            }
            let span = gate.time(|| {
                for _ in 0..reps * STEPS {
                    let step = tape.step();
                    slots[step.slot as usize].replace(&local, step.size as usize);
                }
            });
            Slot::clear_all(&mut slots, &local);
            span
        });
        Sample::new(elapsed, reps * STEPS * self.threads as u64)
    }
}
