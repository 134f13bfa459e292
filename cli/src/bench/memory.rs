//! Resident memory: at the peak, and what stays when everything has been freed.
//!
//! Each figure comes from a child process that runs one workload on one contender, so nobody else's
//! memory is in it. The child's resident memory before the workload is subtracted; live bytes are counted
//! by the sizes that the workload asks for. The workload's own arrays count as well: a few percent at most.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::child::{self, Order, Task};
use super::contender::{Contender, Counting, LiveBytes, Need, Profile};
use super::machine;
use super::workload::cold::Chain;
use super::workload::{Workload, WorkloadVisitor, cold, generation, larson, mixed, mleak, mstress, xmalloc};

/// Child processes at the same time. One of them works, the others wait for their two seconds to pass.
const AT_ONCE: usize = 12;
/// Processes per figure, of which the one with the median peak is told: where threads come and go, the peak depends on
/// how many of them happen to be alive at once.
const RUNS: usize = 3;
/// How long the process waits for memory to go back by itself, as it allocates a little.
const SETTLE: Duration = Duration::from_secs(2);

/// The workloads of this table, with the repetitions that each is run for.
pub(crate) const ROWS: [(&str, u64); 6] = [
    ("larson-n", 16),
    ("mixed", 100),
    ("mstress-n", 24),
    ("xmalloc-mixed", 800),
    ("mleak", 100),
    ("cold-process", 1),
];

fn each(threads: usize, visitor: &mut impl WorkloadVisitor) {
    visitor.visit(larson::Larson::new(threads));
    visitor.visit(mixed::Mixed::new());
    visitor.visit(mstress::Mstress::new(threads));
    visitor.visit(xmalloc::Xmalloc::<0>::new(threads));
    visitor.visit(mleak::Mleak::new(threads));
    visitor.visit(cold::Linked);
}

/// What a child process saw, in bytes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Footprint {
    /// Bytes live at once, at most.
    pub(crate) peak_live: u64,
    /// Bytes live at once, at most, in the first quarter of the run.
    pub(crate) early_live: u64,
    /// Resident at once, at most, in the first quarter of the run.
    pub(crate) early_peak: u64,
    /// Resident at once, at most.
    pub(crate) peak: u64,
    /// Resident when all was freed and all threads had ended.
    pub(crate) end: u64,
    /// Resident after what [`Task`] asked for: a collection, or two seconds.
    pub(crate) later: u64,
    /// Page faults of the process while the workload ran.
    pub(crate) faults: u64,
    /// What the workload calls operations.
    pub(crate) ops: u64,
}

impl Footprint {
    /// Bytes at the peak per byte live at the peak.
    pub(crate) fn peak_ratio(&self) -> f64 {
        self.per_live(self.peak)
    }

    pub(crate) fn per_live(&self, bytes: u64) -> f64 {
        bytes as f64 / self.peak_live as f64
    }

    /// A purge that takes away what is needed again shows here.
    pub(crate) fn faults_per_thousand(&self) -> f64 {
        self.faults as f64 * 1e3 / self.ops as f64
    }

    /// Bytes given back to the system since the peak.
    pub(crate) fn released(&self) -> u64 {
        self.peak.saturating_sub(self.later)
    }

    /// How much the peak per live byte grew after the first quarter of the run; 1 is flat.
    pub(crate) fn growth(&self) -> f64 {
        let early = self.early_peak.max(1) as f64 / self.early_live as f64;
        self.peak_ratio() / early
    }
}

/// In the child: runs the ordered workload on `contender`. `None` for a workload that is not in the table.
pub(crate) fn measure<C: Contender>(contender: &'static C, order: &Order<'_>) -> Option<Footprint> {
    let mut child = Child { contender, order, footprint: None };
    each(order.threads, &mut child);
    child.footprint
}

struct Child<'a, C: Contender> {
    contender: &'static C,
    order: &'a Order<'a>,
    footprint: Option<Footprint>,
}

impl<C: Contender> WorkloadVisitor for Child<'_, C> {
    fn visit<W: Workload>(&mut self, workload: W) {
        let name = workload.spec().name;
        let row = ROWS.iter().find(|(row, _)| *row == name);
        let Some((_, reps)) = row.filter(|_| self.order.workload == Some(name)) else {
            return;
        };
        let counting: &'static Counting<C> = Box::leak(Box::new(Counting(self.contender)));
        touch_stacks(self.order.threads);
        machine::reset_peak();
        let baseline = machine::resident();
        let above = |bytes: u64| bytes.saturating_sub(baseline);

        let early = reps.div_ceil(4);
        let faults = machine::process_faults();
        let mut ops = workload.round(counting, early).ops;
        let early_peak = above(machine::resident_peak());
        let early_live = LiveBytes::read().peak as u64;
        if *reps > early {
            ops += workload.round(counting, reps - early).ops;
        }
        let faults = machine::process_faults() - faults;
        let peak = above(machine::resident_peak());
        let end = above(machine::resident());
        let live = LiveBytes::read();
        assert_eq!(live.now, 0, "{name} left blocks behind");

        match self.order.task {
            Task::MemorySettle => {
                child::work_is_done();
                settle(self.contender);
            }
            _ => self.contender.collect(),
        }
        self.footprint = Some(Footprint {
            peak_live: live.peak as u64,
            early_live,
            early_peak,
            peak,
            end,
            later: above(machine::resident()),
            faults,
            ops,
        });
    }
}

/// Has threads run once, so that their stacks are resident before the baseline is taken: the system's thread
/// library keeps them for the next threads.
fn touch_stacks(threads: usize) {
    thread::scope(|scope| {
        for _ in 0..=threads {
            scope.spawn(|| std::hint::black_box([0_u8; 16 << 10]));
        }
    });
}

/// Lets two seconds pass, in which the main thread allocates a little and a short-lived thread comes and goes
/// now and then: enough for an allocator that gives memory back as it works.
fn settle<C: Contender>(contender: &'static C) {
    const PAUSE: Duration = Duration::from_millis(10);
    const BLOCKS: usize = 100;
    let local = contender.local(Need::ANY);
    for pause in 0..SETTLE.as_millis() / PAUSE.as_millis() {
        Chain::grow(&local, BLOCKS).free(&local);
        if pause % 40 == 0 {
            generation(contender, 1, |_| {
                let local = contender.local(Need::ANY);
                Chain::grow(&local, BLOCKS).free(&local);
            });
        }
        thread::sleep(PAUSE);
    }
}

/// One contender's figures for one workload: of a process that collected and one that waited, or why there are none.
pub(crate) struct Cell {
    pub(crate) profile: Profile,
    pub(crate) result: Result<Figures, String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Of the process that collected; `later` is after the collection.
    pub(crate) collected: Footprint,
    /// Of the process that waited; `later` is after two seconds.
    pub(crate) settled: Footprint,
}

pub(crate) struct Measured {
    pub(crate) workload: &'static str,
    pub(crate) cells: Vec<Cell>,
}

/// In the parent: runs a child per workload, contender and task, several at a time.
pub(crate) fn run(
    workloads: &[&'static str],
    contenders: &[Profile],
    threads: usize,
    progress: &ProgressBar,
) -> Vec<Measured> {
    let jobs: Vec<(&'static str, Profile)> = workloads
        .iter()
        .flat_map(|&workload| contenders.iter().map(move |&profile| (workload, profile)))
        .collect();
    let next = AtomicUsize::new(0);
    let core = Mutex::new(());
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&(workload, profile)) = jobs.get(next.fetch_add(1, Relaxed)) {
                    progress.set_message(format!("memory: {workload} · {}", profile.name));
                    let result = both(workload, profile.name, threads, &core);
                    results.lock().expect("not poisoned").push((workload, profile.name, result));
                    progress.inc(1);
                }
            });
        }
    });
    let mut results = results.into_inner().expect("not poisoned");
    let mut figures_of = |workload: &str, name: &str| {
        let index =
            results.iter().position(|&(of, by, _)| of == workload && by == name).expect("every job has run");
        results.swap_remove(index).2
    };
    workloads
        .iter()
        .map(|&workload| Measured {
            workload,
            cells: contenders
                .iter()
                .map(|&profile| Cell { profile, result: figures_of(workload, profile.name) })
                .collect(),
        })
        .collect()
}

fn both(workload: &str, contender: &str, threads: usize, core: &Mutex<()>) -> Result<Figures, String> {
    let send = |task| {
        let order = Order { task, contender, workload: Some(workload), threads };
        let once = |_| order.send::<Footprint>(core).map_err(|error| format!("{error:#}"));
        let mut runs = (0..RUNS).map(once).collect::<Result<Vec<_>, _>>()?;
        runs.sort_by(|a, b| a.peak_ratio().total_cmp(&b.peak_ratio()));
        Ok::<_, String>(runs[RUNS / 2])
    };
    Ok(Figures { collected: send(Task::MemoryCollect)?, settled: send(Task::MemorySettle)? })
}
