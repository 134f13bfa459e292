//! Tables of single calls.

use comfy_table::{Attribute, Cell};

use super::cells::{ns, time};
use super::{Verdict, heading_cell, name_cell, number, table, verdict_colour};
use crate::bench::contender::Role;
use crate::bench::latency::{Figures, Measured};
use crate::bench::stats::Summary;

/// One of the figures.
type Figure = fn(&Figures) -> &Summary;

/// The columns: what of which calls.
const COLUMNS: [(&str, Figure); 8] = [
    ("alloc 99.9 %", |figures| &figures.alloc.p999),
    ("worst", |figures| &figures.alloc.worst),
    ("undisturbed", |figures| &figures.alloc.worst_undisturbed),
    ("free 99.9 %", |figures| &figures.free.p999),
    ("worst", |figures| &figures.free.worst),
    ("undisturbed", |figures| &figures.free.worst_undisturbed),
    ("thread's first", |figures| &figures.birth.worst),
    ("undisturbed", |figures| &figures.birth.worst_undisturbed),
];

/// One table per workload.
pub(crate) fn latency(rows: &[Measured]) -> String {
    let mut text = String::from(
        "\nLatency: single calls, every one timed, in a process of its own; medians of all runs.\n\
         99.9 % of the calls were at most this long; the worst of a run; and the worst that surely kept its core.\n",
    );
    for row in rows {
        let timers = row.cells.iter().filter_map(|cell| Some(cell.result.as_ref().ok()?.timer.median));
        let timer = timers.fold(0.0, f64::max);
        text += &format!("\n{}: {} (timer: {} ns, taken off)\n", row.row.name, row.row.about, ns(timer));
        let mut table = table();
        let header = COLUMNS.iter().map(|(title, _)| heading_cell(title));
        let header = std::iter::once(Cell::new("")).chain(header);
        table.set_header(header.chain(["faults/1,000", "lost cores"].map(heading_cell)).collect::<Vec<_>>());
        for cell in &row.cells {
            let mut cells = vec![name_cell(cell.profile.name, cell.profile.role)];
            match &cell.result {
                Err(_) => cells.push(number("failed")),
                Ok(figures) => {
                    cells.extend(
                        COLUMNS
                            .iter()
                            .map(|&(_, figure)| figure_cell(row, cell.profile.role, figures, figure)),
                    );
                    cells.push(number(format!("{:.1}", figures.page_faults_per_thousand.median)));
                    cells.push(number(format!("{:.0}", figures.preemptions.median)));
                }
            }
            table.add_row(cells);
        }
        text += &format!("{table}\n");
    }
    text
}

fn figure_cell(row: &Measured, role: Role, own: &Figures, figure: Figure) -> Cell {
    let own = figure(own);
    let peers = row.cells.iter().filter(|cell| cell.profile.role == Role::Peer);
    let best = peers
        .filter_map(|cell| cell.result.as_ref().ok().map(figure))
        .min_by(|left, right| left.median.total_cmp(&right.median));
    let text = number(time(own.median));
    match best {
        Some(best) if role == Role::Ours => text.fg(verdict_colour(Verdict::of(own, best))),
        Some(best) if std::ptr::eq(own, best) => text.add_attribute(Attribute::Bold),
        _ => text,
    }
}
