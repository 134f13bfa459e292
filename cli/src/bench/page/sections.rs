//! Which charts there are, and what is in them.

use super::chart::{Bar, Line, LogAxis, Marks, bars, dots, lines};
use crate::bench::contender::Role;
use crate::bench::installed::programs::Figures as ProgramFigures;
use crate::bench::json::{Document, Latency, Memory, Row};
use crate::bench::latency::Figures as LatencyFigures;
use crate::bench::report::cells::{bytes, ns, ratio, time};
use crate::bench::report::geometric_means;
use crate::bench::stats::Summary;
use crate::bench::suite::Contest;

/// A part of the page.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) charts: Vec<Chart>,
}

pub(super) struct Chart {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) svg: String,
    /// The file's name, for a chart that the documentation carries.
    pub(super) file: Option<String>,
}

impl Chart {
    fn new(title: impl Into<String>, note: impl Into<String>, svg: String) -> Self {
        Self { title: title.into(), note: note.into(), svg, file: None }
    }

    /// As one that the documentation carries too.
    fn filed(self, name: &str) -> Self {
        Self { file: Some(format!("{name}.svg")), ..self }
    }
}

/// Every section of which something was measured.
pub(super) fn sections(document: &Document) -> Vec<Section> {
    let mut sections = vec![
        Section {
            id: "overview",
            title: "Every row",
            lead: "Time per operation against the best peer of the row, medians: left of the line is ahead of all of them.",
            charts: overview(document),
        },
        Section {
            id: "memory",
            title: "Memory",
            lead: "Resident bytes per byte live at the peak, in a process of its own; less is better.",
            charts: memory(&document.memory),
        },
        Section {
            id: "scaling",
            title: "Scaling",
            lead: "What an operation costs when there is more of everything: flat is best.",
            charts: scaling(document),
        },
        Section {
            id: "latency",
            title: "Latency",
            lead: "Single calls, every one timed: 99.9 % took at most this long, and the worst that surely kept its core; \
                   a birth is a thread's first allocation. \
                   Medians of several runs.",
            charts: document.latency.iter().flat_map(latency).collect(),
        },
        Section {
            id: "programs",
            title: "Real programs",
            lead: "Well-known libraries at work behind each #[global_allocator], a process for each run; medians.",
            charts: programs(document),
        },
        Section {
            id: "crowd",
            title: "Ten thousand",
            lead: "Births of threads, one after another, and heaps that exist at the same time.",
            charts: crowd(document),
        },
    ];
    for (contest, id, title, lead) in [
        (
            Contest::Allocators,
            "time",
            "Time, row by row",
            "Nanoseconds per operation, and times the best peer.",
        ),
        (
            Contest::Installed,
            "installed",
            "Behind #[global_allocator]",
            "The same rows in a process for each allocator, where nothing is inlined.",
        ),
        (Contest::Arenas, "arenas", "Arenas", "Memory that is taken back all at once."),
        (Contest::Layers, "layers", "Layers", "What each layer costs over the heap alone."),
    ] {
        let rows = document.rows.iter().filter(|row| row.contest == contest);
        sections.push(Section { id, title, lead, charts: rows.map(time_bars).collect() });
    }
    sections.retain(|section| !section.charts.is_empty());
    sections
}

fn overview(document: &Document) -> Vec<Chart> {
    let contests = [
        (Contest::Allocators, "In one process", "overview"),
        (Contest::Installed, "Behind #[global_allocator]", "overview-installed"),
        (Contest::Arenas, "Arenas", "overview-arenas"),
    ];
    let mut charts = Vec::new();
    for (contest, title, file) in contests {
        let rows: Vec<_> = document.rows.iter().filter(|row| row.contest == contest).collect();
        let marks: Vec<Marks> = rows.iter().copied().filter_map(standing).collect();
        if marks.is_empty() {
            continue;
        }
        let axis = LogAxis {
            from: 0.4,
            to: 3.0,
            ticks: [0.5, 0.7, 1.0, 1.5, 2.0, 3.0].map(|tick| (tick, format!("{tick}"))).to_vec(),
            line: Some(1.0),
        };
        charts.push(Chart::new(title, "times the best peer", dots(&marks, &axis)).filed(file));
        let bar = |(label, _, value)| Bar { label, value, text: ratio(value), is_limit: false };
        let means: Vec<_> = geometric_means(&rows).into_iter().map(bar).collect();
        charts.push(
            Chart::new(
                format!("{title}: all rows"),
                "geometric mean against the best other peer of each row",
                bars(&means),
            )
            .filed(&format!("{file}-means")),
        );
    }
    charts
}

/// Ours against the best peer.
fn standing(row: &Row) -> Option<Marks> {
    let ours = row.cells.iter().filter(|cell| cell.role == Role::Ours);
    let marks: Vec<_> = ours.filter_map(|cell| Some((cell.allocator, cell.to_best_peer?))).collect();
    (!marks.is_empty()).then(|| Marks { label: row.workload.to_owned(), marks })
}

fn time_bars(row: &Row) -> Chart {
    let bar = |cell: &crate::bench::json::Cell| Bar {
        label: cell.allocator,
        value: cell.median(),
        text: match cell.to_best_peer {
            Some(value) => format!("{}  {}", ns(cell.median()), ratio(value)),
            None => ns(cell.median()),
        },
        is_limit: cell.role == Role::Limit,
    };
    let all: Vec<_> = row.cells.iter().map(bar).collect();
    Chart::new(row.workload, format!("{}; ns per {}", row.about, row.operation), bars(&all))
}

fn memory(rows: &[Memory]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let summary = |figure: fn(&crate::bench::memory::Figures) -> f64| -> Vec<Marks> {
        let row = |row: &Memory| Marks {
            label: row.workload.to_owned(),
            marks: row
                .cells
                .iter()
                .filter_map(|cell| Some((cell.allocator, figure(cell.figures.as_ref()?))))
                .collect(),
        };
        rows.iter().map(row).collect()
    };
    if rows.is_empty() {
        return charts;
    }
    let ticks = |ticks: &[f64]| ticks.iter().map(|tick| (*tick, format!("{tick}"))).collect();
    let peak =
        LogAxis { from: 0.9, to: 8.0, ticks: ticks(&[1.0, 1.25, 2.0, 3.0, 5.0, 8.0]), line: Some(1.25) };
    let after = LogAxis { from: 0.03, to: 4.0, ticks: ticks(&[0.03, 0.1, 0.3, 1.0, 3.0]), line: Some(0.3) };
    charts.push(
        Chart::new("At the peak", "resident per byte live", dots(&summary(peak_ratio), &peak))
            .filed("memory-peak"),
    );
    charts.push(
        Chart::new(
            "Two seconds after all was freed",
            "resident per byte live at the peak, with a little work meanwhile",
            dots(&summary(|figures| figures.settled.per_live(figures.settled.later)), &after),
        )
        .filed("memory-after"),
    );
    for row in rows {
        let bar = |cell: &crate::bench::json::MemoryCell| {
            let figures = cell.figures.as_ref()?;
            let value = peak_ratio(figures);
            let settled = figures.settled.per_live(figures.settled.later);
            Some(Bar {
                label: cell.allocator,
                value,
                text: format!("{value:.2}, then {settled:.2}"),
                is_limit: false,
            })
        };
        let all: Vec<_> = row.cells.iter().filter_map(bar).collect();
        charts.push(Chart::new(row.workload, "at the peak, and two seconds after all was freed", bars(&all)));
    }
    charts
}

fn peak_ratio(figures: &crate::bench::memory::Figures) -> f64 {
    figures.collected.peak_ratio().min(figures.settled.peak_ratio())
}

fn scaling(document: &Document) -> Vec<Chart> {
    let mut charts = Vec::new();
    for workload in crate::bench::busy::WORKLOADS {
        let curves: Vec<_> = document.busy.iter().filter(|curve| curve.workload == workload).collect();
        if curves.is_empty() {
            continue;
        }
        let threads = crate::bench::busy::THREADS;
        let all: Vec<Line> = curves
            .iter()
            .map(|curve| Line {
                name: curve.allocator,
                points: curve
                    .points
                    .iter()
                    .filter_map(|point| {
                        let place = threads.iter().position(|&threads| threads == point.threads)?;
                        Some((place, point.processor_ns_per_operation.median))
                    })
                    .collect(),
            })
            .collect();
        let note = "processor time per operation, with 1 to 64 threads at work";
        let ticks = threads.map(|threads| threads.to_string());
        charts.push(
            Chart::new(workload, note, lines(&all, &ticks, "ns")).filed(&format!("threads-{workload}")),
        );
    }
    for axis in crate::bench::scale::Axis::ALL {
        let curves = document.scale.iter().filter(|curve| curve.axis == axis);
        let all: Vec<Line> = curves
            .map(|curve| Line {
                name: curve.allocator,
                points: curve
                    .points
                    .iter()
                    .enumerate()
                    .map(|(place, point)| (place, point.batch.median))
                    .collect(),
            })
            .collect();
        if !all.is_empty() {
            let ticks: Vec<_> = axis.points().iter().map(|&count| super::brief(count as f64)).collect();
            let note = format!("a batch of 1,000 blocks, with more and more {}", axis.title());
            charts.push(Chart::new("batch-lifo", note, lines(&all, &ticks, "ns")));
        }
    }
    charts
}

fn latency(row: &Latency) -> Vec<Chart> {
    type Figure = fn(&LatencyFigures) -> &Summary;
    let calls: [(&str, Figure, Figure); 3] = [
        ("alloc", |figures| &figures.alloc.p999, |figures| &figures.alloc.worst_undisturbed),
        ("free", |figures| &figures.free.p999, |figures| &figures.free.worst_undisturbed),
        ("birth", |figures| &figures.birth.median, |figures| &figures.birth.worst_undisturbed),
    ];
    let marks = |figure: Figure, label: String| Marks {
        label,
        marks: row
            .cells
            .iter()
            .filter_map(|cell| Some((cell.allocator, figure(cell.figures.as_ref()?).median)))
            .collect(),
    };
    let mut all = Vec::new();
    for (name, tail, worst) in calls {
        let share = if name == "birth" { "median" } else { "99.9 %" };
        all.push(marks(tail, format!("{name} {share}")));
        all.push(marks(worst, format!("{name} worst")));
    }
    let ticks = [(1e2, "100ns"), (1e3, "1us"), (1e4, "10us"), (1e5, "100us"), (1e6, "1ms"), (1e7, "10ms")];
    let ticks = ticks.map(|(tick, label)| (tick, label.to_owned())).to_vec();
    let axis = LogAxis { from: 50.0, to: 2e7, ticks, line: None };
    let chart =
        Chart::new(row.workload, row.about, dots(&all, &axis)).filed(&format!("latency-{}", row.workload));
    vec![chart]
}

fn programs(document: &Document) -> Vec<Chart> {
    type Figure = fn(&ProgramFigures) -> &Summary;
    if document.programs.is_empty() {
        return Vec::new();
    }
    let against_best = |figure: Figure| -> Vec<Marks> {
        let mut rows = Vec::new();
        for program in &document.programs {
            let medians = || {
                program.cells.iter().filter_map(move |cell| {
                    Some((cell.allocator, cell.role, figure(cell.figures.as_ref()?).median))
                })
            };
            let peers = medians().filter(|(_, role, _)| *role == Role::Peer).map(|(_, _, value)| value);
            let best = peers.fold(f64::INFINITY, f64::min);
            rows.push(Marks {
                label: program.program.to_owned(),
                marks: medians().map(|(name, _, value)| (name, value / best)).collect(),
            });
        }
        rows
    };
    let axis = LogAxis {
        from: 0.7,
        to: 2.0,
        ticks: [0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0].map(|tick| (tick, format!("{tick}"))).to_vec(),
        line: Some(1.0),
    };
    let summary = |title: &str, figure: Figure, file: &str| {
        Chart::new(title, "times the best peer", dots(&against_best(figure), &axis)).filed(file)
    };
    let mut charts = vec![
        summary("Wall time", |figures| &figures.wall, "programs-time"),
        summary("Processor time", |figures| &figures.processor, "programs-processor"),
        summary("Peak memory", |figures| &figures.peak, "programs-memory"),
    ];
    for program in &document.programs {
        let bar = |cell: &crate::bench::json::ProgramCell| {
            let figures = cell.figures.as_ref()?;
            let (wall, peak) = (figures.wall.median, figures.peak.median);
            Some(Bar {
                label: cell.allocator,
                value: wall,
                text: format!("{wall:.0} ms, {}", bytes(peak as u64)),
                is_limit: false,
            })
        };
        let all: Vec<_> = program.cells.iter().filter_map(bar).collect();
        charts.push(Chart::new(
            program.program,
            format!("{}; wall time, and peak memory", program.about),
            bars(&all),
        ));
    }
    charts
}

fn crowd(document: &Document) -> Vec<Chart> {
    let figures = || document.crowd.iter().filter_map(|cell| Some((cell.allocator, cell.figures.as_ref()?)));
    let births: Vec<_> = figures()
        .map(|(label, figures)| {
            let own = (figures.births.birth_ns.median - figures.births.bare_ns.median).max(0.0);
            let resident = figures.births.resident_leaving.median;
            Bar { label, value: own, text: format!("{}, {resident:.0} B", time(own)), is_limit: false }
        })
        .collect();
    if births.is_empty() {
        return Vec::new();
    }
    let mut charts = vec![Chart::new(
        "A birth",
        "processor time of a thread that allocates and frees a block, less that of one that does not; bytes resident \
         for each block that outlives its thread",
        bars(&births),
    )];
    let heaps: Vec<_> = figures()
        .filter_map(|(label, figures)| {
            let heaps = figures.heaps.as_ref()?;
            let value = heaps.made_ns.median + heaps.dropped_ns.median;
            Some(Bar {
                label,
                value,
                text: format!("{}, {}", time(value), bytes(heaps.resident.median as u64)),
                is_limit: false,
            })
        })
        .collect();
    if !heaps.is_empty() {
        let note = "making one with a block and dropping it; bytes resident for each of 10,000";
        charts.push(Chart::new("A heap", note, bars(&heaps)));
    }
    charts
}
