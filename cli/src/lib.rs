//! `blockyard`: the allocator at work on real input, and against its peers.
//!
//! `blockyard index [DIR]` builds an inverted index of a source tree on an explicit heap and prints what
//! every thread holds; `blockyard bench` is the contention suite. A library, so that the programs of
//! `installed`, each with another `#[global_allocator]`, can serve the same suite.

mod bench;
mod index;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use bench::installed;

#[derive(Parser)]
#[command(name = "blockyard", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// What plain `blockyard` does: the same as `blockyard index`.
    #[command(flatten)]
    index: index::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Build an inverted index of a directory on an explicit heap, and compare with other allocators.
    Index(index::Args),
    /// Run the contention suite against other allocators.
    Bench(bench::Args),
}

/// What the program `blockyard` does.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Index(args)) => index::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        None => index::run(cli.index),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("blockyard: {error:#}");
            ExitCode::from(2)
        }
    }
}
