//! The same job on every allocator: each run in a process of its own, interleaved over a few rounds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use allocator_api2::alloc::{Allocator, System};
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::allocators::{Contender, collect_system};
use super::build::{Phases, Pools, Tally, build, drop_half, timed};
use super::heap::new_heap;
use super::memory::{Footprint, peak_resident, resident};
use super::query::{Query, answer};
use super::summary::Summary;
use super::walk::Corpus;

/// What there is to do.
pub(super) struct Job {
    pub(super) root: PathBuf,
    pub(super) threads: usize,
    pub(super) queries: Vec<Query>,
}

/// What one run of the job took, as a child process reports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) phases: Phases,
    /// `None` where the system does not tell.
    pub(super) memory: Option<Footprint>,
    pub(super) tally: Tally,
    /// The same for the same index, whatever made it.
    pub(super) digest: u64,
}

/// All runs of one contender, summarised.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Standing {
    pub(super) contender: Contender,
    pub(super) label: String,
    /// Each phase's median over the rounds, in seconds.
    pub(super) phases: Phases,
    /// The median of the rounds' whole times, in seconds.
    pub(super) total: f64,
    /// The quickest and the slowest round, in seconds.
    pub(super) range: (f64, f64),
    /// `total` by that of blockyard: above 1 this contender is slower. `None` if blockyard has failed.
    pub(super) ratio: Option<f64>,
    /// Each figure's median over the rounds, in bytes.
    pub(super) memory: Option<Footprint>,
}

/// The outcome of all rounds.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) rounds: usize,
    pub(super) standings: Vec<Standing>,
    /// Whether all runs have built the very same index. They do unless a file changes meanwhile.
    pub(super) same_index: bool,
    /// Runs that came to nothing, and why.
    pub(super) failures: Vec<String>,
}

/// Runs the job once in this process, which is a child started by [`compare`].
pub(super) fn run_contender(contender: Contender, job: &Job) -> anyhow::Result<Run> {
    match contender {
        Contender::Blockyard => {
            let heap = new_heap()?;
            let collect = || {
                heap.collect();
            };
            run_on(&heap, job, Some(collect))
        }
        Contender::Global => {
            let collect = || {
                blockyard::Global.collect();
            };
            run_on(blockyard::Global, job, Some(collect))
        }
        #[cfg(feature = "peer-mimalloc")]
        Contender::Mimalloc => {
            use super::mimalloc_memory::{Mimalloc, collect};
            run_on(Mimalloc, job, Some(collect))
        }
        Contender::System => run_on(System, job, Some(collect_system)),
    }
}

fn run_on<A>(memory: A, job: &Job, collect: Option<impl Fn() + Sync>) -> anyhow::Result<Run>
where
    A: Allocator + Copy + Send + Sync,
{
    let hidden = ProgressBar::hidden();
    let corpus = Corpus::walk(&job.root, &hidden)?;
    let pools = Pools::new(job.threads)?;
    let mut phases = Phases::default();
    let start = resident();

    let (mut index, tally) = build(memory, &corpus, &pools.build, &hidden, &mut phases);
    timed(&mut phases.query, || {
        for query in &job.queries {
            std::hint::black_box(answer(&index, query));
        }
    });
    let digest = Summary::of(&index).digest;
    drop_half(&mut index, &pools.drop, &mut phases);
    let half = resident();
    timed(&mut phases.drop_rest, || drop(index));
    let end = resident();
    let collected = collect.map(|collect| {
        // Twice: what one thread sends home in the first round its owner takes in in the second.
        for _ in 0..2 {
            for pool in [&pools.build, &pools.drop] {
                pool.broadcast(|_| collect());
            }
            collect();
        }
        resident()
    });
    let footprint = || {
        Some(Footprint {
            start: start?,
            peak: peak_resident()?,
            half: half?,
            end: end?,
            collected: collected.flatten(),
        })
    };
    Ok(Run { phases, memory: footprint(), tally, digest })
}

/// Runs the job `rounds` times on every contender, each time in a fresh process, one after the other. A
/// different one comes first in every round. The file cache should be warm already.
pub(super) fn compare(job: &Job, rounds: usize, progress: &ProgressBar) -> Comparison {
    let mut runs: Vec<Vec<Run>> = Contender::ALL.iter().map(|_| Vec::new()).collect();
    let mut failures = Vec::new();
    for round in 0..rounds {
        for turn in 0..Contender::ALL.len() {
            let place = (round + turn) % Contender::ALL.len();
            let contender = Contender::ALL[place];
            progress.set_message(contender.label());
            match run_child(contender, job) {
                Ok(run) => runs[place].push(run),
                Err(error) => failures.push(format!("{}: {error:#}", contender.label())),
            }
            progress.inc(1);
        }
    }
    let mut outcomes = runs.iter().flatten().map(|run| (run.digest, run.tally));
    let first = outcomes.next();
    let same_index = outcomes.all(|outcome| Some(outcome) == first);

    let mut standings: Vec<Standing> = Contender::ALL
        .iter()
        .zip(&runs)
        .filter(|(_, runs)| !runs.is_empty())
        .map(|(&contender, runs)| summarise(contender, runs))
        .collect();
    let ours = standings
        .iter()
        .find(|standing| standing.contender == Contender::Blockyard)
        .map(|standing| standing.total);
    for standing in &mut standings {
        standing.ratio = ours.map(|ours| standing.total / ours);
    }
    Comparison { rounds, standings, same_index, failures }
}

/// Runs the job once on one contender, in a process of its own.
fn run_child(contender: Contender, job: &Job) -> anyhow::Result<Run> {
    let program = std::env::current_exe().context("cannot find this program to start it again")?;
    let mut command = Command::new(program);
    command
        .arg("index")
        .args(["--contender", contender.flag()])
        .args(["--threads", &job.threads.to_string()]);
    for query in &job.queries {
        command.arg(format!("--query={query}"));
    }
    let output = command
        .args([OsString::from("--"), job.root.clone().into_os_string()])
        .stdin(Stdio::null())
        .output()
        .context("cannot start a child process")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{}; {}", output.status, message.trim().replace('\n', "; "));
    }
    serde_json::from_slice(&output.stdout).context("the child process reported no result")
}

fn summarise(contender: Contender, runs: &[Run]) -> Standing {
    let phase = |field: fn(&Phases) -> f64| median(runs.iter().map(|run| field(&run.phases)));
    let totals = || runs.iter().map(|run| run.phases.total());
    let footprints: Vec<Footprint> = runs.iter().filter_map(|run| run.memory).collect();
    let bytes = |field: fn(&Footprint) -> u64| {
        median(footprints.iter().map(|footprint| field(footprint) as f64)) as u64
    };
    Standing {
        contender,
        label: contender.label(),
        phases: Phases {
            build: phase(|phases| phases.build),
            merge: phase(|phases| phases.merge),
            query: phase(|phases| phases.query),
            drop_half: phase(|phases| phases.drop_half),
            drop_rest: phase(|phases| phases.drop_rest),
        },
        total: median(totals()),
        range: (totals().fold(f64::INFINITY, f64::min), totals().fold(0.0, f64::max)),
        ratio: None,
        memory: (!footprints.is_empty()).then(|| Footprint {
            start: bytes(|footprint| footprint.start),
            peak: bytes(|footprint| footprint.peak),
            half: bytes(|footprint| footprint.half),
            end: bytes(|footprint| footprint.end),
            collected: footprints[0].collected.map(|_| bytes(|each| each.collected.unwrap_or(0))),
        }),
    }
}

/// The middle value, or the mean of the two middle ones; 0 of nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(std::iter::empty()), 0.0);
    }

    #[test]
    fn every_contender_builds_the_same_index() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.txt"), "one two two three").unwrap();
        std::fs::write(dir.path().join("b.txt"), "two unsafe alloc").unwrap();
        let job = Job { root: dir.path().to_path_buf(), threads: 2, queries: Query::defaults() };
        let runs: Vec<Run> =
            Contender::ALL.iter().map(|&contender| run_contender(contender, &job).unwrap()).collect();
        for run in &runs {
            assert_eq!((run.digest, run.tally), (runs[0].digest, runs[0].tally));
        }
        let standing = summarise(Contender::System, &runs);
        assert!(standing.range.0 <= standing.total && standing.total <= standing.range.1);
    }
}
