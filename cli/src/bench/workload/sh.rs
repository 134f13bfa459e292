//! `sh6-*` and `sh8`: after MicroQuill's SmartHeap benchmarks.

use std::collections::VecDeque;

use super::pipe::Pipe;
use super::{Needs, Pace, Sample, Slot, Spec, Workload, team};
use crate::bench::contender::{Contender, Need};

/// A circular buffer of blocks whose sizes grow, freed partly first in, first out, partly the other way.
///
/// Each thread appends blocks of 8, 16, ... 1,000 bytes and around again, more of the small ones. When the
/// buffer is full the oldest quarter goes, oldest first, then the newest quarter, newest first.
pub(crate) struct Sh6 {
    threads: usize,
}

/// Blocks in the circular buffer.
const BUFFER: usize = 4_000;
/// Blocks of one size in a row: this many bytes' worth.
const BYTES_PER_SIZE: usize = 2_000;

impl Sh6 {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads }
    }

    /// Blocks appended per repetition: once through the sizes.
    fn blocks() -> usize {
        Self::sizes().map(Self::in_a_row).sum()
    }

    fn sizes() -> impl Iterator<Item = usize> {
        (8..=1_000).step_by(8)
    }

    fn in_a_row(size: usize) -> usize {
        BYTES_PER_SIZE.div_ceil(size)
    }
}

impl Workload for Sh6 {
    fn spec(&self) -> Spec {
        Spec {
            name: if self.threads == 1 { "sh6-1" } else { "sh6-n" },
            group: "sh",
            about: "a circular buffer of growing blocks, freed from both ends",
            op: "one block",
            stresses: "search for a size class; order of frees",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let elapsed = team(contender, self.threads, |_, gate| {
            let local = contender.local(Need::ANY);
            let mut buffer = VecDeque::<Slot<C>>::with_capacity(BUFFER);
            // Once through before the clock starts: the buffer is full then.
            append(&local, &mut buffer);
            let span = gate.time(|| (0..reps).for_each(|_| append(&local, &mut buffer)));
            Slot::clear_all(buffer.make_contiguous(), &local);
            span
        });
        Sample::new(elapsed, reps * (Self::blocks() * self.threads) as u64)
    }
}

fn append<C: Contender>(local: &C::Local, buffer: &mut VecDeque<Slot<C>>) {
    for size in Sh6::sizes() {
        for _ in 0..Sh6::in_a_row(size) {
            if buffer.len() == BUFFER {
                for mut oldest in buffer.drain(..BUFFER / 4) {
                    oldest.clear(local);
                }
                for mut newest in buffer.drain(BUFFER / 2..).rev() {
                    newest.clear(local);
                }
            }
            let mut slot = Slot::EMPTY;
            slot.fill(local, size);
            buffer.push_back(slot);
        }
    }
}

/// One thread allocates blocks of 8 bytes, all others free them.
pub(crate) struct Sh8 {
    freers: usize,
}

/// Blocks that travel together: few, so that the freers get in each other's way at the owner.
const BATCH: usize = 100;
/// Batches under way per freer.
const IN_FLIGHT: usize = 16;

impl Sh8 {
    pub(crate) fn new(threads: usize) -> Self {
        Self { freers: (threads - 1).max(2) }
    }
}

impl Workload for Sh8 {
    fn spec(&self) -> Spec {
        Spec {
            name: "sh8",
            group: "foreign",
            about: "one thread allocates 8-byte blocks, two or more free them",
            op: "one block, allocated here and freed there",
            stresses: "contention on one owner",
            threads: 1 + self.freers,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    /// One repetition is one batch for every freer.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let pipe = Pipe::<C>::new(self.freers * IN_FLIGHT, BATCH);
        let elapsed = team(contender, 1 + self.freers, |member, gate| {
            let local = contender.local(Need::ANY);
            gate.time(|| {
                if member == 0 {
                    pipe.produce(&local, reps * self.freers as u64, &mut || 8);
                } else {
                    pipe.consume::<8>(&local, reps);
                }
            })
        });
        pipe.check();
        Sample::new(elapsed, reps * (self.freers * BATCH) as u64)
    }
}
