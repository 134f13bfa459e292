//! Rounds: every contender of a row once per round, in an order that changes.

use std::rc::Rc;
use std::time::Duration;

use indicatif::ProgressBar;

use super::contender::{Contender, ContenderVisitor, Field, Profile};
use super::stats::Summary;
use super::workload::{self, Pace, Rng, Sample, Spec, Workload, WorkloadVisitor};

/// How long and how often.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// What one round of one contender should take.
    pub(crate) round: Duration,
}

/// A row ready to be measured.
pub(crate) struct Row {
    pub(crate) spec: Spec,
    cells: Vec<Cell>,
}

struct Cell {
    profile: Profile,
    run: Box<dyn Fn(u64) -> Sample>,
}

/// A row's result.
pub(crate) struct Measured {
    pub(crate) spec: Spec,
    pub(crate) cells: Vec<MeasuredCell>,
}

pub(crate) struct MeasuredCell {
    pub(crate) profile: Profile,
    /// Repetitions in each round.
    pub(crate) reps: u64,
    pub(crate) summary: Summary,
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
        let mut cells = CellBuilder { workload: Rc::new(workload), spec: &spec, cells: Vec::new() };
        self.field.each(&mut cells);
        let cells = cells.cells;
        if !cells.is_empty() {
            self.rows.push(Row { spec, cells });
        }
    }
}

struct CellBuilder<'a, W> {
    workload: Rc<W>,
    spec: &'a Spec,
    cells: Vec<Cell>,
}

impl<W: Workload> ContenderVisitor for CellBuilder<'_, W> {
    fn visit<C: Contender>(&mut self, contender: &'static C) {
        if !self.spec.needs.met_by(C::REACH) {
            return;
        }
        let workload = Rc::clone(&self.workload);
        self.cells.push(Cell {
            profile: Profile::of::<C>(),
            run: Box::new(move |reps| workload.round(contender, reps)),
        });
    }
}

impl Row {
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
        let mut order: Vec<usize> = (0..self.cells.len()).collect();
        let mut rng = Rng::with_seed(effort.rounds as u64);
        for _ in 0..effort.rounds {
            rng.shuffle(&mut order);
            for &index in &order {
                announce(&self.cells[index]);
                samples[index].push((self.cells[index].run)(reps[index]).ns());
                progress.inc(1);
            }
        }

        let cells = self.cells.iter().zip(reps).zip(samples);
        Measured {
            spec: self.spec.clone(),
            cells: cells
                .map(|((cell, reps), samples)| MeasuredCell {
                    profile: cell.profile,
                    reps,
                    summary: Summary::of(samples),
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
        for cell in rows.iter().flat_map(|row| &row.cells) {
            let sample = (cell.run)(1);
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
