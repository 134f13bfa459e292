//! Everything at once, for as long as one likes: threads that allocate, resize, hand over and free blocks of all sizes
//! through every handle, verify what is in them, come and go, make heaps and drop them with blocks in them, while
//! another one reads the statistics. `scripts/soak.sh SECONDS [SEED]` runs it long; the tests run it for three seconds.
//!
//! Time is cut into eras of some seconds, each with heaps and workers of its own. Within an era all workers stop every
//! so often: at such a quiet point statistics are exact, and are compared with what the workers know. Between eras
//! everything has been freed: then memory is compared with what it was at first. The first thing that is not as it
//! should be ends the process with status 1.
#![cfg(target_os = "linux")]

mod era;
#[path = "../all/model/mod.rs"]
mod model;
#[path = "../support/mod.rs"]
mod support;
mod watch;
mod worker;

use std::cell::Cell;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use blockyard::Global;

use self::support::Rng;

#[global_allocator]
static ALLOCATOR: Global = Global;

/// What has been done so far.
#[derive(Default)]
pub(crate) struct Totals {
    steps: AtomicU64,
    /// Threads that were born.
    births: AtomicU64,
    heaps: AtomicU64,
    /// Inputs run through the fuzzer's targets.
    inputs: AtomicU64,
    samples: AtomicU64,
    quiet: AtomicU64,
}

impl Totals {
    pub(crate) fn add(counter: &AtomicU64, n: u64) -> u64 {
        counter.fetch_add(n, Ordering::Relaxed)
    }
}

/// What all threads of the program share.
pub(crate) struct Soak {
    started: Instant,
    totals: Totals,
    /// Held to read statistics where nothing else may go on, and by the sampler for each reading.
    reading: Mutex<()>,
    over: AtomicBool,
}

impl Soak {
    /// Whether `counter` is behind a steady rate per second.
    pub(crate) fn is_due(&self, counter: &AtomicU64, rate: f64) -> bool {
        (counter.load(Ordering::Relaxed) as f64) < self.started.elapsed().as_secs_f64() * rate
    }

    fn line(&self, what: &str, memory: &watch::Memory) {
        let Totals { steps, births, heaps, inputs, samples, quiet } = &self.totals;
        let [steps, births, heaps, inputs, samples, quiet] =
            [steps, births, heaps, inputs, samples, quiet].map(|counter| counter.load(Ordering::Relaxed));
        println!(
            "{what} {:6} s: {steps} steps, {births} births, {heaps} heaps, {inputs} inputs, {samples} samples, \
             {quiet} quiet points; {memory}",
            self.started.elapsed().as_secs()
        );
    }
}

thread_local! {
    /// Which worker this is, and its step.
    static PLACE: Cell<(usize, u64)> = const { Cell::new((usize::MAX, 0)) };
}

/// The first failed check of any thread ends the process.
fn end_at_the_first_panic(seed: u64) {
    std::panic::set_hook(Box::new(move |panic| {
        let (worker, step) = PLACE.get();
        let trace = std::backtrace::Backtrace::capture();
        // Not by a macro, whose output the test harness may keep to itself.
        let _ =
            writeln!(std::io::stderr(), "soak: seed {seed}, worker {worker}, step {step}: {panic}\n{trace}");
        std::process::exit(1);
    }));
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, not {text}")))
}

#[test]
fn soak() {
    let seconds = setting("BLOCKYARD_SOAK_SECONDS").unwrap_or(3);
    let seed = setting("BLOCKYARD_SOAK_SEED").unwrap_or(1);
    end_at_the_first_panic(seed);
    println!("soak: {seconds} s, seed {seed}");
    let soak = Soak {
        started: Instant::now(),
        totals: Totals::default(),
        reading: Mutex::new(()),
        over: AtomicBool::new(false),
    };
    let mut rng = Rng::new(seed);
    let mut footprint = watch::Footprint::new(Duration::from_secs(seconds));
    std::thread::scope(|scope| {
        scope.spawn(|| watch::sample(&soak));
        let mut next_line = Duration::from_secs(60);
        while soak.started.elapsed() < Duration::from_secs(seconds) {
            let left = Duration::from_secs(seconds).saturating_sub(soak.started.elapsed());
            era::run(&soak, rng.next(), left);
            let memory = footprint.check(&soak);
            if soak.started.elapsed() >= next_line {
                soak.line("soak:", &memory);
                next_line += Duration::from_secs(60);
            }
        }
        soak.over.store(true, Ordering::Relaxed);
    });
    soak.line("soak: held,", &watch::Memory::now());
}
