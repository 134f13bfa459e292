//! Work that needs a process of its own: this program again, with a hidden option.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::contender::{Contender, ContenderVisitor, Field};
use super::crowd;
use super::latency;
use super::machine;
use super::memory::{self, Footprint};
use super::workload::Sample;
use super::workload::cold::first_hundred_thousand;

/// What a child writes when only waiting is left; on a line of its own.
const WORK_IS_DONE: &str = "done\n";

/// In the child: lets the parent start the next one.
pub(crate) fn work_is_done() {
    print!("{WORK_IS_DONE}");
    // A parent that is gone needs no word.
    let _ = std::io::stdout().flush();
}

/// What a child process is to do, with the one contender that it is given.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// Time the first 100,000 blocks.
    Cold,
    /// Run one workload, then collect at once.
    MemoryCollect,
    /// Run one workload, then wait two seconds.
    MemorySettle,
    /// Run one workload with every call timed.
    Latency,
    /// Have ten thousand threads be born.
    Births,
    /// Make ten thousand heaps.
    Heaps,
}

/// What a child is started with.
pub(crate) struct Order<'a> {
    pub(crate) task: Task,
    pub(crate) contender: &'a str,
    pub(crate) workload: Option<&'a str>,
    pub(crate) threads: usize,
}

impl Order<'_> {
    /// In the parent: starts the child, waits for it and reads its answer. Of all children that are given the
    /// same `core`, one at a time is at work; they may wait for something at the same time.
    pub(crate) fn send<T: DeserializeOwned>(&self, core: &Mutex<()>) -> anyhow::Result<T> {
        let program = env::current_exe().context("where is this program?")?;
        let mut command = Command::new(program);
        let task = self.task.to_possible_value().expect("no task is skipped");
        command
            .args(["bench", "--child", task.get_name()])
            .args(["--allocator", self.contender])
            .args(["--threads", &self.threads.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(workload) = self.workload {
            command.args(["--workload", workload]);
        }
        let working = core.lock();
        let mut child = command.spawn().context("a child process did not start")?;
        let mut answer = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            // The first line is the child's word that its work is done, whatever it waits for now.
            stdout.read_line(&mut answer)?;
            drop(working);
            stdout.read_to_string(&mut answer)?;
        }
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "a child process for {} ended with {}: {}",
            self.contender,
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let answer = answer.strip_prefix(WORK_IS_DONE).unwrap_or(&answer);
        serde_json::from_str(answer).context("a child process answered nonsense")
    }

    /// In the child: does the work and writes the answer to standard output.
    pub(crate) fn obey(&self) -> anyhow::Result<()> {
        let field = Field::start(|profile| profile.name == self.contender);
        let mut answer = Answer { order: self, json: None };
        field.each(&mut answer);
        match answer.json {
            Some(json) => println!("{}", json?),
            None => bail!("nothing to do for allocator {:?}", self.contender),
        }
        Ok(())
    }
}

/// In the parent: the time of the first 100,000 blocks in a fresh process.
pub(crate) fn cold(contender: &str) -> anyhow::Result<Sample> {
    let order = Order { task: Task::Cold, contender, workload: None, threads: 2 };
    let answer: Cold = order.send(&Mutex::new(()))?;
    Ok(Sample::new(Duration::from_nanos(answer.ns), answer.ops).with_process_faults(answer.faults))
}

#[derive(Serialize, Deserialize)]
struct Cold {
    ns: u64,
    ops: u64,
    faults: u64,
}

struct Answer<'a> {
    order: &'a Order<'a>,
    json: Option<serde_json::Result<String>>,
}

impl ContenderVisitor for Answer<'_> {
    fn visit<C: Contender>(&mut self, contender: &'static C) {
        self.json = match self.order.task {
            Task::Cold => {
                let before = machine::process_faults();
                let sample = first_hundred_thousand(contender);
                let faults = machine::process_faults() - before;
                let answer = Cold { ns: sample.elapsed.as_nanos() as u64, ops: sample.ops, faults };
                Some(serde_json::to_string(&answer))
            }
            Task::MemoryCollect | Task::MemorySettle => {
                let footprint: Option<Footprint> = memory::measure(contender, self.order);
                footprint.map(|footprint| serde_json::to_string(&footprint))
            }
            Task::Births => Some(serde_json::to_string(&crowd::births(contender))),
            Task::Heaps => crowd::heaps(contender).map(|heaps| serde_json::to_string(&heaps)),
            Task::Latency => latency::measure(contender, self.order).map(|run| serde_json::to_string(&run)),
        };
    }
}
