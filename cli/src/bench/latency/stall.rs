//! Workloads that provoke an allocator's longest calls. The suite has no row of them: their mean says nothing.

use std::thread;
use std::time::{Duration, Instant};

use crate::bench::contender::{Attached, Contender, Need};
use crate::bench::workload::{Needs, Pace, Rng, Sample, Slot, Spec, Workload, sizes};

fn spec(name: &'static str) -> Spec {
    Spec {
        name,
        group: "latency",
        about: "",
        op: "a block",
        stresses: "",
        threads: 1,
        needs: Needs::OwnThread,
        pace: Pace::Once,
    }
}

/// Much is freed, and then little happens for two seconds: when memory goes back, who waits for it?
pub(crate) struct Purge;

impl Workload for Purge {
    fn spec(&self) -> Spec {
        spec("purge")
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        /// Bytes live before they are freed.
        const LIVE: usize = 64 << 20;
        /// Blocks of a moment's work; a moment is a millisecond.
        const WORK: usize = 100;
        const CALM: Duration = Duration::from_secs(2);
        const PAUSE: Duration = Duration::from_millis(1);

        let clock = Instant::now();
        let local = contender.local(Need::ANY);
        let mut rng = Rng::with_seed(0x90_25e);
        let mut ops = 0;
        for _ in 0..reps {
            let mut slots = Vec::new();
            let mut live = 0;
            while live < LIVE {
                let mut slot = Slot::<C>::EMPTY;
                let size = sizes::log_uniform(&mut rng, 16, 16 << 10);
                slot.fill(&local, size);
                slot.bytes().fill(1);
                live += size;
                slots.push(slot);
            }
            rng.shuffle(&mut slots);
            Slot::clear_all(&mut slots, &local);
            ops += slots.len();
            let calm = Instant::now();
            while calm.elapsed() < CALM {
                for slot in &mut slots[..WORK] {
                    slot.fill(&local, sizes::log_uniform(&mut rng, 16, 4 << 10));
                }
                Slot::clear_all(&mut slots[..WORK], &local);
                ops += WORK;
                thread::sleep(PAUSE);
            }
        }
        Sample::new(clock.elapsed(), ops as u64)
    }
}

/// Threads end and leave memory behind, which the next one finds.
pub(crate) struct Adopt;

impl Workload for Adopt {
    fn spec(&self) -> Spec {
        spec("adopt")
    }

    /// One repetition is one thread's life.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        const BLOCKS: usize = 20_000;

        let clock = Instant::now();
        let mut slots = Slot::<C>::array(BLOCKS);
        for life in 0..=reps {
            let inherited = slots;
            let live = move || {
                let _attached = Attached::new(contender);
                let local = contender.local(Need::ANY);
                let mut rng = Rng::with_seed(life);
                let mut slots = inherited;
                for _ in 0..2 * BLOCKS {
                    slots[rng.usize(..BLOCKS)].replace(&local, sizes::log_uniform(&mut rng, 8, 2_048));
                }
                // Half stays for the next thread, scattered; the last one leaves nothing.
                for (place, slot) in slots.iter_mut().enumerate() {
                    if place % 2 == 0 || life == reps {
                        slot.clear(&local);
                    }
                }
                slots
            };
            slots = thread::spawn(live).join().expect("a thread of adopt panicked");
        }
        Sample::new(clock.elapsed(), (reps + 1) * 2 * BLOCKS as u64)
    }
}
