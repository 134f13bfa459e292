//! `blockyard index`: an inverted index of a directory's text files, on an explicit heap.
//!
//! One file per noun, each using only those above it:
//!
//! | file | what |
//! |---|---|
//! | `units`, `progress`, `memory` | figures for people, progress bars, resident memory |
//! | `walk`, `read`, `tokenize` | the files below a directory, a file's text, a text's tokens |
//! | `postings`, `inverted`, `summary` | a token's places, all tokens, what is in an index in a few figures |
//! | `heap`, `allocators`, `mimalloc_memory` | what an index can live on |
//! | `build` | many threads making one index, other threads dropping half of it |
//! | `query` | which files have all of these words? |
//! | `compare` | the same job in a process of its own for every allocator |
//! | `report`, `tables`, `map` | what is printed, as data, as text and as a picture |

mod allocators;
mod build;
mod compare;
mod heap;
mod inverted;
mod map;
mod memory;
#[cfg(feature = "peer-mimalloc")]
mod mimalloc_memory;
mod postings;
mod progress;
mod query;
mod read;
mod report;
mod summary;
mod tables;
mod tokenize;
mod units;
mod walk;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;

use allocators::Contender;
use compare::Job;
use query::Query;
use report::Report;

/// Arguments of `blockyard index`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory to index [default: the sources of the crates cargo has downloaded].
    dir: Option<PathBuf>,

    /// Words to look for; of several in one query a file must have all. Repeatable.
    #[arg(short, long = "query", value_name = "WORDS")]
    queries: Vec<Query>,

    /// How many threads build the index, and how many others drop half of it [default: one per CPU].
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// How often to run each allocator in the comparison; medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Do not run the same job on other allocators.
    #[arg(long)]
    no_compare: bool,

    /// Draw the heap's chunks as an SVG picture, by how full they are and whose.
    #[arg(long, value_name = "FILE.svg")]
    map: Option<PathBuf>,

    /// Print one JSON document instead of tables.
    #[arg(long)]
    json: bool,

    /// Run the job once on this allocator and print what it took as JSON: how the comparison starts itself.
    #[arg(long, hide = true)]
    contender: Option<Contender>,
}

/// Runs `blockyard index`.
///
/// # Errors
///
/// When the directory cannot be indexed at all. Files that cannot be are counted in the report.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let job = Job {
        root: match args.dir {
            Some(dir) => dir,
            None => walk::default_root()?,
        },
        threads: match args.threads {
            Some(threads) => threads.into(),
            None => available_parallelism().map_or(1, usize::from),
        },
        queries: if args.queries.is_empty() { Query::defaults() } else { args.queries },
    };
    if let Some(contender) = args.contender {
        let run = compare::run_contender(contender, &job)?;
        print(&serde_json::to_string(&run)?)?;
        return Ok(ExitCode::SUCCESS);
    }

    // First, so that a file that cannot be written does not cost the minutes of a large job.
    let map = args.map.as_deref().map(map::create).transpose()?;
    let mut report = Report::make(&job, map.is_some())?;
    if let Some(map) = map {
        map.write(&report)?;
    }
    if !args.json {
        print(&tables::index(&report))?;
    }
    let mut failed = false;
    if !args.no_compare {
        // Building the report has warmed the file cache, so the first contender does not pay for that.
        let rounds = usize::from(args.rounds);
        let progress = progress::comparing((rounds * Contender::ALL.len()) as u64);
        let comparison = compare::compare(&job, rounds, &progress);
        progress.finish_and_clear();
        failed = !comparison.failures.is_empty();
        if !args.json {
            print(&tables::comparison(&comparison, job.threads))?;
        }
        report.comparison = Some(comparison);
    }
    if args.json {
        print(&serde_json::to_string_pretty(&report)?)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Writes `text` to standard output. That nobody reads on, as in `blockyard index | head`, is no error.
fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
