//! Tables of resident memory.

use comfy_table::{Cell, Table};

use super::cells::bytes;
use super::{heading_cell, name_cell, number, table};
use crate::bench::contender::Role;
use crate::bench::memory::{Figures, Measured};

/// Four tables: at the peak, at the end, growth, and what was given back at which price.
pub(crate) fn memory(rows: &[Measured]) -> String {
    let mut text =
        String::from("\nResident memory, in a process of its own, less what the process had before\n");
    for row in rows {
        let figures = row.cells.iter().find_map(|cell| cell.result.as_ref().ok());
        if let Some(figures) = figures {
            let live = bytes(figures.collected.peak_live);
            text += &format!("{}: about {live} live at the peak\n", row.workload);
        }
    }
    let peak = build(rows, |_, figures| {
        format!("{:.2}", figures.collected.peak_ratio().min(figures.settled.peak_ratio()))
    });
    text += &format!(
        "\nAt the peak, per byte live at the peak (the lower of two medians of three runs)\n{peak}\n"
    );
    let end = build(rows, |collects, figures| {
        let (collected, settled) = (&figures.collected, &figures.settled);
        let at_once = collected.per_live(collected.end);
        let after_wait = settled.per_live(settled.later);
        let after_collect =
            if collects { format!("{:.2}", collected.per_live(collected.later)) } else { "-".to_owned() };
        format!("{at_once:>5.2} {after_collect:>5} {after_wait:>5.2}")
    });
    text += &format!(
        "\nWhen all is freed and all threads have ended, per byte live at the peak:\n\
         at once, after a collection (- where the allocator has none), after 2 s of little work\n{end}\n"
    );
    let growth =
        build(rows, |_, figures| format!("{:.2}", figures.collected.growth().min(figures.settled.growth())));
    text += &format!(
        "\nGrowth: the peak per live byte, by that of the first quarter of the run; 1.00 is flat\n{growth}\n"
    );
    let back = build(rows, |_, figures| {
        let settled = &figures.settled;
        format!("{} {:>6.1}", bytes(settled.released()), settled.faults_per_thousand())
    });
    text += &format!(
        "\nGiven back to the system two seconds after all was freed, and page faults per 1,000 operations while it ran\n{back}\n"
    );
    text
}

fn build(rows: &[Measured], show: impl Fn(bool, &Figures) -> String) -> Table {
    let mut table = table();
    let header = rows.iter().map(|row| heading_cell(row.workload));
    table.set_header(std::iter::once(Cell::new("")).chain(header).collect::<Vec<_>>());
    let Some(first) = rows.first() else {
        return table;
    };
    for (index, contender) in first.cells.iter().enumerate() {
        let profile = contender.profile;
        let cells = rows.iter().map(|row| {
            let cell = &row.cells[index];
            match &cell.result {
                Ok(figures) => number(show(profile.collects, figures)),
                Err(_) => number("failed"),
            }
        });
        debug_assert!(profile.role != Role::Limit);
        table.add_row(std::iter::once(name_cell(profile.name, profile.role)).chain(cells));
    }
    table
}
