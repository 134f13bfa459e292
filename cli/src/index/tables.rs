//! The report as text, for people.

use std::cmp::Reverse;
use std::fmt::Write;

use blockyard::HeapStats;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::compare::Comparison;
use super::query::{Answer, FileHit};
use super::read::Skipped;
use super::report::Report;
use super::units::{bytes, count, counted, counted_as, duration, mib, millis, printable};

/// How many size classes are shown, those with most bytes in live blocks: some 80 are in use.
const CLASSES_SHOWN: usize = 12;

/// The widest a line of a file is shown, in characters.
const LINE_WIDTH: usize = 90;

/// The widest a path is shown, in characters: long enough that hardly any is cut.
const PATH_WIDTH: usize = 200;

/// Everything about the index itself.
pub(super) fn index(report: &Report) -> String {
    let mut text = format!("Index of {}\n\n", printable(&report.root, PATH_WIDTH));
    let (tally, summary) = (&report.tally, &report.summary);
    let mut figures = Columns::new([Side::Left, Side::Right, Side::Left]);
    figures.row(["files".into(), count(tally.files), format!("indexed: {} of text", bytes(tally.bytes))]);
    figures.row(["skipped".into(), count(tally.skipped.total()), skipped(&tally.skipped)]);
    figures.row([
        "tokens".into(),
        count(summary.tokens),
        "different ones: runs of letters, digits and _, 2 to 64 bytes long".into(),
    ]);
    figures.row(["postings".into(), count(summary.postings), "pairs of a token and a file it is in".into()]);
    figures.row([
        "positions".into(),
        count(summary.positions),
        "occurrences of tokens, each kept as a byte offset".into(),
    ]);
    text += &figures.to_string();

    if !summary.common.is_empty() {
        text += "\nMost common tokens\n\n";
        let mut common = Columns::new([Side::Left, Side::Right, Side::Right]);
        common.head(["token", "times", "files"]);
        for token in &summary.common {
            common.row([token.token.clone(), count(token.occurrences), count(token.files)]);
        }
        text += &common.to_string();
    }

    text += "\nQueries (files in which the words occur most often, with the line each word is first in)\n";
    for answer in &report.queries {
        text += &query(answer);
    }
    text += &phases(report);
    text += "\nThe heap now, with half of the index dropped by other threads\n\n";
    text += &heap(&report.stats);
    text
}

/// Why files were skipped: only the reasons there were.
fn skipped(skipped: &Skipped) -> String {
    let reasons = [
        (skipped.binary, "binary (a NUL byte in the head)"),
        (skipped.not_utf8, "not UTF-8"),
        (skipped.unreadable, "unreadable"),
        (skipped.too_large, "larger than 256 MiB"),
        (skipped.not_regular, "links or other special files"),
    ];
    let present = reasons.iter().filter(|(files, _)| *files > 0);
    let present = present.map(|(files, reason)| format!("{} {reason}", count(*files)));
    let reasons = present.collect::<Vec<_>>().join(", ");
    if reasons.is_empty() { "files".to_owned() } else { reasons }
}

fn query(answer: &Answer) -> String {
    let mut text = format!("\n  {}: ", answer.words.join(" AND "));
    if answer.files == 0 {
        return text + "in no file\n";
    }
    let _ = writeln!(
        text,
        "{} in {}",
        counted(answer.occurrences, "time"),
        counted(answer.files as u64, "file"),
    );
    for hit in &answer.best {
        let _ = writeln!(text, "    {} x  {}", count(hit.occurrences), place(answer, hit));
        if let Some(line) = hit.places.first().and_then(|place| place.text.as_deref()) {
            let _ = writeln!(text, "      | {}", printable(line, LINE_WIDTH));
        }
    }
    text
}

/// A file and the line of each word, the first as editors take it: `src/lib.rs:12 (unsafe), 40 (alloc)`.
fn place(answer: &Answer, hit: &FileHit) -> String {
    let one_word = answer.words.len() == 1;
    let lines = answer.words.iter().zip(&hit.places).map(|(word, place)| {
        let line = match place.line {
            Some(line) => line.to_string(),
            None => format!("byte {}", place.position),
        };
        if one_word { line } else { format!("{line} ({word})") }
    });
    let lines = lines.collect::<Vec<_>>().join(", ");
    format!("{}:{lines}", printable(&hit.path, PATH_WIDTH))
}

/// What the threads did, and how long it took.
fn phases(report: &Report) -> String {
    let (seconds, threads) = (&report.seconds, report.threads);
    let builders = counted(threads as u64, "thread");
    let others = counted(threads as u64, "other thread");
    let rate = bytes((report.tally.bytes as f64 / seconds.build.max(1e-9)) as u64);
    let mut table = Columns::new([Side::Left, Side::Right, Side::Left]);
    for (phase, time, what) in [
        ("build", seconds.build, format!("{builders} read {rate}/s, each into an index of its own")),
        (
            "merge",
            seconds.merge,
            "smaller into larger: what it frees goes back to the thread that allocated it".into(),
        ),
        ("query", seconds.query, format!("{} answered from the index", count(report.queries.len() as u64))),
        ("drop half", seconds.drop_half, format!("{others} freed every second shard, block by block")),
        ("drop heap", seconds.drop_heap, "the other half at once, with the heap".into()),
    ] {
        table.row([phase.into(), duration(time), what]);
    }
    format!("\nThis run, on one blockyard heap\n\n{table}")
}

/// The heap's statistics: every thread, and the classes that hold most.
fn heap(stats: &HeapStats) -> String {
    let mut shown = stats.clone();
    shown.classes.sort_by_key(|class| Reverse(class.in_blocks));
    shown.classes.truncate(CLASSES_SHOWN);
    shown.classes.sort_by_key(|class| class.kind);
    let more = stats.classes.len() - shown.classes.len();
    let mut text = shown.to_string();
    if more > 0 {
        let _ = writeln!(
            text,
            "  ({} that hold less: --json has them all)",
            counted_as(more as u64, "class", "classes")
        );
    }
    text + "\n  \
        allocated: blocks that this thread took. freed: those of them that any thread has freed.\n  \
        live: the rest. returned: blocks of other threads that this one freed and sent home.\n  \
        received: blocks that others freed and that came home. queued: those still on their way;\n  \
        their owner takes them when it next needs memory, and collect() at once.\n"
}

/// The same job on every allocator, side by side.
pub(super) fn comparison(comparison: &Comparison, threads: usize) -> String {
    let mut text = format!(
        "\nThe same job on other allocators: {}, warm file cache, a fresh process for every run,\nmedians of {}\n",
        counted(threads as u64, "thread"),
        match comparison.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} interleaved rounds"),
        }
    );
    if !comparison.standings.is_empty() {
        let _ = write!(text, "\n{}\n{}", times(comparison), resident(comparison));
    }
    if !comparison.same_index {
        text += "\nThe runs have not all built the same index: files have changed meanwhile.\n";
    }
    if cfg!(not(feature = "peer-mimalloc")) {
        text += "\nmimalloc is left out: this program was built without it.\n";
    }
    if !comparison.failures.is_empty() {
        text += "\nThese runs failed and are left out\n\n";
    }
    for failure in &comparison.failures {
        let _ = writeln!(text, "  {}", printable(failure, 500));
    }
    text
}

fn times(comparison: &Comparison) -> String {
    let mut table = Columns::new([Side::Left].into_iter().chain([Side::Right; 8]));
    table.head([
        "time in ms",
        "build",
        "merge",
        "query",
        "drop half",
        "drop rest",
        "total",
        "range",
        "ratio",
    ]);
    for standing in &comparison.standings {
        let phases = &standing.phases;
        table.row([
            standing.label.clone(),
            millis(phases.build),
            millis(phases.merge),
            millis(phases.query),
            millis(phases.drop_half),
            millis(phases.drop_rest),
            millis(standing.total),
            format!("{:.0}-{:.0}", standing.range.0 * 1e3, standing.range.1 * 1e3),
            standing.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
        ]);
    }
    format!(
        "{table}\n  drop rest: the other half, block by block, on the main thread. range: quickest and slowest\n  \
         round. ratio: total by that of blockyard, so above 1.00x is slower than blockyard.\n"
    )
}

fn resident(comparison: &Comparison) -> String {
    let mut table = Columns::new([Side::Left].into_iter().chain([Side::Right; 6]));
    table.head([
        "resident memory in MiB",
        "start",
        "peak",
        "half dropped",
        "all dropped",
        "collected",
        "peak ratio",
    ]);
    let ours = comparison.standings.first().and_then(|first| first.memory);
    let mut any = false;
    for standing in &comparison.standings {
        let Some(memory) = standing.memory else {
            continue;
        };
        any = true;
        let ratio = ours.filter(|_| standing.ratio.is_some()).map(|ours| {
            let ratio = memory.peak as f64 / ours.peak as f64;
            format!("{ratio:.2}x")
        });
        table.row([
            standing.label.clone(),
            mib(memory.start),
            mib(memory.peak),
            mib(memory.half),
            mib(memory.end),
            memory.collected.map_or_else(|| "-".to_owned(), mib),
            ratio.unwrap_or_default(),
        ]);
    }
    if !any {
        return "  resident memory is not known on this system\n".to_owned();
    }
    format!(
        "{table}\n  start: before the job. all dropped: right after the last block was freed, all threads alive.\n  \
         collected: after each thread has asked twice for unused memory to be given back (Heap::collect,\n  \
         mi_collect, malloc_trim). &Heap is a pointer, which every container of the index stores in\n  \
         8 bytes; the handles of the others take no room, so compare their peaks with that of Global.\n"
    )
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// Aligned columns without lines between them.
struct Columns {
    table: Table,
    sides: Vec<Side>,
}

impl Columns {
    fn new(sides: impl IntoIterator<Item = Side>) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let sides = sides.into_iter().collect();
        Self { table, sides }
    }

    fn cells(&self, texts: impl IntoIterator<Item = String>) -> Vec<Cell> {
        let cells = texts.into_iter().zip(&self.sides);
        cells
            .map(|(text, side)| {
                Cell::new(text).set_alignment(match side {
                    Side::Left => CellAlignment::Left,
                    Side::Right => CellAlignment::Right,
                })
            })
            .collect()
    }

    fn head<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        let cells = self.cells(texts.into_iter().map(str::to_owned));
        self.table.set_header(cells);
    }

    fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        let cells = self.cells(texts);
        self.table.add_row(cells);
    }
}

/// One line per row, indented by two, without the spaces that fill up the last column.
impl std::fmt::Display for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in self.table.lines() {
            writeln!(f, " {}", line.trim_end())?;
        }
        Ok(())
    }
}
