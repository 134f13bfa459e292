//! `alloc-test-*`: a large array of slots, few of them hot, every block written and read as a whole.
//!
//! After S. Ignatchenko's benchmark. A random slot is filled when it is empty and freed when it is full. Four
//! picks in five go to a fifth of the slots (Pareto), sizes are geometric from 16 bytes to 1 KiB, and
//! what a program does with its memory is part of the time: blocks that lie close together pay off.

use std::hint::black_box;

use super::{Needs, Pace, Rng, Sample, Slot, Spec, Tape, Workload, sizes, team};
use crate::bench::contender::{Contender, Need};

/// Slots of all threads together.
const SLOTS: usize = 1 << 18;
/// Operations per repetition and thread; each is two picks.
const OPS: u64 = 2_000;

pub(crate) struct AllocTest {
    threads: usize,
    sizes: Tape,
}

impl AllocTest {
    pub(crate) fn new(threads: usize) -> Self {
        let sizes = Tape::draw(0xa110c, |_| 0, |rng| sizes::geometric(rng, 16, 1_024));
        Self { threads, sizes }
    }
}

impl Workload for AllocTest {
    fn spec(&self) -> Spec {
        Spec {
            name: if self.threads == 1 { "alloc-test-1" } else { "alloc-test-n" },
            group: "alloc-test",
            about: "fill or free one of 2^18 slots, most often a hot one; write and read whole blocks",
            op: "one block: allocated, written, read, freed",
            stresses: "locality",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let elapsed = team(contender, self.threads, |member, gate| {
            let local = contender.local(Need::ANY);
            let mut slots = Slot::<C>::array(SLOTS / self.threads);
            let mut sizes = self.sizes.reader(member);
            for slot in slots.iter_mut().step_by(2) {
                slot.fill(&local, sizes.step().size as usize);
                slot.bytes().fill(1);
            }
            let mut rng = Rng::with_seed(member as u64);
            let span = gate.time(|| {
                for _ in 0..2 * reps * OPS {
                    let slot = &mut slots[pick(&mut rng, SLOTS / self.threads)];
                    if slot.is_empty() {
                        slot.fill(&local, sizes.step().size as usize);
                        slot.bytes().fill(1);
                    } else {
                        let sum: u64 = slot.bytes().iter().map(|&byte| u64::from(byte)).sum();
                        black_box(sum);
                        slot.clear(&local);
                    }
                }
            });
            Slot::clear_all(&mut slots, &local);
            span
        });
        Sample::new(elapsed, reps * OPS * self.threads as u64)
    }
}

/// A slot: four times in five among the first fifth.
#[inline(always)]
fn pick(rng: &mut Rng, slots: usize) -> usize {
    let random = rng.u64(..);
    let hot = random & 0xff < 205;
    let range = if hot { slots / 5 } else { slots };
    // The upper half of the random bits, scaled to the range without a division.
    (((random >> 32) * range as u64) >> 32) as usize
}
