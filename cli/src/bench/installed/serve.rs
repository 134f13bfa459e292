//! In a program that has a contender behind `#[global_allocator]`: a round when it is told to.

use std::io::{Write, stdin, stdout};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bench::contender::Installed;
use crate::bench::machine;
use crate::bench::workload::cold::first_hundred_thousand;
use crate::bench::workload::{self, CpuClock, Pace, Sample, Workload, WorkloadVisitor};

/// A line of standard input.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) workload: String,
    pub(crate) reps: u64,
}

/// A line of standard output.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reply {
    ns: u64,
    ops: u64,
    faults: u64,
}

impl From<Reply> for Sample {
    fn from(reply: Reply) -> Self {
        Self::new(Duration::from_nanos(reply.ns), reply.ops).with_process_faults(reply.faults)
    }
}

/// Serves rounds of the suite's rows until standard input ends. `threads` is what rows with several use.
///
/// # Errors
///
/// When a line is no request, or the answer cannot be written.
pub fn serve(threads: usize) -> anyhow::Result<()> {
    let mut table = None;
    for line in stdin().lines() {
        let Request { workload, reps } = serde_json::from_str(&line?)?;
        let before = machine::process_faults();
        let sample = table_or_cold(&mut table, threads, &workload, reps)?;
        let reply = Reply {
            ns: sample.elapsed.as_nanos() as u64,
            ops: sample.ops,
            faults: machine::process_faults() - before,
        };
        let mut stdout = stdout().lock();
        serde_json::to_writer(&mut stdout, &reply)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
    }
    Ok(())
}

/// The row that is to find nothing warm comes before the table is made.
fn table_or_cold(
    table: &mut Option<Table>,
    threads: usize,
    workload: &str,
    reps: u64,
) -> anyhow::Result<Sample> {
    if workload == "cold-process" {
        return Ok(first_hundred_thousand(&Installed));
    }
    let table = table.get_or_insert_with(|| Table::new(threads));
    let row = table.rows.iter().find(|(name, _)| *name == workload);
    let (_, row) = row.ok_or_else(|| anyhow::anyhow!("there is no row {workload:?}"))?;
    Ok(row(reps))
}

type Rounds = Box<dyn Fn(u64) -> Sample>;

/// Every row, on whatever this program has installed.
struct Table {
    rows: Vec<(&'static str, Rounds)>,
}

impl Table {
    fn new(threads: usize) -> Self {
        let mut table = Self { rows: Vec::new() };
        workload::each(threads, &mut table);
        table
    }
}

impl WorkloadVisitor for Table {
    fn visit<W: Workload>(&mut self, workload: W) {
        let spec = workload.spec();
        if spec.pace == Pace::Steady {
            self.rows.push((spec.name, Box::new(move |reps| workload.round(&Installed, reps))));
        }
    }
}

/// Lets [`peak_resident`] start from here.
pub fn reset_peak() {
    machine::reset_peak();
}

/// Memory of this process resident at once, at most, in bytes.
#[must_use]
pub fn peak_resident() -> u64 {
    machine::resident_peak()
}

/// Pages that the system has handed to this process so far, without reading from a disk.
#[must_use]
pub fn page_faults() -> u64 {
    machine::process_faults()
}

/// Runs `work`; its result, and the processor time of all threads together.
pub fn processor_time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let clock = CpuClock::of_process();
    let result = work();
    (result, clock.elapsed())
}
