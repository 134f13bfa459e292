//! `xmalloc-*`: one side only allocates, the other side only frees.
//!
//! After C. Lever and D. Boreham, "malloc() performance in a multithreaded Linux environment" (2000). Half
//! of the threads fill batches and write every block; the other half checks and frees them. Batches travel
//! through a queue that is made beforehand, so the allocator is what is measured.

use super::pipe::Pipe;
use super::{Needs, Pace, Sample, Spec, Tape, Workload, sizes, team};
use crate::bench::contender::{Contender, Need};

/// Blocks that travel together.
const BATCH: usize = 1_000;
/// Batches under way per pair of threads.
const IN_FLIGHT: usize = 8;
/// Batches per producer before the clock starts.
const WARM_UP: u64 = 2 * IN_FLIGHT as u64;

/// `SIZE` is every block's, and known to the compiler; with 0 the sizes are mixed.
pub(crate) struct Xmalloc<const SIZE: usize> {
    pairs: usize,
    sizes: Tape,
}

impl<const SIZE: usize> Xmalloc<SIZE> {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            pairs: (threads / 2).max(1),
            sizes: Tape::draw(0x3a110c, |_| 0, |rng| sizes::log_uniform(rng, 8, 2_048)),
        }
    }
}

impl<const SIZE: usize> Workload for Xmalloc<SIZE> {
    fn spec(&self) -> Spec {
        let (name, about) = match SIZE {
            0 => ("xmalloc-mixed", "producers allocate 8 to 2,048 bytes, consumers free"),
            64 => ("xmalloc-64", "producers allocate 64 bytes, consumers free"),
            _ => unreachable!("a size without a row"),
        };
        Spec {
            name,
            group: "foreign",
            about,
            op: "one block, allocated here and freed there",
            stresses: "one-way foreign frees: blocks must find their way home",
            threads: 2 * self.pairs,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    /// One repetition is one batch per producer.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let pipe = Pipe::<C>::new(self.pairs * IN_FLIGHT, BATCH);
        let elapsed = team(contender, 2 * self.pairs, |member, gate| {
            let local = contender.local(Need::ANY);
            if member < self.pairs {
                let mut sizes = self.sizes.reader(member);
                let mut next = || match SIZE {
                    0 => sizes.step().size as usize,
                    fixed => fixed,
                };
                pipe.produce(&local, WARM_UP, &mut next);
                gate.time(|| pipe.produce(&local, reps, &mut next))
            } else {
                pipe.consume::<SIZE>(&local, WARM_UP);
                gate.time(|| pipe.consume::<SIZE>(&local, reps))
            }
        });
        pipe.check();
        Sample::new(elapsed, reps * (self.pairs * BATCH) as u64)
    }
}
