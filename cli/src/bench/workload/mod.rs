//! What the contenders are put through, one family per file.
//!
//! Every workload does one thing a number of times and says how long that took; the suite decides how
//! often, in which order, and what the numbers mean. Setting up (threads, slot arrays, random
//! sequences) is not timed unless it is the subject.
//!
//! An *operation* is one allocation together with its free, unless a workload says otherwise. With several
//! threads the figure is wall time divided by the operations of all threads; with one it is processor
//! time.

pub(crate) mod alloc_test;
pub(crate) mod batch;
pub(crate) mod cache;
mod clock;
pub(crate) mod cold;
pub(crate) mod fan_out;
pub(crate) mod glibc;
pub(crate) mod large;
pub(crate) mod larson;
pub(crate) mod mixed;
pub(crate) mod mleak;
pub(crate) mod msgpass;
pub(crate) mod mstress;
pub(crate) mod pair;
mod pipe;
pub(crate) mod realloc;
pub(crate) mod rptest;
pub(crate) mod sh;
mod slot;
mod tape;
mod team;
pub(crate) mod xmalloc;

use std::alloc::Layout;
use std::hint::black_box;
use std::time::Duration;

pub(crate) use clock::CpuClock;
pub(crate) use slot::Slot;
pub(crate) use tape::{Rng, Tape, sizes};
pub(crate) use team::{Took, generation, team, watch};

use super::contender::{Contender, Reach};

/// Something to do with an allocator.
pub(crate) trait Workload: 'static {
    fn spec(&self) -> Spec;

    /// Does it `reps` times over. What one repetition is, is the workload's affair: some tens of
    /// microseconds to some milliseconds of work.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample;
}

/// Is handed every workload of the suite, with its type.
pub(crate) trait WorkloadVisitor {
    fn visit<W: Workload>(&mut self, workload: W);
}

/// A row of the result before it is measured.
#[derive(Clone)]
pub(crate) struct Spec {
    /// The name on the command line and in the tables.
    pub(crate) name: &'static str,
    /// The family: also a name on the command line, and one table.
    pub(crate) group: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
    /// What one operation is.
    pub(crate) op: &'static str,
    /// What it stresses.
    pub(crate) stresses: &'static str,
    /// Threads that allocate or free at the same time.
    pub(crate) threads: usize,
    pub(crate) needs: Needs,
    pub(crate) pace: Pace,
}

impl Spec {
    /// Whether `name` on the command line means this row: its name, its family, or the name without what
    /// follows a dash.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let rest = self.name.strip_prefix(name);
        self.group == name || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// What a row asks of a contender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Blocks of one size, freed where they were allocated.
    OneSize,
    /// Threads that keep a handle from their start to their end.
    OwnThread,
    /// Any piece of work may run on any thread.
    Anywhere,
}

impl Needs {
    /// Whether a contender of that reach can serve the row.
    pub(crate) fn met_by(self, reach: Reach) -> bool {
        match reach {
            Reach::Anywhere => true,
            Reach::OwnThread => self != Self::Anywhere,
            Reach::OneSize => self == Self::OneSize,
        }
    }
}

/// How the suite drives a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Warm up, then as many repetitions as fill the round.
    Steady,
    /// One repetition a round, never warmed: a first time is what is measured.
    Once,
}

/// What a round took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) elapsed: Duration,
    /// Processor time of all threads together.
    pub(crate) processor: Duration,
    pub(crate) ops: u64,
    /// Page faults of the timed part, where the workload counts them.
    pub(crate) faults: Option<u64>,
    /// Page faults of the process in the whole round, where that is another process than this.
    pub(crate) process_faults: Option<u64>,
}

impl Sample {
    pub(crate) fn new(took: impl Into<Took>, ops: u64) -> Self {
        let Took { elapsed, processor } = took.into();
        Self { elapsed, processor, ops, faults: None, process_faults: None }
    }

    pub(crate) fn with_faults(self, faults: u64) -> Self {
        Self { faults: Some(faults), ..self }
    }

    pub(crate) fn with_process_faults(self, faults: u64) -> Self {
        Self { process_faults: Some(faults), ..self }
    }

    /// Times `work` on the calling thread, which does `ops` operations.
    #[inline(always)]
    pub(crate) fn time(ops: u64, work: impl FnOnce()) -> Self {
        let clock = CpuClock::of_thread();
        work();
        Self::new(clock.elapsed(), ops)
    }

    /// Nanoseconds per operation.
    pub(crate) fn ns(&self) -> f64 {
        self.elapsed.as_secs_f64() * 1e9 / self.ops as f64
    }
}

/// Keeps the compiler from seeing where a block came from, and so from removing the pair that makes and
/// frees it.
#[inline(always)]
pub(crate) fn opaque(block: *mut u8) -> *mut u8 {
    black_box(block)
}

/// The layout of `size` bytes, aligned as most Rust types are.
pub(crate) const fn layout(size: usize) -> Layout {
    match Layout::from_size_align(size, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("a size that no layout can have"),
    }
}

/// What every workload of the suite says of itself.
pub(crate) fn specs(threads: usize) -> Vec<Spec> {
    struct Specs(Vec<Spec>);
    impl WorkloadVisitor for Specs {
        fn visit<W: Workload>(&mut self, workload: W) {
            self.0.push(workload.spec());
        }
    }
    let mut specs = Specs(Vec::new());
    each(threads, &mut specs);
    specs.0
}

/// Hands every workload of the suite to `visitor`, in the order of the tables. `threads` is what rows with
/// several threads use.
pub(crate) fn each(threads: usize, visitor: &mut impl WorkloadVisitor) {
    visitor.visit(pair::Pair::<16>);
    visitor.visit(pair::Pair::<64>);
    visitor.visit(pair::Pair::<256>);
    visitor.visit(pair::Pair::<1024>);
    visitor.visit(pair::Pair::<8192>);
    visitor.visit(batch::Batch::lifo());
    visitor.visit(batch::Batch::random());
    visitor.visit(batch::Warm);
    visitor.visit(cold::FreshThread);
    visitor.visit(cold::FreshProcess);
    visitor.visit(mixed::Mixed::new());
    visitor.visit(alloc_test::AllocTest::new(1));
    visitor.visit(alloc_test::AllocTest::new(threads));
    visitor.visit(rptest::Rptest::new(1));
    visitor.visit(rptest::Rptest::new(threads));
    visitor.visit(glibc::Simple);
    visitor.visit(glibc::Threaded::new(threads));
    visitor.visit(sh::Sh6::new(1));
    visitor.visit(sh::Sh6::new(threads));
    visitor.visit(larson::Larson::new(1));
    visitor.visit(larson::Larson::new(threads));
    visitor.visit(mstress::Mstress::new(1));
    visitor.visit(mstress::Mstress::new(threads));
    visitor.visit(mleak::Mleak::new(threads));
    visitor.visit(xmalloc::Xmalloc::<64>::new(threads));
    visitor.visit(xmalloc::Xmalloc::<0>::new(threads));
    visitor.visit(sh::Sh8::new(threads));
    visitor.visit(msgpass::Msgpass::new(threads));
    visitor.visit(fan_out::FanOut::new(threads));
    visitor.visit(cache::Cache::scratch(threads));
    visitor.visit(cache::Cache::thrash(threads));
    visitor.visit(realloc::Doubling);
    visitor.visit(realloc::Steps);
    visitor.visit(large::Large::<{ 64 << 10 }>);
    visitor.visit(large::Large::<{ 1 << 20 }>);
    visitor.visit(large::Large::<{ 8 << 20 }>);
    visitor.visit(large::Buffers::new());
}
