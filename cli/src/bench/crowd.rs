//! What ten thousand of something cost, in time and bytes: heaps of one block each, and births of threads.
//!
//! Each figure comes from a child process of its own, so that nobody else's memory is in it.

use std::sync::Mutex;
use std::thread;

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::child::{Order, Task};
use super::contender::{Attached, Contender, Need, Profile};
use super::machine;
use super::stats::Summary;
use super::workload::{CpuClock, Rng, Slot};

/// Of what there are many.
pub(crate) const MANY: usize = 10_000;
/// Processes per figure.
const RUNS: usize = 3;
/// Births before anything is measured: the system's thread library keeps stacks.
const WARM_UP: usize = 100;
/// Births of one kind between births of the other.
const STRETCH: usize = 500;
/// Bytes of a block.
const BLOCK: usize = 64;

/// What a child saw of heaps that exist at the same time, each with a block of 64 bytes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Heaps {
    /// Making one and taking a block from it, in nanoseconds of processor time.
    pub(crate) made_ns: f64,
    /// Dropping it, in nanoseconds of processor time.
    pub(crate) dropped_ns: f64,
    /// Bytes resident for each.
    pub(crate) resident: f64,
    /// Bytes of address space for each.
    pub(crate) mapped: f64,
    /// Bytes still resident when all are gone, for each that there was.
    pub(crate) left: f64,
}

/// What a child saw of threads that were born one after another.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Births {
    /// A thread that allocates nothing, from its start until it is joined, in nanoseconds of processor time.
    pub(crate) bare_ns: f64,
    /// One that allocates a block and frees it.
    pub(crate) birth_ns: f64,
    /// One that allocates a block which outlives it.
    pub(crate) leaving_ns: f64,
    /// Bytes that the threads which freed their blocks left resident, all together.
    pub(crate) resident: u64,
    /// Bytes resident for each block that outlived its thread.
    pub(crate) resident_leaving: f64,
}

/// In the child. `None` for a contender without heaps.
pub(crate) fn heaps<C: Contender>(contender: &'static C) -> Option<Heaps> {
    // One before: what the first of all heaps needs is not the heaps' own.
    drop(contender.spare_heaps(1)?);
    let (resident, mapped) = (machine::resident(), machine::mapped());
    let clock = CpuClock::of_process();
    let heaps = contender.spare_heaps(MANY)?;
    let made = clock.elapsed();
    let above = |now: u64, before: u64| now.saturating_sub(before) as f64 / MANY as f64;
    let (full_resident, full_mapped) = (machine::resident(), machine::mapped());
    let clock = CpuClock::of_process();
    drop(heaps);
    let dropped = clock.elapsed();
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e9 / MANY as f64;
    Some(Heaps {
        made_ns: each(made),
        dropped_ns: each(dropped),
        resident: above(full_resident, resident),
        mapped: above(full_mapped, mapped),
        left: above(machine::resident(), resident),
    })
}

/// In the child.
pub(crate) fn births<C: Contender>(contender: &'static C) -> Births {
    let bare = || {
        thread::spawn(|| ()).join().expect("a thread that does nothing");
    };
    let birth = |free: bool| {
        let live = move || {
            let _attached = Attached::new(contender);
            let local = contender.local(Need::ANY);
            let mut slot = Slot::<C>::EMPTY;
            slot.fill(&local, BLOCK);
            if free {
                slot.clear(&local);
            }
            slot
        };
        thread::spawn(live).join().expect("a thread that allocates a block")
    };
    for _ in 0..WARM_UP {
        bare();
        birth(true);
    }
    let before = machine::resident();
    let (mut bare_time, mut birth_time) = (Default::default(), Default::default());
    // In turn, so that both meet the same machine.
    for _ in 0..MANY / STRETCH {
        bare_time += timed(|| (0..STRETCH).for_each(|_| bare()));
        birth_time += timed(|| (0..STRETCH).for_each(|_| assert!(birth(true).is_empty())));
    }
    let after = machine::resident();
    let mut slots = Vec::with_capacity(MANY);
    let leaving = timed(|| slots.extend((0..MANY).map(|_| birth(false))));
    let with_blocks = machine::resident();
    Slot::clear_all(&mut slots, &contender.local(Need::ANY));
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e9 / MANY as f64;
    let own = MANY * size_of::<Slot<C>>();
    Births {
        bare_ns: each(bare_time),
        birth_ns: each(birth_time),
        leaving_ns: each(leaving),
        resident: after.saturating_sub(before),
        resident_leaving: with_blocks.saturating_sub(after + own as u64) as f64 / MANY as f64,
    }
}

fn timed(work: impl FnOnce()) -> std::time::Duration {
    let clock = CpuClock::of_process();
    work();
    clock.elapsed()
}

/// Of all runs; of a contender without heaps there are only births.
pub(crate) struct Measured {
    pub(crate) profile: Profile,
    pub(crate) result: Result<Figures, String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) births: BirthFigures,
    pub(crate) heaps: Option<HeapFigures>,
}

/// One summary for each figure of [`Births`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct BirthFigures {
    pub(crate) bare_ns: Summary,
    pub(crate) birth_ns: Summary,
    pub(crate) leaving_ns: Summary,
    pub(crate) resident: Summary,
    pub(crate) resident_leaving: Summary,
}

/// One summary for each figure of [`Heaps`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HeapFigures {
    pub(crate) made_ns: Summary,
    pub(crate) dropped_ns: Summary,
    pub(crate) resident: Summary,
    pub(crate) mapped: Summary,
    pub(crate) left: Summary,
}

/// Steps that each contender reports to the progress bar.
pub(crate) const STEPS: u64 = RUNS as u64;

/// In the parent: every contender in turn.
pub(crate) fn run(contenders: &[Profile], progress: &ProgressBar) -> Vec<Measured> {
    let core = Mutex::new(());
    let mut births: Vec<Result<Vec<Births>, String>> = vec![Ok(Vec::new()); contenders.len()];
    let mut heaps: Vec<Result<Vec<Heaps>, String>> = births.iter().map(|_| Ok(Vec::new())).collect();
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    let mut rng = Rng::with_seed(RUNS as u64);
    for _ in 0..RUNS {
        rng.shuffle(&mut order);
        for &index in &order {
            let contender = contenders[index].name;
            progress.set_message(format!("births and heaps · {contender}"));
            let order = |task| Order { task, contender, workload: None, threads: 2 };
            extend(&mut births[index], order(Task::Births).send(&core));
            if matches!(contender, "heap") {
                extend(&mut heaps[index], order(Task::Heaps).send(&core));
            }
            progress.inc(1);
        }
    }
    let results = contenders.iter().zip(births).zip(heaps);
    let figures = |births: Result<Vec<Births>, String>, heaps: Result<Vec<Heaps>, String>| {
        let heaps = heaps?;
        Ok(Figures {
            births: birth_figures(&births?),
            heaps: (!heaps.is_empty()).then(|| heap_figures(&heaps)),
        })
    };
    results.map(|((&profile, births), heaps)| Measured { profile, result: figures(births, heaps) }).collect()
}

fn extend<T>(runs: &mut Result<Vec<T>, String>, run: anyhow::Result<T>) {
    match (runs.as_mut(), run) {
        (Ok(runs), Ok(run)) => runs.push(run),
        (Ok(_), Err(error)) => *runs = Err(format!("{error:#}")),
        (Err(_), _) => {}
    }
}

fn summary<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> Summary {
    Summary::of(runs.iter().map(figure).collect())
}

fn birth_figures(runs: &[Births]) -> BirthFigures {
    BirthFigures {
        bare_ns: summary(runs, |run| run.bare_ns),
        birth_ns: summary(runs, |run| run.birth_ns),
        leaving_ns: summary(runs, |run| run.leaving_ns),
        resident: summary(runs, |run| run.resident as f64),
        resident_leaving: summary(runs, |run| run.resident_leaving),
    }
}

fn heap_figures(runs: &[Heaps]) -> HeapFigures {
    HeapFigures {
        made_ns: summary(runs, |run| run.made_ns),
        dropped_ns: summary(runs, |run| run.dropped_ns),
        resident: summary(runs, |run| run.resident),
        mapped: summary(runs, |run| run.mapped),
        left: summary(runs, |run| run.left),
    }
}
