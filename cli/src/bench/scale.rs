//! Does an operation stay as cheap when there is more of everything? Curves of the 64-byte pair and of a
//! batch, over threads alive, heaps alive, and blocks live.

use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::contender::{Attached, Contender, ContenderVisitor, Field, Need, Profile, Reach};
use super::stats::Summary;
use super::workload::Workload;
use super::workload::batch::Batch;
use super::workload::cold::Chain;
use super::workload::pair::Pair;

const THREADS: [usize; 4] = [1, 10, 100, 1_000];
const HEAPS: [usize; 4] = [1, 10, 100, 1_000];
const BLOCKS: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Stack of a thread that only waits.
const STACK: usize = 64 << 10;

/// Points that each contender reports to the progress bar.
pub(crate) const STEPS: u64 = (THREADS.len() + HEAPS.len() + BLOCKS.len()) as u64;

/// What there is more and more of.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Axis {
    /// Threads alive, parked, each with a block of its own.
    Threads,
    /// Heaps alive, each with a block.
    Heaps,
    /// Blocks of 64 bytes live.
    Blocks,
}

impl Axis {
    pub(crate) const ALL: [Self; 3] = [Self::Threads, Self::Heaps, Self::Blocks];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Threads => "threads alive, all others parked with a block each",
            Self::Heaps => "heaps alive with a block each",
            Self::Blocks => "blocks of 64 bytes live",
        }
    }

    pub(crate) fn points(self) -> &'static [usize] {
        match self {
            Self::Threads => &THREADS,
            Self::Heaps => &HEAPS,
            Self::Blocks => &BLOCKS,
        }
    }
}

/// One contender's costs along one axis.
pub(crate) struct Curve {
    pub(crate) axis: Axis,
    pub(crate) profile: Profile,
    pub(crate) points: Vec<Point>,
}

/// Nanoseconds per operation.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) count: usize,
    pub(crate) pair: Summary,
    pub(crate) batch: Summary,
}

/// Draws every curve of every contender that has it.
pub(crate) fn run(field: &Field, rounds: usize, progress: &ProgressBar) -> Vec<Curve> {
    let mut pen = Pen { rounds, progress, curves: Vec::new() };
    field.each(&mut pen);
    pen.curves
}

struct Pen<'a> {
    rounds: usize,
    progress: &'a ProgressBar,
    curves: Vec<Curve>,
}

impl ContenderVisitor for Pen<'_> {
    fn visit<C: Contender>(&mut self, contender: &'static C) {
        if C::REACH == Reach::OneSize {
            return;
        }
        let probe = Probe { contender, rounds: self.rounds, progress: self.progress };
        for (axis, points) in [
            (Axis::Threads, Some(probe.over_threads())),
            (Axis::Heaps, probe.over_heaps()),
            (Axis::Blocks, Some(probe.over_blocks())),
        ] {
            let profile = Profile::of::<C>();
            self.curves.extend(points.map(|points| Curve { axis, profile, points }));
        }
    }
}

struct Probe<'a, C: Contender> {
    contender: &'static C,
    rounds: usize,
    progress: &'a ProgressBar,
}

impl<C: Contender> Probe<'_, C> {
    /// The pair and the batch on the main thread, as things stand.
    fn point(&self, count: usize) -> Point {
        const PAIR_REPS: u64 = 20;
        const BATCH_REPS: u64 = 200;
        self.progress.set_message(format!("scale · {}", C::NAME));
        let batch = Batch::lifo();
        Pair::<64>.round(self.contender, 1);
        batch.round(self.contender, 1);
        let rounds = 0..self.rounds;
        let (pairs, batches) = rounds
            .map(|_| {
                let pair = Pair::<64>.round(self.contender, PAIR_REPS).ns();
                (pair, batch.round(self.contender, BATCH_REPS).ns())
            })
            .unzip();
        self.progress.inc(1);
        Point { count, pair: Summary::of(pairs), batch: Summary::of(batches) }
    }

    fn over_threads(&self) -> Vec<Point> {
        let mut parked = Parked::default();
        THREADS
            .iter()
            .map(|&count| {
                // The main thread is one of them.
                while parked.threads.len() + 1 < count {
                    parked.add(self.contender);
                }
                self.point(count)
            })
            .collect()
    }

    fn over_heaps(&self) -> Option<Vec<Point>> {
        HEAPS
            .iter()
            .map(|&count| {
                let heaps = self.contender.spare_heaps(count - 1)?;
                let point = self.point(count);
                drop(heaps);
                Some(point)
            })
            .collect()
    }

    fn over_blocks(&self) -> Vec<Point> {
        let local = self.contender.local(Need::ANY);
        let mut chain = Chain::grow(&local, 0);
        let mut live = 0;
        let points = BLOCKS
            .iter()
            .map(|&count| {
                chain.extend(&local, count - live);
                live = count;
                self.point(count)
            })
            .collect();
        chain.free(&local);
        self.contender.collect();
        points
    }
}

/// Threads that hold a block and wait; woken and joined when dropped.
#[derive(Default)]
struct Parked {
    threads: Vec<JoinHandle<()>>,
    over: Arc<(Mutex<bool>, Condvar)>,
}

impl Parked {
    /// Starts one more, and returns when it waits.
    fn add<C: Contender>(&mut self, contender: &'static C) {
        let over = Arc::clone(&self.over);
        let (ready, is_ready) = mpsc::channel();
        let wait = move || {
            let _attached = Attached::new(contender);
            let local = contender.local(Need::ANY);
            let chain = Chain::grow(&local, 1);
            let _ = ready.send(());
            let (over, woken) = &*over;
            let is_over = over.lock().expect("not poisoned");
            drop(woken.wait_while(is_over, |over| !*over).expect("not poisoned"));
            chain.free(&local);
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn(wait).expect("one more thread");
        self.threads.push(thread);
        is_ready.recv().expect("the thread waits");
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let (over, woken) = &*self.over;
        *over.lock().expect("not poisoned") = true;
        woken.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().expect("a parked thread panicked");
        }
    }
}
