//! Does an operation cost as much when more threads are at work, up to many more than there are cores?
//!
//! The suite's rows with several threads, with 1 to 64 of them. The cost of an operation is what all threads spend on
//! it together: their processor time, which others' work disturbs little; and the wall clock times the cores that the
//! threads can use, which sees waiting, too. Flat is perfect.

use std::thread::available_parallelism;

use indicatif::ProgressBar;

use super::contender::{Field, Profile};
use super::stats::Summary;
use super::suite::{Contest, Effort, Row, row_of};
use super::workload::alloc_test::AllocTest;
use super::workload::larson::Larson;
use super::workload::mstress::Mstress;
use super::workload::xmalloc::Xmalloc;
use super::workload::{Workload, WorkloadVisitor};

/// Threads at work at the same time.
pub(crate) const THREADS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Rounds of each cell, at most: the curves ask for a trend, not for the last percent.
const ROUNDS: usize = 5;

/// The workloads of these curves.
pub(crate) const WORKLOADS: [&str; 4] = ["larson", "mstress", "alloc-test", "xmalloc-64"];

fn each(threads: usize, visitor: &mut impl WorkloadVisitor) {
    visitor.visit(Larson::new(threads));
    visitor.visit(Mstress::new(threads));
    visitor.visit(Xmalloc::<64>::new(threads));
    visitor.visit(AllocTest::new(threads));
}

/// One workload, with each number of threads.
pub(crate) struct Busy {
    name: &'static str,
    rows: Vec<Row>,
}

/// One contender's curve.
pub(crate) struct Curve {
    pub(crate) workload: &'static str,
    pub(crate) profile: Profile,
    pub(crate) points: Vec<Point>,
}

/// Nanoseconds per operation.
pub(crate) struct Point {
    pub(crate) threads: usize,
    /// Processor time of all threads together.
    pub(crate) processor: Summary,
    /// The wall clock times the cores that the threads can use.
    pub(crate) wall: Summary,
    pub(crate) faults_per_thousand: f64,
}

/// Every workload that `wanted` says yes to.
pub(crate) fn workloads(field: &Field, wanted: impl Fn(&str) -> bool) -> Vec<Busy> {
    let mut builder = Builder { field, wanted, threads: 0, all: Vec::new() };
    for threads in THREADS {
        builder.threads = threads;
        each(threads, &mut builder);
    }
    builder.all
}

struct Builder<'a, F> {
    field: &'a Field,
    wanted: F,
    threads: usize,
    all: Vec<Busy>,
}

impl<F: Fn(&str) -> bool> WorkloadVisitor for Builder<'_, F> {
    fn visit<W: Workload>(&mut self, workload: W) {
        let spec = workload.spec();
        let name =
            WORKLOADS.into_iter().find(|name| spec.is_called(name)).expect("a workload of these curves");
        // A producer has a consumer: there is no row with one thread.
        if spec.threads != self.threads || !(self.wanted)(name) {
            return;
        }
        let row = row_of(workload, Contest::Allocators, |builder| self.field.each(builder));
        match self.all.iter_mut().find(|busy| busy.name == name) {
            Some(busy) => busy.rows.push(row),
            None => self.all.push(Busy { name, rows: vec![row] }),
        }
    }
}

impl Busy {
    fn effort(effort: Effort) -> Effort {
        Effort { rounds: effort.rounds.min(ROUNDS), ..effort }
    }

    /// Steps that [`measure`](Self::measure) will report to the progress bar.
    pub(crate) fn steps(&self, effort: Effort) -> u64 {
        self.rows.iter().map(|row| row.steps(Self::effort(effort))).sum()
    }

    pub(crate) fn measure(&self, effort: Effort, progress: &ProgressBar) -> Vec<Curve> {
        let cores = available_parallelism().map_or(1, usize::from);
        let mut curves: Vec<Curve> = Vec::new();
        for row in &self.rows {
            let threads = row.spec.threads;
            for cell in row.measure(Self::effort(effort), progress).cells {
                let used = threads.min(cores) as f64;
                let point = Point {
                    threads,
                    processor: cell.processor,
                    wall: Summary::of(cell.summary.samples.iter().map(|ns| ns * used).collect()),
                    faults_per_thousand: cell.faults_per_thousand,
                };
                match curves.iter_mut().find(|curve| curve.profile.name == cell.profile.name) {
                    Some(curve) => curve.points.push(point),
                    None => {
                        curves.push(Curve {
                            workload: self.name,
                            profile: cell.profile,
                            points: vec![point],
                        });
                    }
                }
            }
        }
        curves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_has_a_row_for_each_number_of_threads() {
        let field = Field::start(|profile| profile.name == "glibc");
        let all = workloads(&field, |_| true);
        assert_eq!(all.iter().map(|busy| busy.name).collect::<Vec<_>>(), WORKLOADS);
        for busy in all {
            let rows = busy.rows.iter().map(|row| row.spec.threads);
            let least = if busy.name == "xmalloc-64" { 2 } else { 1 };
            let expected = THREADS.into_iter().filter(|&threads| threads >= least);
            assert!(rows.eq(expected), "{}", busy.name);
        }
    }
}
