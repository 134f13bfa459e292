//! `mixed`: blocks of 8 bytes to 4 KiB in 10,000 slots, replaced at random.
//!
//! The steady state of a program with a few megabytes of objects of all sizes: what is freed has nothing to
//! do with what was allocated last, and most sizes are small (every power of two equally often).

use super::{Needs, Pace, Sample, Slot, Spec, Tape, Workload, sizes};
use crate::bench::contender::{Contender, Need};

const SLOTS: usize = 10_000;
const MIN: usize = 8;
const MAX: usize = 4_096;
/// Replacements per repetition.
const STEPS: u64 = 5_000;

pub(crate) struct Mixed {
    tape: Tape,
}

impl Mixed {
    pub(crate) fn new() -> Self {
        let tape = Tape::draw(0x3717ed, |rng| rng.usize(0..SLOTS), |rng| sizes::log_uniform(rng, MIN, MAX));
        Self { tape }
    }
}

impl Workload for Mixed {
    fn spec(&self) -> Spec {
        Spec {
            name: "mixed",
            group: "mixed",
            about: "replace random blocks among 10,000, 8 bytes to 4 KiB",
            op: "one replacement: a free and an allocation",
            stresses: "size classes, random order of frees",
            threads: 1,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let local = contender.local(Need::ANY);
        let mut slots = Slot::<C>::array(SLOTS);
        let mut tape = self.tape.reader(0);
        for slot in &mut slots {
            slot.fill(&local, tape.step().size as usize);
        }
        let sample = Sample::time(reps * STEPS, || {
            for _ in 0..reps * STEPS {
                let step = tape.step();
                slots[step.slot as usize].replace(&local, step.size as usize);
            }
        });
        Slot::clear_all(&mut slots, &local);
        sample
    }
}
