//! What all programs here do, whichever allocator they have installed.

use std::env;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;

mod programs;

use blockyard_cli::installed::{self, ProgramSize};

/// Serves the suite's rows (`rows THREADS`), or runs one program and writes what it took as JSON (`program NAME SIZE`).
#[must_use]
pub fn main() -> ExitCode {
    match obey() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn obey() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["rows", threads] => installed::serve(threads.parse().context("no number of threads")?),
        ["program", name, size] => {
            let size = ProgramSize::from_str(size, false).map_err(anyhow::Error::msg)?;
            let run = programs::run(name, size).with_context(|| format!("there is no program {name}"))?;
            println!("{}", serde_json::to_string(&run)?);
            Ok(())
        }
        _ => bail!("`blockyard bench --workload installed` or `programs` starts this"),
    }
}
