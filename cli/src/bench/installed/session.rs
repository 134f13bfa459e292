//! In the suite: a process that runs a round when told to.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;

use super::serve::{Reply, Request};
use crate::bench::workload::Sample;

/// A contender's process. It sleeps between rounds, and ends when this is dropped.
pub(crate) struct Session {
    program: PathBuf,
    threads: usize,
    process: RefCell<Process>,
}

struct Process {
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Session {
    pub(crate) fn start(program: &Path, threads: usize) -> anyhow::Result<Self> {
        let process = Process::start(program, threads)
            .with_context(|| format!("{} did not start", program.display()))?;
        Ok(Self { program: program.to_owned(), threads, process: RefCell::new(process) })
    }

    /// A fresh process of the same program.
    pub(crate) fn another(&self) -> Self {
        Self::start(&self.program, self.threads).expect("a program that has started before")
    }

    /// `reps` repetitions of a row.
    pub(crate) fn round(&self, workload: &str, reps: u64) -> Sample {
        let reply = self.process.borrow_mut().ask(&Request { workload: workload.to_owned(), reps });
        let reply = reply.unwrap_or_else(|error| panic!("{}: {workload}: {error:#}", self.program.display()));
        reply.into()
    }
}

impl Process {
    fn start(program: &Path, threads: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["rows", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = child.stdin.take();
        let replies = BufReader::new(child.stdout.take().context("no way to hear from it")?);
        Ok(Self { child, requests, replies })
    }

    fn ask(&mut self, request: &Request) -> anyhow::Result<Reply> {
        let requests = self.requests.as_mut().context("no way to talk to it")?;
        serde_json::to_writer(&mut *requests, request)?;
        requests.write_all(b"\n")?;
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            let status = self.child.wait()?;
            anyhow::bail!("the process ended with {status}");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input is what ends it.
        self.requests = None;
        let _ = self.child.wait();
    }
}
