//! The end of the output: every row on a line, and where everybody stands.

use comfy_table::{Attribute, Cell};

use super::cells::{ns, ratio};
use super::{Verdict, name_cell, number, table, verdict, verdict_colour};
use crate::bench::contender::Role;
use crate::bench::json::{self, Document, Row};
use crate::bench::stats::geometric_mean;
use crate::bench::suite::Contest;

/// The table of all rows, and the standings.
pub(crate) fn summary(document: &Document) -> String {
    let mut text = String::new();
    if !document.rows.is_empty() {
        for contest in [Contest::Allocators, Contest::Installed, Contest::Arenas, Contest::Layers] {
            let rows: Vec<_> = document.rows.iter().filter(|row| row.contest == contest).collect();
            if contest == Contest::Layers {
                // They are behind what they are over, all of them, and the family's table is all rows.
                text += &standings(&rows);
                continue;
            }
            let ours = names(&rows, Role::Ours);
            if !ours.is_empty() {
                let title = match contest {
                    Contest::Allocators => "All rows",
                    Contest::Installed => "All rows behind #[global_allocator], a process for each",
                    Contest::Arenas | Contest::Layers => "All rows of arenas",
                };
                text += &format!("\n{title}\n{}\n", all_rows(&rows, &ours));
            }
            text += &standings(&rows);
            for name in ours {
                text += &rows_behind(&rows, name);
            }
        }
    }
    text += &page_faults(document);
    text += &failures(document);
    text += &format!("\n{:.0} s in all\n", document.seconds);
    text
}

/// Names of a role, in the order of the tables.
fn names(rows: &[&Row], role: Role) -> Vec<&'static str> {
    let mut names = Vec::new();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if cell.role == role && !names.contains(&cell.allocator) {
            names.push(cell.allocator);
        }
    }
    names
}

fn all_rows(rows: &[&Row], ours: &[&str]) -> comfy_table::Table {
    let mut table = table();
    let mut header = vec![Cell::new("row"), Cell::new("best peer")];
    header.extend(ours.iter().map(|name| name_cell(name, Role::Ours)));
    header.push(name_cell("limit", Role::Limit));
    table.set_header(header);
    for row in rows {
        let best = row.best_peer();
        let mut cells = vec![
            Cell::new(row.workload),
            number(best.map_or_else(
                || "-".to_owned(),
                |best| format!("{} {:>6}", best.allocator, ns(best.median())),
            )),
        ];
        cells.extend(ours.iter().map(|name| standing_cell(row, name)));
        let limit = row.cells.iter().find(|cell| cell.role == Role::Limit);
        cells.push(number(limit.map_or_else(|| "-".to_owned(), |limit| ns(limit.median()))));
        table.add_row(cells);
    }
    table
}

/// Median, ratio to the best peer, and ratio to the limit where there is one.
fn standing_cell(row: &Row, name: &str) -> Cell {
    let Some(cell) = row.cell(name) else {
        return number("-");
    };
    let to_best = cell.to_best_peer.map_or_else(String::new, ratio);
    let to_limit = cell.to_limit.map_or_else(String::new, |value| format!("{} limit", ratio(value)));
    let text = number(format!("{:>6} {to_best:>6} {to_limit:>11}", ns(cell.median())));
    match verdict(row, name) {
        Some(verdict) => text.fg(verdict_colour(verdict)),
        None => text,
    }
}

/// The rows on which anybody meets one or more per 1,000 operations: memory that is fetched, or given away and fetched
/// again.
fn page_faults(document: &Document) -> String {
    let mut text = String::new();
    for contest in [Contest::Allocators, Contest::Installed, Contest::Arenas] {
        let of_contest = document.rows.iter().filter(|row| row.contest == contest);
        let rows: Vec<_> = of_contest
            .filter(|row| row.cells.iter().any(|cell| cell.page_faults_per_thousand >= 1.0))
            .collect();
        let mut everybody = names(&rows, Role::Ours);
        everybody.extend(names(&rows, Role::Peer));
        if rows.is_empty() {
            continue;
        }
        let mut table = table();
        table.set_header(
            std::iter::once(Cell::new("row")).chain(everybody.iter().map(Cell::new)).collect::<Vec<_>>(),
        );
        for row in rows {
            let cells = everybody.iter().map(|name| {
                let cell = row.cell(name);
                number(cell.map_or_else(|| "-".to_owned(), |cell| faults(cell.page_faults_per_thousand)))
            });
            table.add_row(std::iter::once(Cell::new(row.workload)).chain(cells));
        }
        let place = if contest == Contest::Installed { ", behind #[global_allocator]" } else { "" };
        text += &format!(
            "\nPage faults per 1,000 operations{place}, setting up included, where anybody has one or more\n{table}\n"
        );
    }
    text
}

fn faults(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Everybody against the best other peer of each row.
fn standings(rows: &[&Row]) -> String {
    let mut table = table();
    table.set_header(vec![
        "against the best other peer",
        "geometric mean",
        "rows",
        "ahead",
        "tied",
        "behind",
    ]);
    for (name, role, mean) in geometric_means(rows) {
        let duels: Vec<_> =
            rows.iter().filter_map(|row| Some((row.cell(name)?, best_other(row, name)?))).collect();
        let verdicts = |wanted| {
            let found = duels
                .iter()
                .filter(|(own, best)| Verdict::of(&own.ns_per_operation, &best.ns_per_operation) == wanted);
            number(found.count())
        };
        table.add_row(vec![
            name_cell(name, role),
            number(ratio(mean)).add_attribute(Attribute::Bold),
            number(duels.len()),
            verdicts(Verdict::Ahead),
            verdicts(Verdict::Tied),
            verdicts(Verdict::Behind),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    format!("\n{table}\n")
}

/// Everybody's time against the best other peer, over all rows; in the order of the tables.
pub(crate) fn geometric_means(rows: &[&Row]) -> Vec<(&'static str, Role, f64)> {
    let mut means = Vec::new();
    for role in [Role::Ours, Role::Peer] {
        for name in names(rows, role) {
            let ratios = rows
                .iter()
                .filter_map(|row| Some(row.cell(name)?.median() / best_other(row, name)?.median()));
            means.extend(geometric_mean(ratios).map(|mean| (name, role, mean)));
        }
    }
    means
}

/// The fastest peer of a row that is not `name`.
fn best_other<'a>(row: &'a Row, name: &str) -> Option<&'a json::Cell> {
    row.cells
        .iter()
        .filter(|cell| cell.role == Role::Peer && cell.allocator != name)
        .min_by(|left, right| left.median().total_cmp(&right.median()))
}

/// The rows on which `name` is behind, the worst first.
fn rows_behind(rows: &[&Row], name: &str) -> String {
    let mut behind: Vec<_> = rows
        .iter()
        .filter(|row| verdict(row, name) == Some(Verdict::Behind))
        .filter_map(|row| Some((row.workload, row.cell(name)?.to_best_peer?)))
        .collect();
    if behind.is_empty() {
        return String::new();
    }
    behind.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    let list: Vec<_> =
        behind.iter().map(|(workload, value)| format!("{workload} {}", ratio(*value))).collect();
    format!("{name} is behind on: {}\n", list.join(", "))
}

/// Child processes that failed.
fn failures(document: &Document) -> String {
    let mut text = String::new();
    for row in &document.memory {
        for cell in &row.cells {
            if let Some(failure) = &cell.failure {
                text += &format!("no memory figure for {} on {}: {failure}\n", cell.allocator, row.workload);
            }
        }
    }
    for program in &document.programs {
        for cell in &program.cells {
            if let Some(failure) = &cell.failure {
                text += &format!("no figure for {} on {}: {failure}\n", cell.allocator, program.program);
            }
        }
    }
    for row in &document.latency {
        for cell in &row.cells {
            if let Some(failure) = &cell.failure {
                text += &format!("no latency of {} on {}: {failure}\n", cell.allocator, row.workload);
            }
        }
    }
    for contender in &document.crowd {
        if let Some(failure) = &contender.failure {
            text += &format!("no heaps and births of {}: {failure}\n", contender.allocator);
        }
    }
    text
}
