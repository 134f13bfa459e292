//! Everything that was measured, for programs.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::busy;
use super::contender::Role;
use super::crowd;
use super::installed::programs;
use super::latency;
use super::machine::Machine;
use super::memory::{self, Figures};
use super::scale::{self, Axis, Point};
use super::stats::Summary;
use super::suite::{Contest, Measured};

/// Grows when a field changes its meaning.
pub(crate) const SCHEMA: u32 = 2;

/// A whole run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Document {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// The version of the tool.
    pub(crate) blockyard: &'static str,
    pub(crate) commit: Option<String>,
    /// Seconds since 1970.
    #[serde(serialize_with = "unix_seconds", deserialize_with = "from_unix_seconds")]
    pub(crate) started: SystemTime,
    pub(crate) command: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) threads: usize,
    pub(crate) rounds: usize,
    pub(crate) machine: Machine,
    /// Peers that this build does without.
    pub(crate) left_out: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) scale: Vec<Curve>,
    pub(crate) busy: Vec<BusyCurve>,
    pub(crate) crowd: Vec<Crowd>,
    pub(crate) programs: Vec<Program>,
    pub(crate) latency: Vec<Latency>,
    /// How long the run took.
    pub(crate) seconds: f64,
}

fn unix_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    serializer.serialize_u64(since.map_or(0, |since| since.as_secs()))
}

fn from_unix_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// What earlier runs wrote, as one document: the first's, with all that the later ones add or measured again.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Document> {
    let mut all: Option<Document> = None;
    for path in paths {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Names in the document are `'static`, as they are when it is made; this process ends with it.
        let next: Document = serde_json::from_str(text.leak())
            .with_context(|| format!("{} is not what --json writes", path.display()))?;
        ensure!(next.schema == SCHEMA, "{} is of another version of the tool", path.display());
        match &mut all {
            None => all = Some(next),
            Some(all) => all.take_over(next),
        }
    }
    all.context("no file")
}

impl Document {
    /// Adds what `other` has; where both have something, its figures stand.
    fn take_over(&mut self, other: Self) {
        replace(&mut self.rows, other.rows, |row| (row.contest as u8, row.workload));
        replace(&mut self.memory, other.memory, |row| row.workload);
        replace(&mut self.scale, other.scale, |curve| (curve.axis as u8, curve.allocator));
        replace(&mut self.busy, other.busy, |curve| (curve.workload, curve.allocator));
        replace(&mut self.crowd, other.crowd, |cell| cell.allocator);
        replace(&mut self.programs, other.programs, |program| program.program);
        replace(&mut self.latency, other.latency, |row| row.workload);
        self.seconds += other.seconds;
        if self.commit != other.commit {
            let commits = [self.commit.take(), other.commit].map(|commit| commit.unwrap_or("unknown".into()));
            self.commit = Some(commits.join(" and "));
        }
        self.command.push("and".to_owned());
        self.command.extend(other.command.into_iter().skip(1));
    }
}

fn replace<T, K: PartialEq>(all: &mut Vec<T>, new: Vec<T>, key: impl Fn(&T) -> K) {
    for item in new {
        match all.iter_mut().find(|old| key(old) == key(&item)) {
            Some(old) => *old = item,
            None => all.push(item),
        }
    }
}

/// A timed row.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    pub(crate) group: &'static str,
    pub(crate) contest: Contest,
    pub(crate) about: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) threads: usize,
    /// The fastest peer, by the median.
    pub(crate) best_peer: Option<&'static str>,
    pub(crate) cells: Vec<Cell>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) allocator: &'static str,
    pub(crate) role: Role,
    /// Repetitions of the workload in each round.
    pub(crate) repetitions: u64,
    pub(crate) ns_per_operation: Summary,
    /// Its median by the best peer's; for a peer that is the best, 1.
    pub(crate) to_best_peer: Option<f64>,
    /// Its median by the physical limit's.
    pub(crate) to_limit: Option<f64>,
    /// Of one repetition, where the row counts them.
    pub(crate) page_faults: Option<u64>,
    /// Of the process in a whole round, setting up included, per 1,000 operations.
    pub(crate) page_faults_per_thousand: f64,
}

impl Cell {
    pub(crate) fn median(&self) -> f64 {
        self.ns_per_operation.median
    }
}

impl From<Measured> for Row {
    fn from(measured: Measured) -> Self {
        let spec = measured.spec;
        let medians = |role| {
            let cells = measured.cells.iter();
            cells
                .filter(move |cell| cell.profile.role == role)
                .map(|cell| (cell.profile.name, cell.summary.median))
                .min_by(|(_, left), (_, right)| left.total_cmp(right))
        };
        let best_peer = medians(Role::Peer);
        let limit = medians(Role::Limit);
        Self {
            workload: spec.name,
            group: spec.group,
            contest: measured.contest,
            about: spec.about,
            operation: spec.op,
            threads: spec.threads,
            best_peer: best_peer.map(|(name, _)| name),
            cells: measured
                .cells
                .into_iter()
                .map(|cell| Cell {
                    allocator: cell.profile.name,
                    role: cell.profile.role,
                    repetitions: cell.reps,
                    to_best_peer: best_peer.map(|(_, best)| cell.summary.median / best),
                    to_limit: limit.map(|(_, limit)| cell.summary.median / limit),
                    page_faults: cell.faults,
                    page_faults_per_thousand: cell.faults_per_thousand,
                    ns_per_operation: cell.summary,
                })
                .collect(),
        }
    }
}

impl Row {
    pub(crate) fn cell(&self, allocator: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.allocator == allocator)
    }

    pub(crate) fn best_peer(&self) -> Option<&Cell> {
        self.cell(self.best_peer?)
    }
}

/// Resident memory on one workload.
#[derive(Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) workload: &'static str,
    pub(crate) cells: Vec<MemoryCell>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MemoryCell {
    pub(crate) allocator: &'static str,
    pub(crate) role: Role,
    /// Whether the allocator has a call that gives memory back now.
    pub(crate) collects: bool,
    /// In bytes; none where the process failed.
    pub(crate) figures: Option<Figures>,
    pub(crate) failure: Option<String>,
}

impl From<memory::Measured> for Memory {
    fn from(measured: memory::Measured) -> Self {
        let cells = measured.cells.into_iter().map(|cell| MemoryCell {
            allocator: cell.profile.name,
            role: cell.profile.role,
            collects: cell.profile.collects,
            figures: cell.result.as_ref().ok().copied(),
            failure: cell.result.err(),
        });
        Self { workload: measured.workload, cells: cells.collect() }
    }
}

/// A real program behind `#[global_allocator]`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) program: &'static str,
    pub(crate) about: &'static str,
    pub(crate) cells: Vec<ProgramCell>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ProgramCell {
    pub(crate) allocator: &'static str,
    pub(crate) role: Role,
    /// None where the process failed.
    pub(crate) figures: Option<programs::Figures>,
    pub(crate) failure: Option<String>,
}

impl From<programs::Measured> for Program {
    fn from(measured: programs::Measured) -> Self {
        let cells = measured.cells.into_iter().map(|cell| ProgramCell {
            allocator: cell.profile.name,
            role: cell.profile.role,
            figures: cell.result.as_ref().ok().cloned(),
            failure: cell.result.err(),
        });
        Self { program: measured.program.name, about: measured.program.about, cells: cells.collect() }
    }
}

/// Single calls on one workload.
#[derive(Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) workload: &'static str,
    pub(crate) about: &'static str,
    pub(crate) cells: Vec<LatencyCell>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LatencyCell {
    pub(crate) allocator: &'static str,
    pub(crate) role: Role,
    /// In nanoseconds; none where the process failed.
    pub(crate) figures: Option<latency::Figures>,
    pub(crate) failure: Option<String>,
}

impl From<latency::Measured> for Latency {
    fn from(measured: latency::Measured) -> Self {
        let cells = measured.cells.into_iter().map(|cell| LatencyCell {
            allocator: cell.profile.name,
            role: cell.profile.role,
            figures: cell.result.as_ref().ok().cloned(),
            failure: cell.result.err(),
        });
        Self { workload: measured.row.name, about: measured.row.about, cells: cells.collect() }
    }
}

/// One workload with more and more threads at work.
#[derive(Serialize, Deserialize)]
pub(crate) struct BusyCurve {
    pub(crate) workload: &'static str,
    pub(crate) allocator: &'static str,
    pub(crate) role: Role,
    pub(crate) points: Vec<BusyPoint>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct BusyPoint {
    pub(crate) threads: usize,
    /// Of all threads together.
    pub(crate) processor_ns_per_operation: Summary,
    /// By the wall clock, times the cores that the threads can use.
    pub(crate) core_ns_per_operation: Summary,
    pub(crate) page_faults_per_thousand: f64,
}

impl From<busy::Curve> for BusyCurve {
    fn from(curve: busy::Curve) -> Self {
        let points = curve.points.into_iter().map(|point| BusyPoint {
            threads: point.threads,
            processor_ns_per_operation: point.processor,
            core_ns_per_operation: point.wall,
            page_faults_per_thousand: point.faults_per_thousand,
        });
        Self {
            workload: curve.workload,
            allocator: curve.profile.name,
            role: curve.profile.role,
            points: points.collect(),
        }
    }
}

/// Ten thousand births of threads, and heaps where there are any.
#[derive(Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) allocator: &'static str,
    pub(crate) role: Role,
    /// None where a process failed.
    pub(crate) figures: Option<crowd::Figures>,
    pub(crate) failure: Option<String>,
}

impl From<crowd::Measured> for Crowd {
    fn from(measured: crowd::Measured) -> Self {
        Self {
            allocator: measured.profile.name,
            role: measured.profile.role,
            figures: measured.result.as_ref().ok().cloned(),
            failure: measured.result.err(),
        }
    }
}

/// Costs along one axis.
#[derive(Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) axis: Axis,
    pub(crate) allocator: &'static str,
    pub(crate) role: Role,
    pub(crate) points: Vec<Point>,
}

impl From<scale::Curve> for Curve {
    fn from(curve: scale::Curve) -> Self {
        Self {
            axis: curve.axis,
            allocator: curve.profile.name,
            role: curve.profile.role,
            points: curve.points,
        }
    }
}
