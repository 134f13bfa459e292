//! How long single calls take: not the mean but the tail, where chunks are reserved, orphans adopted and memory
//! given back.
//!
//! A child process runs a workload on one contender with every call timed (`timed`); the workloads are larson and
//! mstress, and two that provoke the stalls (`stall`). Others use the machine, so a run's worst call is often one that
//! lost its core: the worst call that was surely not preempted is told apart, and of several runs the medians are shown.

mod stall;
mod tail;
mod timed;

use std::sync::Mutex;

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

pub(crate) use self::tail::Tail;

use self::stall::{Adopt, Purge};
use self::timed::{Timed, Totals};
use super::child::{Order, Task};
use super::contender::{Contender, Profile};
use super::machine;
use super::stats::Summary;
use super::workload::larson::Larson;
use super::workload::mstress::Mstress;
use super::workload::{Rng, Workload, WorkloadVisitor};

/// A workload of this table.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    reps: u64,
}

pub(crate) const ROWS: [Row; 4] = [
    Row { name: "larson-n", about: "the row of the suite, 8 generations of threads", reps: 8 },
    Row { name: "mstress-n", about: "the row of the suite, 12 waves of threads", reps: 12 },
    Row {
        name: "purge",
        about: "64 MiB of mixed blocks freed at random, then two seconds of little work: memory goes back meanwhile",
        reps: 1,
    },
    Row {
        name: "adopt",
        about: "a thread leaves 20,000 mixed blocks behind and ends; a fresh one takes over: 40 times",
        reps: 40,
    },
];

fn each(threads: usize, visitor: &mut impl WorkloadVisitor) {
    visitor.visit(Larson::new(threads));
    visitor.visit(Mstress::new(threads));
    visitor.visit(Purge);
    visitor.visit(Adopt);
}

/// What one process saw, in nanoseconds; the timer's own time is taken off.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) alloc: Tail,
    pub(crate) free: Tail,
    /// A thread's first allocation, with whatever the contender does when a thread begins.
    pub(crate) birth: Tail,
    /// What was taken off each call.
    pub(crate) timer: f64,
    /// Page faults of the process per 1,000 calls.
    pub(crate) page_faults: f64,
    /// How often a thread lost its core.
    pub(crate) preemptions: u64,
}

/// In the child: runs the ordered workload on `contender`. `None` for a workload that is not in the table.
pub(crate) fn measure<C: Contender>(contender: &'static C, order: &Order<'_>) -> Option<Run> {
    let mut child = Child { contender, order, run: None };
    each(order.threads, &mut child);
    child.run
}

struct Child<'a, C: Contender> {
    contender: &'static C,
    order: &'a Order<'a>,
    run: Option<Run>,
}

impl<C: Contender> WorkloadVisitor for Child<'_, C> {
    fn visit<W: Workload>(&mut self, workload: W) {
        let name = workload.spec().name;
        let row = ROWS.iter().find(|row| row.name == name);
        let Some(row) = row.filter(|_| self.order.workload == Some(name)) else {
            return;
        };
        let timed: &'static Timed<C> = Box::leak(Box::new(Timed::new(self.contender)));
        let faults = machine::process_faults();
        workload.round(timed, row.reps);
        let faults = machine::process_faults() - faults;
        let totals = Totals::take();
        self.run = Some(totals.run(faults));
    }
}

/// One row's results.
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) cells: Vec<Cell>,
}

pub(crate) struct Cell {
    pub(crate) profile: Profile,
    pub(crate) result: Result<Figures, String>,
}

/// Of all runs, in nanoseconds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) alloc: TailFigures,
    pub(crate) free: TailFigures,
    pub(crate) birth: TailFigures,
    pub(crate) timer: Summary,
    pub(crate) page_faults_per_thousand: Summary,
    pub(crate) preemptions: Summary,
}

/// One summary for each figure of a [`Tail`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TailFigures {
    pub(crate) calls: Summary,
    pub(crate) median: Summary,
    pub(crate) p99: Summary,
    pub(crate) p999: Summary,
    pub(crate) worst: Summary,
    pub(crate) worst_undisturbed: Summary,
}

impl Figures {
    fn of(runs: &[Run]) -> Self {
        let tail = |pick: fn(&Run) -> &Tail| {
            let summary = |figure: fn(&Tail) -> u64| {
                Summary::of(runs.iter().map(|run| figure(pick(run)) as f64).collect())
            };
            TailFigures {
                calls: summary(|tail| tail.calls),
                median: summary(|tail| tail.median),
                p99: summary(|tail| tail.p99),
                p999: summary(|tail| tail.p999),
                worst: summary(|tail| tail.worst),
                worst_undisturbed: summary(|tail| tail.worst_undisturbed),
            }
        };
        let summary = |figure: fn(&Run) -> f64| Summary::of(runs.iter().map(figure).collect());
        Self {
            alloc: tail(|run| &run.alloc),
            free: tail(|run| &run.free),
            birth: tail(|run| &run.birth),
            timer: summary(|run| run.timer),
            page_faults_per_thousand: summary(|run| run.page_faults),
            preemptions: summary(|run| run.preemptions as f64),
        }
    }
}

/// In the parent: every contender in turn, `runs` times over, in an order that changes; a process each time.
pub(crate) fn run(
    rows: &[Row],
    contenders: &[Profile],
    threads: usize,
    runs: usize,
    progress: &ProgressBar,
) -> Vec<Measured> {
    let core = Mutex::new(());
    rows.iter()
        .map(|&row| {
            let mut results: Vec<Result<Vec<Run>, String>> = vec![Ok(Vec::new()); contenders.len()];
            let mut order: Vec<usize> = (0..contenders.len()).collect();
            let mut rng = Rng::with_seed(runs as u64);
            for _ in 0..runs {
                rng.shuffle(&mut order);
                for &index in &order {
                    let contender = contenders[index].name;
                    progress.set_message(format!("latency: {} · {contender}", row.name));
                    let order = Order { task: Task::Latency, contender, workload: Some(row.name), threads };
                    if let Ok(earlier) = &mut results[index] {
                        match order.send::<Run>(&core) {
                            Ok(run) => earlier.push(run),
                            Err(error) => results[index] = Err(format!("{error:#}")),
                        }
                    }
                    progress.inc(1);
                }
            }
            let cells = contenders.iter().zip(results);
            let cells =
                cells.map(|(&profile, runs)| Cell { profile, result: runs.map(|runs| Figures::of(&runs)) });
            Measured { row, cells: cells.collect() }
        })
        .collect()
}
