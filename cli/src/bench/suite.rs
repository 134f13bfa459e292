//! Rounds: every contender of a row once per round, in an order that changes.

use std::rc::Rc;
use std::time::Duration;

use indicatif::ProgressBar;

use super::contender::{Contender, ContenderVisitor, Field, Profile};
use super::machine;
use super::stats::Summary;
use super::workload::{self, Pace, Rng, Sample, Spec, Workload, WorkloadVisitor};

/// How long and how often.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// What one round of one contender should take.
    pub(crate) round: Duration,
}

/// Who meets whom: rows of different contests have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contest {
    /// Of allocators: blocks that are freed one by one.
    Allocators,
    /// Of allocators behind `#[global_allocator]`, a process for each.
    Installed,
    /// Of arenas: memory that is taken back all at once.
    Arenas,
    /// Of layers over a heap, with the heap alone as the peer.
    Layers,
}

/// A row ready to be measured.
pub(crate) struct Row {
    pub(crate) spec: Spec,
    pub(crate) contest: Contest,
    cells: Vec<Cell>,
}

struct Cell {
    profile: Profile,
    run: Box<dyn Fn(u64) -> Sample>,
}

/// A row's result.
pub(crate) struct Measured {
    pub(crate) spec: Spec,
    pub(crate) contest: Contest,
    pub(crate) cells: Vec<MeasuredCell>,
}

pub(crate) struct MeasuredCell {
    pub(crate) profile: Profile,
    /// Repetitions in each round.
    pub(crate) reps: u64,
    pub(crate) summary: Summary,
    /// Page faults of one repetition of the last round, where the row counts them.
    pub(crate) faults: Option<u64>,
    /// Page faults of the process in a round, its setting-up included, per 1,000 operations: the median.
    pub(crate) faults_per_thousand: f64,
    /// Processor time of all threads together, in nanoseconds per operation.
    pub(crate) processor: Summary,
}

/// The rows that `wanted` says yes to, with the contenders of `field` that can serve them.
pub(crate) fn rows(threads: usize, field: &Field, wanted: impl Fn(&Spec) -> bool) -> Vec<Row> {
    let mut builder = RowBuilder { field, wanted, rows: Vec::new() };
    workload::each(threads, &mut builder);
    builder.rows
}

struct RowBuilder<'a, F> {
    field: &'a Field,
    wanted: F,
    rows: Vec<Row>,
}

impl<F: Fn(&Spec) -> bool> WorkloadVisitor for RowBuilder<'_, F> {
    fn visit<W: Workload>(&mut self, workload: W) {
        let spec = workload.spec();
        if !(self.wanted)(&spec) {
            return;
        }
        let row = row_of(workload, Contest::Allocators, |builder| self.field.each(builder));
        if !row.is_empty() {
            self.rows.push(row);
        }
    }
}

/// A workload's row, with the contenders that `fill` hands to the visitor.
pub(crate) fn row_of<W: Workload>(
    workload: W,
    contest: Contest,
    fill: impl FnOnce(&mut CellBuilder<W>),
) -> Row {
    let row = Row::new(workload.spec(), contest);
    let mut builder = CellBuilder { workload: Rc::new(workload), row };
    fill(&mut builder);
    builder.row
}

/// Enters every contender it is handed that can serve the row.
pub(crate) struct CellBuilder<W> {
    workload: Rc<W>,
    row: Row,
}

impl<W: Workload> ContenderVisitor for CellBuilder<W> {
    fn visit<C: Contender>(&mut self, contender: &'static C) {
        if !self.row.spec.needs.met_by(C::REACH) {
            return;
        }
        let workload = Rc::clone(&self.workload);
        self.row.enter(Profile::of::<C>(), move |reps| workload.round(contender, reps));
    }
}

impl Row {
    /// A row without contenders.
    pub(crate) fn new(spec: Spec, contest: Contest) -> Self {
        Self { spec, contest, cells: Vec::new() }
    }

    /// Adds a contender, with what it does a number of times over.
    pub(crate) fn enter(&mut self, profile: Profile, run: impl Fn(u64) -> Sample + 'static) {
        self.cells.push(Cell { profile, run: Box::new(run) });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// A sample of every contender, without warming up.
    #[cfg(test)]
    pub(crate) fn run_each(&self, reps: u64) -> impl Iterator<Item = Sample> {
        self.cells.iter().map(move |cell| (cell.run)(reps))
    }

    /// Steps that [`measure`](Self::measure) will report to the progress bar.
    pub(crate) fn steps(&self, effort: Effort) -> u64 {
        (self.cells.len() * (effort.rounds + 1)) as u64
    }

    /// Warms every contender up, then takes the rounds.
    pub(crate) fn measure(&self, effort: Effort, progress: &ProgressBar) -> Measured {
        let announce = |cell: &Cell| {
            progress.set_message(format!("{} · {}", self.spec.name, cell.profile.name));
        };
        let reps: Vec<u64> = self
            .cells
            .iter()
            .map(|cell| {
                announce(cell);
                let reps = match self.spec.pace {
                    Pace::Steady => warm_up(&cell.run, effort.round),
                    Pace::Once => 1,
                };
                progress.inc(1);
                reps
            })
            .collect();

        let mut samples = vec![Vec::with_capacity(effort.rounds); self.cells.len()];
        let mut faults = vec![None; self.cells.len()];
        let mut processor = samples.clone();
        let mut all_faults = vec![Vec::with_capacity(effort.rounds); self.cells.len()];
        let mut order: Vec<usize> = (0..self.cells.len()).collect();
        let mut rng = Rng::with_seed(effort.rounds as u64);
        for _ in 0..effort.rounds {
            rng.shuffle(&mut order);
            for &index in &order {
                announce(&self.cells[index]);
                let before = machine::process_faults();
                let sample = (self.cells[index].run)(reps[index]);
                let here = machine::process_faults() - before;
                all_faults[index]
                    .push(sample.process_faults.unwrap_or(here) as f64 * 1e3 / sample.ops as f64);
                processor[index].push(sample.processor.as_secs_f64() * 1e9 / sample.ops as f64);
                samples[index].push(sample.ns());
                faults[index] = sample.faults.map(|faults| faults / reps[index]);
                progress.inc(1);
            }
        }

        let cells = self.cells.iter().zip(reps).zip(samples).zip(faults).zip(all_faults).zip(processor);
        Measured {
            spec: self.spec.clone(),
            contest: self.contest,
            cells: cells
                .map(|(((((cell, reps), samples), faults), all_faults), processor)| MeasuredCell {
                    profile: cell.profile,
                    reps,
                    summary: Summary::of(samples),
                    faults,
                    faults_per_thousand: Summary::of(all_faults).median,
                    processor: Summary::of(processor),
                })
                .collect(),
        }
    }
}

/// Runs until the allocator has touched the memory it will use, and returns how many repetitions take about
/// `round`. A first touch costs microseconds a page, so a guess from a cold run would be far too low: the last
/// run before the answer is about as long as a round.
fn warm_up(run: &dyn Fn(u64) -> Sample, round: Duration) -> u64 {
    let mut reps = 1;
    loop {
        let elapsed = run(reps).elapsed.max(Duration::from_nanos(100));
        let fitting = (reps as f64 * round.as_secs_f64() / elapsed.as_secs_f64()).max(1.0) as u64;
        if fitting <= reps.saturating_mul(2) {
            return fitting;
        }
        reps = fitting.min(reps * 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every workload once on every contender: each checks its own results.
    #[test]
    fn every_row_runs_on_every_contender() {
        let field = Field::start(|_| true);
        // Rows that need a process of their own would start this test.
        let rows = rows(2, &field, |spec| spec.pace == Pace::Steady);
        assert!(rows.len() > 30);
        for sample in rows.iter().flat_map(|row| row.run_each(1)) {
            assert!(sample.ops > 0 && sample.elapsed > Duration::ZERO);
        }
    }

    #[test]
    fn warming_up_finds_the_repetitions() {
        let per_rep = Duration::from_micros(10);
        let run = |reps: u64| Sample::new(per_rep * reps as u32, reps);
        assert_eq!(warm_up(&run, Duration::from_millis(1)), 100);
        assert_eq!(warm_up(&run, Duration::from_nanos(1)), 1);
    }
}
