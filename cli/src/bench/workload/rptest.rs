//! `rptest-*`: rpmalloc's benchmark: mixed sizes with alignments, and batches handed to other threads.
//!
//! Each thread has 1,000 slots and blocks of 8 to 16,000 bytes, larger ones linearly rarer, aligned to what
//! comes or to 8 or 16 bytes. A round replaces half of the slots; every second round the thread takes a
//! batch out, hands it to its neighbour, and frees what it was handed.

use crossbeam_queue::ArrayQueue;

use super::{Needs, Pace, Sample, Slot, Spec, Tape, Workload, sizes, team};
use crate::bench::contender::{Contender, Need};

const SLOTS: usize = 1_000;
/// Replacements in a round.
const STEPS: usize = SLOTS / 2;
/// Blocks handed over every second round.
const BATCH: usize = SLOTS / 10;
/// Batches that wait for a thread at most; more are freed where they are.
const WAITING: usize = 16;

pub(crate) struct Rptest {
    threads: usize,
    tape: Tape,
}

impl Rptest {
    pub(crate) fn new(threads: usize) -> Self {
        let tape = Tape::draw(0x497e57, |rng| rng.usize(0..SLOTS), |rng| sizes::falling(rng, 8, 16_000));
        Self { threads, tape }
    }
}

impl Workload for Rptest {
    fn spec(&self) -> Spec {
        Spec {
            name: if self.threads == 1 { "rptest-1" } else { "rptest-n" },
            group: "rptest",
            about: "replace among 1,000 blocks of 8 to 16,000 bytes; hand a tenth to another thread",
            op: "one block: allocated here, freed here or by the neighbour",
            stresses: "large size classes, alignment, foreign frees in batches",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    /// One repetition is two rounds: with and without a batch handed over.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let mailboxes: Vec<Mailbox<C>> = (0..self.threads).map(|_| ArrayQueue::new(WAITING)).collect();
        let elapsed = team(contender, self.threads, |member, gate| {
            let local = contender.local(Need::ANY);
            let mut slots = Slot::<C>::array(SLOTS);
            let mut tape = self.tape.reader(member);
            for slot in &mut slots {
                slot.fill(&local, tape.step().size as usize);
            }
            let mine = &mailboxes[member];
            let neighbours = &mailboxes[(member + 1) % self.threads];
            let mut spare = Vec::with_capacity(BATCH);
            let span = gate.time(|| {
                for _ in 0..reps {
                    for index in 0..2 * STEPS {
                        let step = tape.step();
                        let slot = &mut slots[step.slot as usize];
                        slot.clear(&local);
                        let align = [8, 8, 16][index % 3];
                        slot.fill_aligned(&local, step.size as usize, align);
                    }
                    spare = hand_over::<C>(&local, &mut slots, mine, neighbours, spare);
                }
            });
            Slot::clear_all(&mut slots, &local);
            span
        });
        let local = contender.local(Need::ANY);
        for mut batch in mailboxes.into_iter().flatten() {
            Slot::clear_all(&mut batch, &local);
        }
        Sample::new(elapsed, reps * (2 * STEPS * self.threads) as u64)
    }
}

type Mailbox<C> = ArrayQueue<Vec<Slot<C>>>;

/// Frees a batch that was handed to this thread, and hands one on. Returns an empty container.
fn hand_over<C: Contender>(
    local: &C::Local,
    slots: &mut [Slot<C>],
    mine: &Mailbox<C>,
    neighbours: &Mailbox<C>,
    spare: Vec<Slot<C>>,
) -> Vec<Slot<C>> {
    let mut batch = spare;
    batch.extend(slots.iter_mut().step_by(SLOTS / BATCH).map(Slot::take));
    let mut received = match neighbours.push(batch) {
        Ok(()) => mine.pop().unwrap_or_else(|| Vec::with_capacity(BATCH)),
        Err(refused) => refused,
    };
    for slot in &mut received {
        assert!(slot.is_intact(), "{}: a block was overwritten", C::NAME);
        slot.clear(local);
    }
    received.clear();
    received
}
