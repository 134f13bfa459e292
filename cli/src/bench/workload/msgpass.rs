//! `msgpass`: messages go from producers by way of proxies to consumers, in batches of 1 to 16.
//!
//! After snmalloc's message-passing test. A proxy answers one message in four with a message of its own, so
//! it frees foreign blocks and its own blocks are freed by others, in the same batch. The queues and the
//! batches' containers are made beforehand and go round.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_queue::ArrayQueue;

use super::pipe::{Cargo, pass, take};
use super::{Needs, Pace, Sample, Slot, Spec, Tape, Workload, sizes, team};
use crate::bench::contender::{Contender, Need};

/// Messages in a batch, at most.
const BATCH: usize = 16;
/// One message in this many is answered by the proxy.
const ANSWERED: usize = 4;
/// Batches under way per producer.
const IN_FLIGHT: usize = 64;
/// Batches per producer and repetition.
const BATCHES: u64 = 100;

pub(crate) struct Msgpass {
    /// Threads in each of the three roles.
    width: usize,
    /// A step's slot is the number of messages less one; its size is theirs.
    tape: Tape,
}

impl Msgpass {
    pub(crate) fn new(threads: usize) -> Self {
        let tape = Tape::draw(0x3569a55, |rng| rng.usize(0..BATCH), |rng| sizes::log_uniform(rng, 16, 512));
        Self { width: (threads / 3).max(1), tape }
    }
}

impl Workload for Msgpass {
    fn spec(&self) -> Spec {
        Spec {
            name: "msgpass",
            group: "foreign",
            about: "producers, proxies and consumers pass batches of 1 to 16 messages of 16 to 512 bytes",
            op: "one message, allocated here and freed there",
            stresses: "foreign frees in both directions, in small groups",
            threads: 3 * self.width,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let post = Post::<C>::new(self.width * IN_FLIGHT);
        let batches = reps * BATCHES;
        let elapsed = team(contender, 3 * self.width, |member, gate| {
            let local = contender.local(Need::ANY);
            match member % 3 {
                0 => {
                    let mut tape = self.tape.reader(member);
                    gate.time(|| {
                        for _ in 0..batches {
                            let step = tape.step();
                            post.write(&local, step.slot as usize + 1, step.size as usize);
                        }
                    })
                }
                1 => gate.time(|| (0..batches).for_each(|_| post.forward(&local))),
                _ => gate.time(|| (0..batches).for_each(|_| post.read(&local))),
            }
        });
        Sample::new(elapsed, post.read.load(Relaxed))
    }
}

/// The queues between the three roles, and of empty containers on their way back.
struct Post<C: Contender> {
    written: ArrayQueue<Cargo<C>>,
    forwarded: ArrayQueue<Cargo<C>>,
    empty: ArrayQueue<Cargo<C>>,
    /// Messages freed, by proxies and consumers. `Relaxed`: read when all threads have ended.
    read: AtomicU64,
}

impl<C: Contender> Post<C> {
    fn new(batches: usize) -> Self {
        let post = Self {
            written: ArrayQueue::new(batches),
            forwarded: ArrayQueue::new(batches),
            empty: ArrayQueue::new(batches),
            read: AtomicU64::new(0),
        };
        for _ in 0..batches {
            pass(&post.empty, Slot::array(BATCH));
        }
        post
    }

    fn write(&self, local: &C::Local, messages: usize, size: usize) {
        let mut batch = take(&self.empty);
        for slot in &mut batch[..messages] {
            slot.fill(local, size);
        }
        pass(&self.written, batch);
    }

    fn forward(&self, local: &C::Local) {
        let mut batch = take(&self.written);
        let mut freed = 0;
        for slot in batch.iter_mut().step_by(ANSWERED) {
            let size = slot.stamp() as usize;
            if size > 0 {
                slot.replace(local, size);
                freed += 1;
            }
        }
        self.read.fetch_add(freed, Relaxed);
        pass(&self.forwarded, batch);
    }

    fn read(&self, local: &C::Local) {
        let mut batch = take(&self.forwarded);
        let mut freed = 0;
        for slot in batch.iter_mut().take_while(|slot| !slot.is_empty()) {
            assert!(slot.is_intact(), "{}: a message was overwritten", C::NAME);
            slot.clear(local);
            freed += 1;
        }
        self.read.fetch_add(freed, Relaxed);
        pass(&self.empty, batch);
    }
}
