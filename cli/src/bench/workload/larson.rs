//! `larson-*`: a server whose threads come and go, and leave their objects to their successors.
//!
//! After P. Larson and M. Krishnan, "Memory allocation for long-running server applications" (1998). Each
//! thread replaces random blocks of 8 to 1,000 bytes among 5,000 slots; after a generation it hands the
//! slots to a fresh thread, which it starts itself, and ends. From then on most frees are foreign.

use std::sync::mpsc::{Sender, channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use super::{Needs, Pace, Sample, Slot, Spec, Tape, Workload, sizes, watch};
use crate::bench::contender::{Attached, Contender, Need};

const SLOTS: usize = 5_000;
const MIN: usize = 8;
const MAX: usize = 1_000;
/// Replacements in a thread's life.
const GENERATION: u64 = 100_000;

pub(crate) struct Larson {
    threads: usize,
    tape: Tape,
}

impl Larson {
    pub(crate) fn new(threads: usize) -> Self {
        let tape = Tape::draw(0x1a4508, |rng| rng.usize(0..SLOTS), |rng| sizes::uniform(rng, MIN, MAX));
        Self { threads, tape }
    }
}

impl Workload for Larson {
    fn spec(&self) -> Spec {
        Spec {
            name: if self.threads == 1 { "larson-1" } else { "larson-n" },
            group: "larson",
            about: "replace random blocks of 8 to 1,000 bytes; hand them to a fresh thread and end",
            op: "one replacement: a free and an allocation",
            stresses: "thread churn, foreign frees, adoption",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    /// One repetition is one generation of every line of threads.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let lines: Vec<_> = (0..self.threads).map(|line| self.first_fill(contender, line)).collect();
        let elapsed = watch(self.threads, || {
            thread::scope(|scope| {
                let (done, handles) = channel();
                for (line, slots) in lines.into_iter().enumerate() {
                    let life = Life { workload: self, contender, slots, line, left: reps };
                    life.spawn(scope, done.clone());
                }
                drop(done);
                // Every thread sends its successor's handle before it ends, so this sees the last of them.
                for handle in handles {
                    ScopedJoinHandle::join(handle).expect("a thread of larson panicked");
                }
            })
        });
        Sample::new(elapsed, reps * GENERATION * self.threads as u64)
    }
}

impl Larson {
    /// A line's slots, filled by a thread of their own that is gone when the clock starts.
    fn first_fill<C: Contender>(&self, contender: &'static C, line: usize) -> Box<[Slot<C>]> {
        let fill = move || {
            let _attached = Attached::new(contender);
            let local = contender.local(Need::ANY);
            let mut tape = self.tape.reader(line);
            let mut slots = Slot::array(SLOTS);
            for slot in &mut slots {
                slot.fill(&local, tape.step().size as usize);
            }
            slots
        };
        thread::scope(|scope| scope.spawn(fill).join()).expect("a thread of larson panicked")
    }
}

/// What a thread of a line needs to know.
struct Life<'scope, C: Contender> {
    workload: &'scope Larson,
    contender: &'static C,
    slots: Box<[Slot<C>]>,
    line: usize,
    /// Generations still to live, this one included.
    left: u64,
}

impl<'scope, C: Contender> Life<'scope, C> {
    fn spawn(self, scope: &'scope Scope<'scope, '_>, done: Sender<ScopedJoinHandle<'scope, ()>>) {
        let sender = done.clone();
        let thread = scope.spawn(move || self.live(scope, done));
        // The receiver outlives every sender; a failure would only mean that nobody waits.
        let _ = sender.send(thread);
    }

    fn live(mut self, scope: &'scope Scope<'scope, '_>, done: Sender<ScopedJoinHandle<'scope, ()>>) {
        let _attached = Attached::new(self.contender);
        let local = self.contender.local(Need::ANY);
        let mut tape = self.workload.tape.reader(self.line + self.left as usize);
        for _ in 0..GENERATION {
            let step = tape.step();
            self.slots[step.slot as usize].replace(&local, step.size as usize);
        }
        self.left -= 1;
        if self.left == 0 {
            Slot::clear_all(&mut self.slots, &local);
        } else {
            self.spawn(scope, done);
        }
    }
}
