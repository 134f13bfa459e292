//! `blockyard bench`: the contention suite.
//!
//! `contender` says who takes part, `workload` what they are put through, `suite` in which order and how
//! often; `arena` and `layers` are contests of their own, and `installed` is the suite behind `#[global_allocator]`.
//! `memory`, `latency`, `scale`, `busy` and `crowd` ask the questions that a time per operation does not answer.
//! `report` is for people, `json` for programs, `page` for people with a browser.

mod arena;
mod busy;
mod child;
mod contender;
mod crowd;
pub mod installed;
mod json;
mod latency;
mod layers;
mod machine;
mod memory;
mod page;
mod report;
mod scale;
mod select;
mod stats;
mod suite;
mod workload;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use self::contender::{Field, left_out};
use self::installed::{Built, ProgramSize};
use self::json::Document;
use self::machine::Machine;
use self::select::Selection;
use self::suite::Effort;

/// Arguments of `blockyard bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Threads of the rows that use several (default: as many as there are cores, at least 2)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1024))]
    threads: Option<u16>,

    /// Run only this workload or group of workloads; may be repeated (see --list). Without it: the timed rows and their
    /// memory; installed, programs, latency, busy, crowd, scale, arena and layers run when named
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    workload: Vec<String>,

    /// Run only this allocator; may be repeated (see --list)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    allocator: Vec<String>,

    /// Rounds of every contender on every row (default: 11, or 5 with --quick)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,

    /// Short rounds: the timed rows and their memory in about a minute, with more noise
    #[arg(long)]
    quick: bool,

    /// Also write everything that was measured to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Also write the measurements as a page of charts to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Also write the summary charts as SVG files into FOLDER, as docs/charts has them
    #[arg(long, value_name = "FOLDER")]
    charts: Option<PathBuf>,

    /// Measure nothing: take what --json wrote earlier; of several files all that is in them, the later
    /// one where both have something
    #[arg(long, value_name = "FILE", conflicts_with_all = ["workload", "allocator", "rounds", "quick", "threads", "json"])]
    from: Vec<PathBuf>,

    /// List the workloads and allocators, and do nothing
    #[arg(long)]
    list: bool,

    /// Do one piece of work in this process and print it as JSON: how the suite starts itself.
    #[arg(long, hide = true, value_name = "TASK")]
    child: Option<child::Task>,
}

impl Args {
    fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from).max(2);
        self.threads.map_or_else(cores, usize::from)
    }

    fn effort(&self) -> Effort {
        let (rounds, milliseconds) = if self.quick { (5, 8) } else { (11, 50) };
        Effort { rounds: self.rounds.map_or(rounds, usize::from), round: Duration::from_millis(milliseconds) }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let threads = args.threads();
    if args.list {
        print!("{}", select::list(threads));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(task) = args.child {
        let order = child::Order {
            task,
            contender: args.allocator.first().map_or("", String::as_str),
            workload: args.workload.first().map(String::as_str),
            threads,
        };
        order.obey()?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.from.is_empty() {
        ensure!(args.html.is_some() || args.charts.is_some(), "--from needs --html or --charts");
        show(&args, &json::read(&args.from)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let selection = Selection::new(&args.workload, &args.allocator)?;
    // Opened first: better to fail now than after minutes of work.
    if let Some(path) = &args.html {
        File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let json = match &args.json {
        Some(path) => Some(File::create(path).with_context(|| format!("cannot write {}", path.display()))?),
        None => None,
    };
    let document = measure(&args, &selection, threads)?;
    print!("{}", report::summary(&document));
    if let Some(file) = json {
        serde_json::to_writer_pretty(file, &document).context("the JSON file was not written")?;
    }
    show(&args, &document)?;
    Ok(ExitCode::SUCCESS)
}

/// Draws the charts that are asked for.
fn show(args: &Args, document: &Document) -> anyhow::Result<()> {
    if let Some(path) = &args.html {
        fs::write(path, page::page(document)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(folder) = &args.charts {
        let written = page::write_charts(document, folder)?;
        println!("{} in {}", select::count(written, "chart"), folder.display());
    }
    Ok(())
}

/// Runs the selection and prints each table when it is complete.
fn measure(args: &Args, selection: &Selection, threads: usize) -> anyhow::Result<Document> {
    let clock = Instant::now();
    let effort = args.effort();
    let mut document = Document {
        schema: json::SCHEMA,
        blockyard: env!("CARGO_PKG_VERSION"),
        commit: machine::commit(),
        started: SystemTime::now(),
        command: std::env::args().collect(),
        quick: args.quick,
        threads,
        rounds: effort.rounds,
        machine: Machine::look(),
        left_out: left_out().into_iter().map(|(peer, _)| peer).collect(),
        rows: Vec::new(),
        memory: Vec::new(),
        scale: Vec::new(),
        busy: Vec::new(),
        crowd: Vec::new(),
        programs: Vec::new(),
        latency: Vec::new(),
        seconds: 0.0,
    };
    let built = programs(selection, threads)?;
    print!("{}", report::heading(&document));

    let memory_rows: Vec<_> = memory::ROWS.iter().map(|(row, _)| *row).filter(|_| selection.memory).collect();
    let measured_apart: Vec<_> = selection
        .contenders()
        .iter()
        .copied()
        .filter(|profile| profile.role != contender::Role::Limit)
        .collect();
    let field = Field::start(|profile| selection.invites(profile));
    let mut rows = suite::rows(threads, &field, |spec| selection.wants(spec));
    let invites = |profile: &contender::Profile| selection.invites(profile);
    if let Some(built) = &built {
        rows.extend(installed::rows(threads, built, |spec| selection.wants_installed(spec))?);
    }
    rows.extend(arena::rows(threads, invites, |spec| selection.wants_when_named(spec)));
    rows.extend(layers::rows(invites, |spec| selection.wants_when_named(spec)));

    let mut steps: u64 = rows.iter().map(|row| row.steps(effort)).sum();
    steps += (memory_rows.len() * measured_apart.len()) as u64;
    if selection.scale {
        steps += measured_apart.len() as u64 * scale::STEPS;
    }
    let programs = selection.programs();
    let program_rounds = args.rounds.map_or(if args.quick { 3 } else { 7 }, usize::from);
    if let Some(built) = &built {
        steps += (programs.len() * built.each().count() * program_rounds) as u64;
    }
    let latency_rows = selection.latency();
    let latency_runs = args.rounds.map_or(if args.quick { 3 } else { 7 }, usize::from);
    steps += (latency_rows.len() * measured_apart.len() * latency_runs) as u64;
    let busy = busy::workloads(&field, |name| selection.wants_busy(name));
    steps += busy.iter().map(|busy| busy.steps(effort)).sum::<u64>();
    if selection.crowd {
        steps += measured_apart.len() as u64 * crowd::STEPS;
    }
    let progress = bar(steps);

    let mut family = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(row) = rows.next() {
        family.push(row.measure(effort, &progress));
        let family_of = |row: &suite::Row| (row.contest, row.spec.group);
        if rows.peek().is_none_or(|next| family_of(next) != family_of(&row)) {
            progress.suspend(|| print!("{}", report::family(&family)));
            document.rows.extend(family.drain(..).map(json::Row::from));
        }
    }
    if let Some(built) = built.filter(|_| !programs.is_empty()) {
        let size = if args.quick { ProgramSize::Quick } else { ProgramSize::Full };
        let programs = installed::programs::run(&programs, &built, program_rounds, size, &progress);
        progress.suspend(|| print!("{}", report::programs(&programs)));
        document.programs.extend(programs.into_iter().map(json::Program::from));
    }
    if !latency_rows.is_empty() {
        let tables = latency::run(&latency_rows, &measured_apart, threads, latency_runs, &progress);
        progress.suspend(|| print!("{}", report::latency(&tables)));
        document.latency.extend(tables.into_iter().map(json::Latency::from));
    }
    if selection.scale {
        let curves = scale::run(&field, effort.rounds, &progress);
        progress.suspend(|| print!("{}", report::scale(&curves)));
        document.scale.extend(curves.into_iter().map(json::Curve::from));
    }
    for busy in busy {
        let curves = busy.measure(effort, &progress);
        progress.suspend(|| print!("{}", report::busy(&curves)));
        document.busy.extend(curves.into_iter().map(json::BusyCurve::from));
    }
    if selection.crowd {
        let contenders = crowd::run(&measured_apart, &progress);
        progress.suspend(|| print!("{}", report::crowd(&contenders)));
        document.crowd.extend(contenders.into_iter().map(json::Crowd::from));
    }
    if selection.memory {
        let tables = memory::run(&memory_rows, &measured_apart, threads, &progress);
        progress.suspend(|| print!("{}", report::memory(&tables)));
        document.memory.extend(tables.into_iter().map(json::Memory::from));
    }
    progress.finish_and_clear();
    document.seconds = clock.elapsed().as_secs_f64();
    Ok(document)
}

/// The programs behind `#[global_allocator]`, where the selection needs them.
fn programs(selection: &Selection, threads: usize) -> anyhow::Result<Option<Built>> {
    let wants_rows = workload::specs(threads).iter().any(|spec| selection.wants_installed(spec));
    if !wants_rows && selection.programs().is_empty() {
        return Ok(None);
    }
    let mut contenders = installed::contenders();
    contenders.retain(|profile| selection.invites(profile));
    ensure!(!contenders.is_empty(), "none of these allocators can be a program's #[global_allocator]");
    Built::new(&contenders).map(Some)
}

/// A progress bar on standard error; hidden where that is no terminal.
fn bar(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3}% {eta:>4} left · {msg:<28!}")
        .expect("a template of known keys");
    let bar = ProgressBar::new(steps).with_style(style);
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}
