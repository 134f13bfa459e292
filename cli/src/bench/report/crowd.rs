//! Tables of many threads at work, and of ten thousand heaps and births.

use super::cells::{bytes, ns, time};
use super::{heading_cell, name_cell, number, table};
use crate::bench::busy::{Curve, THREADS};
use crate::bench::contender::Role;
use crate::bench::crowd::Measured;

/// One workload with more and more threads.
pub(crate) fn busy(curves: &[Curve]) -> String {
    let Some(first) = curves.first() else {
        return String::new();
    };
    let mut table = table();
    let header = THREADS.iter().map(|threads| heading_cell(&threads.to_string()));
    table.set_header(std::iter::once(heading_cell(first.workload)).chain(header).collect::<Vec<_>>());
    for curve in curves {
        let cells = THREADS.iter().map(|&threads| {
            let point = curve.points.iter().find(|point| point.threads == threads);
            number(point.map_or_else(
                || "-".to_owned(),
                |point| format!("{} {:>6}", ns(point.processor.median), ns(point.wall.median)),
            ))
        });
        table.add_row(std::iter::once(name_cell(curve.profile.name, curve.profile.role)).chain(cells));
    }
    format!(
        "\n{}, 1 to 64 threads at work: ns per operation, processor time of all threads, and the wall clock times the cores used\n{table}\n",
        first.workload
    )
}

/// Births of threads, and heaps.
pub(crate) fn crowd(contenders: &[Measured]) -> String {
    let mut births = table();
    births.set_header(
        ["", "bare", "with a block", "block outlives it", "left resident", "per block that outlives"]
            .map(heading_cell)
            .to_vec(),
    );
    let mut heaps = table();
    heaps.set_header(
        ["", "made, with a block", "dropped", "resident", "address space", "left resident"]
            .map(heading_cell)
            .to_vec(),
    );
    for contender in contenders {
        debug_assert!(contender.profile.role != Role::Limit);
        let name = || name_cell(contender.profile.name, contender.profile.role);
        let Ok(figures) = &contender.result else {
            births.add_row(vec![name(), number("failed")]);
            continue;
        };
        let own = &figures.births;
        births.add_row(vec![
            name(),
            number(time(own.bare_ns.median)),
            number(time(own.birth_ns.median)),
            number(time(own.leaving_ns.median)),
            number(bytes(own.resident.median as u64)),
            number(format!("{:.0} B", own.resident_leaving.median)),
        ]);
        if let Some(own) = &figures.heaps {
            heaps.add_row(vec![
                name(),
                number(time(own.made_ns.median)),
                number(time(own.dropped_ns.median)),
                number(bytes(own.resident.median as u64)),
                number(bytes(own.mapped.median as u64)),
                number(format!("{:.0} B", own.left.median)),
            ]);
        }
    }
    let mut text = format!(
        "\n10,000 threads born one after another: processor time from start to join, memory when all are gone\n{births}\n"
    );
    if !heaps.is_empty() {
        text +=
            &format!("\n10,000 heaps at the same time with a block of 64 bytes each: per heap\n{heaps}\n");
    }
    text
}
