//! Tables of real programs.

use comfy_table::{Attribute, Cell};

use super::cells::{bytes, ratio};
use super::{Verdict, heading_cell, name_cell, number, table, verdict_colour};
use crate::bench::contender::Role;
use crate::bench::installed::programs::{Figures, Measured};
use crate::bench::stats::Summary;

/// Two tables side by side in one: time and memory.
pub(crate) fn programs(rows: &[Measured]) -> String {
    let mut text = String::from(
        "\nReal programs, each behind #[global_allocator] in a process of its own; medians, and the ratio to the best peer\n",
    );
    for row in rows {
        text += &format!("{}: {}\n", row.program.name, row.program.about);
    }
    for row in rows {
        let mut table = table();
        table.set_header(
            [row.program.name, "wall ms", "processor ms", "peak", "page faults"].map(heading_cell).to_vec(),
        );
        for cell in &row.cells {
            let name = name_cell(cell.profile.name, cell.profile.role);
            let Ok(figures) = &cell.result else {
                table.add_row(vec![name, number("failed")]);
                continue;
            };
            let role = cell.profile.role;
            table.add_row(vec![
                name,
                figure_cell(row, figures, role, |figures| &figures.wall, |value| format!("{value:.1}")),
                figure_cell(row, figures, role, |figures| &figures.processor, |value| format!("{value:.1}")),
                figure_cell(row, figures, role, |figures| &figures.peak, |value| bytes(value as u64)),
                number(format!("{:.0}", figures.page_faults.median)),
            ]);
        }
        text += &format!("\n{table}\n");
    }
    text
}

fn figure_cell(
    row: &Measured,
    own: &Figures,
    role: Role,
    figure: fn(&Figures) -> &Summary,
    show: impl Fn(f64) -> String,
) -> Cell {
    let own = figure(own);
    let peers = row.cells.iter().filter(|cell| cell.profile.role == Role::Peer);
    let best = peers
        .filter_map(|cell| cell.result.as_ref().ok().map(figure))
        .min_by(|left, right| left.median.total_cmp(&right.median));
    let Some(best) = best else {
        return number(show(own.median));
    };
    let cell = number(format!("{:>10} {:>6}", show(own.median), ratio(own.median / best.median)));
    match role {
        Role::Ours => cell.fg(verdict_colour(Verdict::of(own, best))),
        _ if std::ptr::eq(own, best) => cell.add_attribute(Attribute::Bold),
        _ => cell,
    }
}
