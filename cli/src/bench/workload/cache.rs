//! `cache-scratch` and `cache-thrash`: does the allocator put two threads' blocks on one cache line?
//!
//! After Hoard's benchmarks of the same names (E. Berger and others, 2000). Each thread takes a tiny block,
//! writes to it a hundred times and frees it. *Thrash* shows active false sharing: blocks of one line handed
//! to two threads. *Scratch* shows the passive kind: the parent hands neighbouring blocks to its threads,
//! which free them at once; whoever reuses a foreign block writes to a line that another thread writes to.

use std::sync::Mutex;

use super::{Needs, Pace, Sample, Slot, Spec, Workload, team};
use crate::bench::contender::{Contender, Need};

const SIZE: usize = 8;
/// Writes to each block.
const WRITES: usize = 100;
/// Blocks per repetition and thread.
const BLOCKS: u64 = 500;

pub(crate) struct Cache {
    threads: usize,
    from_parent: bool,
}

impl Cache {
    pub(crate) fn scratch(threads: usize) -> Self {
        Self { threads, from_parent: true }
    }

    pub(crate) fn thrash(threads: usize) -> Self {
        Self { threads, from_parent: false }
    }
}

impl Workload for Cache {
    fn spec(&self) -> Spec {
        let (name, about) = if self.from_parent {
            (
                "cache-scratch",
                "threads free a parent's neighbouring blocks, then write to tiny blocks of their own",
            )
        } else {
            ("cache-thrash", "threads write to tiny blocks of their own")
        };
        Spec {
            name,
            group: "cache",
            about,
            op: "one 8-byte block: allocated, written 100 times, freed",
            stresses: "false sharing: an allocator that causes it is several times slower",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let parents_blocks: Vec<Mutex<Slot<C>>> = {
            let local = contender.local(Need::ANY);
            (0..self.threads)
                .map(|_| {
                    let mut slot = Slot::EMPTY;
                    if self.from_parent {
                        slot.fill(&local, SIZE);
                    }
                    Mutex::new(slot)
                })
                .collect()
        };
        let elapsed = team(contender, self.threads, |member, gate| {
            let local = contender.local(Need::ANY);
            let mut slot = parents_blocks[member].lock().expect("not poisoned").take();
            gate.time(|| {
                slot.clear(&local);
                for _ in 0..reps * BLOCKS {
                    slot.fill(&local, SIZE);
                    scribble(&mut slot);
                    slot.clear(&local);
                }
            })
        });
        Sample::new(elapsed, reps * BLOCKS * self.threads as u64)
    }
}

/// Counts in the block's first byte, through memory.
fn scribble<C: Contender>(slot: &mut Slot<C>) {
    let byte: *mut u8 = &raw mut slot.bytes()[0];
    for _ in 0..WRITES {
        // SAFETY: the block's own first byte, which `fill` wrote.
        unsafe { byte.write_volatile(byte.read_volatile().wrapping_add(1)) };
    }
}
