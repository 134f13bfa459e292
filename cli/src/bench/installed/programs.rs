//! Real programs: what they are, how they are told to run, what they say. The jobs themselves are in the package
//! `installed`, so that the tool need not build the libraries that they put to work.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::Built;
use crate::bench::contender::Profile;
use crate::bench::stats::Summary;
use crate::bench::workload::Rng;

/// A library at work.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
}

pub(crate) const PROGRAMS: [Program; 5] = [
    Program {
        name: "syn",
        about: "a parser: Rust source read into trees, visited and printed by prettyplease; 1 thread",
    },
    Program { name: "jaq", about: "a query engine: one jq query over a document of JSON; 1 thread" },
    Program {
        name: "tantivy",
        about: "a search index in memory: 2 threads index, merge, then a thousand queries",
    },
    Program {
        name: "dashmap",
        about: "a cache: rayon workers read JSON with serde_json into a shared map and replace it",
    },
    Program { name: "tokio", about: "a server: 64 clients, 8 shards, a task for each request; 2 workers" },
];

/// What the programs are called, in the order of the tables.
#[must_use]
pub fn program_names() -> [&'static str; PROGRAMS.len()] {
    PROGRAMS.map(|program| program.name)
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ProgramSize {
    /// A fraction of a second.
    Quick,
    /// About a second.
    Full,
}

impl ProgramSize {
    /// What fits this size.
    pub fn of<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// What one run came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ProgramRun {
    /// By the wall clock, the job alone, in nanoseconds.
    pub wall_ns: u64,
    /// Processor time of all threads, in nanoseconds.
    pub processor_ns: u64,
    /// Resident at once during the job, the input and the program itself included, in bytes.
    pub peak: u64,
    /// Page faults during the job.
    pub page_faults: u64,
    /// What the program worked out: the same whoever allocates.
    pub answer: u64,
}

/// One program's results.
pub(crate) struct Measured {
    pub(crate) program: Program,
    pub(crate) cells: Vec<Cell>,
}

pub(crate) struct Cell {
    pub(crate) profile: Profile,
    pub(crate) result: Result<Figures, String>,
}

/// Of all rounds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Milliseconds.
    pub(crate) wall: Summary,
    /// Milliseconds.
    pub(crate) processor: Summary,
    /// Bytes.
    pub(crate) peak: Summary,
    pub(crate) page_faults: Summary,
}

impl Figures {
    fn of(runs: &[ProgramRun]) -> Self {
        let summary = |figure: fn(&ProgramRun) -> f64| Summary::of(runs.iter().map(figure).collect());
        Self {
            wall: summary(|run| run.wall_ns as f64 / 1e6),
            processor: summary(|run| run.processor_ns as f64 / 1e6),
            peak: summary(|run| run.peak as f64),
            page_faults: summary(|run| run.page_faults as f64),
        }
    }
}

/// Runs every program with every contender in turn, `rounds` times over, in an order that changes; a process each time.
pub(crate) fn run(
    programs: &[Program],
    built: &Built,
    rounds: usize,
    size: ProgramSize,
    progress: &ProgressBar,
) -> Vec<Measured> {
    let contenders: Vec<_> = built.each().collect();
    programs
        .iter()
        .map(|&program| {
            let mut runs = vec![Ok(Vec::new()); contenders.len()];
            let mut order: Vec<usize> = (0..contenders.len()).collect();
            let mut rng = Rng::with_seed(rounds as u64);
            for _ in 0..rounds {
                rng.shuffle(&mut order);
                for &index in &order {
                    let (profile, path) = contenders[index];
                    progress.set_message(format!("{} · {}", program.name, profile.name));
                    let runs: &mut Result<Vec<ProgramRun>, String> = &mut runs[index];
                    if let Ok(earlier) = runs {
                        match once(path, program, size) {
                            Ok(run) => earlier.push(run),
                            Err(error) => *runs = Err(format!("{error:#}")),
                        }
                    }
                    progress.inc(1);
                }
            }
            let answer = runs.iter().flatten().flatten().map(|run| run.answer).next();
            let cells = contenders.iter().zip(runs).map(|(&(profile, _), runs)| {
                let agrees = |runs: &[ProgramRun]| runs.iter().all(|run| Some(run.answer) == answer);
                let result = match runs {
                    Ok(runs) if agrees(&runs) => Ok(Figures::of(&runs)),
                    Ok(_) => Err("the answer is not what the others say".to_owned()),
                    Err(error) => Err(error),
                };
                Cell { profile, result }
            });
            Measured { program, cells: cells.collect() }
        })
        .collect()
}

fn once(path: &Path, program: Program, size: ProgramSize) -> anyhow::Result<ProgramRun> {
    let size = size.to_possible_value().expect("no size is skipped");
    let output = Command::new(path)
        .args(["program", program.name, size.get_name()])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} did not start", path.display()))?;
    ensure!(
        output.status.success(),
        "the process ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("the process answered nonsense")
}
