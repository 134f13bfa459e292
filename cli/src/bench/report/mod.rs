//! Tables for people.

pub(crate) mod cells;
mod crowd;
mod latency;
mod memory;
mod programs;
mod scale;
mod summary;

use std::io::{IsTerminal, stdout};

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};

pub(crate) use self::crowd::{busy, crowd};
pub(crate) use self::latency::latency;
pub(crate) use self::memory::memory;
pub(crate) use self::programs::programs;
pub(crate) use self::scale::scale;
pub(crate) use self::summary::{geometric_means, summary};

use self::cells::{ns, ratio, spread};
use super::contender::Role;
use super::json::{Document, Row};
use super::select::count;
use super::suite::{Contest, Measured, MeasuredCell};

/// Columns of a table where standard output is no terminal.
const WIDTH: usize = 160;

/// What was run where: the top of the output.
pub(crate) fn heading(document: &Document) -> String {
    let machine = &document.machine;
    let mut text = format!(
        "blockyard {} ({}) · {} · {} · {:.0} GiB · Linux {}\n",
        document.blockyard,
        document.commit.as_deref().unwrap_or("commit unknown"),
        machine.cpu,
        count(machine.cores, "core"),
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
    );
    text += &format!(
        "{} · {} per row, rotated among all allocators{} · load {:.1} · first touch of a page {:.0} ns\n",
        count(document.threads, "thread"),
        count(document.rounds, "round"),
        if document.quick { ", quick" } else { "" },
        machine.load,
        machine.first_touch_ns,
    );
    text += "ns per operation: processor time where there is one thread, else wall time over the operations of all threads.\n\
             Each cell: median of the rounds, their middle half, ratio to the best peer (below 1.00x is ahead of them all).\n";
    if machine.load > 0.5 * machine.cores as f64 {
        text +=
            "The machine is busy, or was just now: expect noise, above all on rows with several threads.\n";
    }
    if !document.left_out.is_empty() {
        text += &format!("Left out of this build: {}\n", document.left_out.join(", "));
    }
    text
}

/// One family of rows, with the contenders down the side.
pub(crate) fn family(rows: &[Measured]) -> String {
    let mut text = String::from("\n");
    let alike = |left: &Measured, right: &Measured| left.spec.about == right.spec.about;
    for rows in rows.chunk_by(alike) {
        if rows[0].contest == Contest::Installed {
            text += "Behind #[global_allocator]: ";
        }
        text += &family_heading(rows);
    }
    // As many rows side by side as fit.
    const COLUMN: usize = 28;
    let columns = (terminal_width().saturating_sub(15) / COLUMN).max(1);
    for part in rows.chunks(columns) {
        text += &family_table(part).to_string();
        text.push('\n');
    }
    text += &rows.iter().filter_map(page_faults).collect::<String>();
    text
}

/// A line for a row that counts them.
fn page_faults(row: &Measured) -> Option<String> {
    let counts: Vec<_> =
        row.cells.iter().filter_map(|cell| Some(format!("{} {}", cell.profile.name, cell.faults?))).collect();
    (!counts.is_empty())
        .then(|| format!("{}: page faults of one repetition: {}\n", row.spec.name, counts.join(", ")))
}

/// What rows that differ in size or number of threads only have in common.
fn family_heading(rows: &[Measured]) -> String {
    let names: Vec<_> = rows.iter().map(|row| row.spec.name).collect();
    let mut threads: Vec<_> = rows.iter().map(|row| row.spec.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let threads = match threads[..] {
        [one] => count(one, "thread"),
        [one, many] => format!("{one} and {}", count(many, "thread")),
        ref many => format!("{many:?} threads"),
    };
    let spec = &rows[0].spec;
    format!("{}: {} ({}; {threads})\n", names.join(", "), spec.about, spec.op)
}

fn family_table(rows: &[Measured]) -> Table {
    let mut table = table();
    table.set_header(
        std::iter::once(Cell::new(""))
            .chain(rows.iter().map(|row| heading_cell(row.spec.name)))
            .collect::<Vec<_>>(),
    );
    let mut names: Vec<_> = Vec::new();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if !names.contains(&(cell.profile.name, cell.profile.role)) {
            names.push((cell.profile.name, cell.profile.role));
        }
    }
    // A row may lack a contender that another row has; the order of the tables is by role.
    names.sort_by_key(|&(_, role)| role as u8);
    for (name, role) in names {
        let cells = rows.iter().map(|row| {
            let cell = row.cells.iter().find(|cell| cell.profile.name == name);
            cell.map_or_else(|| number("-"), |cell| time_cell(row, cell))
        });
        table.add_row(std::iter::once(name_cell(name, role)).chain(cells));
    }
    table
}

fn time_cell(row: &Measured, cell: &MeasuredCell) -> Cell {
    let best = best_peer(row);
    let to_best = best.map(|best| cell.summary.median / best.summary.median);
    let text = format!(
        "{:>6} {:>11} {:>6}",
        ns(cell.summary.median),
        spread(&cell.summary),
        to_best.map_or_else(String::new, ratio)
    );
    let text = number(text);
    match best {
        Some(best) if best.profile.name == cell.profile.name => text.add_attribute(Attribute::Bold),
        Some(best) if cell.profile.role == Role::Ours => {
            text.fg(verdict_colour(Verdict::of(&cell.summary, &best.summary)))
        }
        _ => text,
    }
}

fn best_peer(row: &Measured) -> Option<&MeasuredCell> {
    row.cells
        .iter()
        .filter(|cell| cell.profile.role == Role::Peer)
        .min_by(|left, right| left.summary.median.total_cmp(&right.summary.median))
}

/// How one of ours stands to the best peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ahead,
    Tied,
    Behind,
}

impl Verdict {
    fn of(ours: &super::stats::Summary, best: &super::stats::Summary) -> Self {
        if ours.ties_with(best) {
            Self::Tied
        } else if ours.median < best.median {
            Self::Ahead
        } else {
            Self::Behind
        }
    }
}

fn verdict_colour(verdict: Verdict) -> Color {
    match verdict {
        Verdict::Ahead => Color::Green,
        Verdict::Tied => Color::Reset,
        Verdict::Behind => Color::Red,
    }
}

/// Ours against the best peer, of one row of the document.
fn verdict(row: &Row, allocator: &str) -> Option<Verdict> {
    let ours = row.cell(allocator)?;
    let best = row.best_peer()?;
    Some(Verdict::of(&ours.ns_per_operation, &best.ns_per_operation))
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    if !stdout().is_terminal() {
        table.force_no_tty();
    }
    table
}

fn terminal_width() -> usize {
    Table::new().width().filter(|_| stdout().is_terminal()).map_or(WIDTH, usize::from)
}

fn heading_cell(name: &str) -> Cell {
    Cell::new(name).add_attribute(Attribute::Bold).set_alignment(CellAlignment::Center)
}

fn name_cell(name: &str, role: Role) -> Cell {
    let cell = Cell::new(name);
    match role {
        Role::Ours => cell.add_attribute(Attribute::Bold),
        Role::Peer => cell,
        Role::Limit => cell.add_attribute(Attribute::Dim),
    }
}

fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
