//! What all programs here do, whichever allocator they have installed.

use std::env;
use std::process::ExitCode;

use anyhow::{Context, bail};

/// Serves the suite's rows (`rows THREADS`).
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
        ["rows", threads] => {
            blockyard_cli::installed::serve(threads.parse().context("no number of threads")?)
        }
        _ => bail!("`blockyard bench --workload installed` starts this"),
    }
}
