//! Operations against a model of what must be live, and what must be in it.
#![allow(dead_code, reason = "each binary uses a part of it")]

mod bytes;
mod hosts;
pub(crate) mod targets;

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;

#[allow(unused_imports, reason = "each binary uses a part of them")]
pub(crate) use self::hosts::{AsGlobalAlloc, Local};
use crate::support::MIB;
use crate::support::block::Block;

/// One operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Alloc {
        layout: Layout,
        zeroed: bool,
    },
    /// `pick` chooses among the live blocks.
    Resize {
        pick: usize,
        layout: Layout,
        zeroed: bool,
    },
    Free {
        pick: usize,
        /// Where the allocator can do without the layout: do without.
        unsized_: bool,
    },
    Flush,
    Collect,
}

/// An operation, how often and where it happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) times: usize,
    /// On the other thread, which stays for the whole sequence.
    pub(crate) elsewhere: bool,
}

impl Op {
    /// How often it may be done in a row, so that a sequence does not take megabytes again and again.
    pub(crate) fn at_most(self, times: usize) -> usize {
        let most = match self {
            Self::Alloc { layout, .. } => MIB / layout.size().max(layout.align()).max(1),
            Self::Resize { layout, .. } => 4 * MIB / layout.size().max(layout.align()).max(1),
            Self::Free { .. } => usize::MAX,
            Self::Flush | Self::Collect => 1,
        };
        times.min(most).max(1)
    }

    /// Which of the live blocks it is about.
    fn pick(self) -> Option<usize> {
        match self {
            Self::Resize { pick, .. } | Self::Free { pick, .. } => Some(pick),
            Self::Alloc { .. } | Self::Flush | Self::Collect => None,
        }
    }

    pub(crate) fn once(self, elsewhere: bool) -> Step {
        Step { op: self, times: 1, elsewhere }
    }
}

/// An allocator as the model drives it, on one thread.
pub(crate) trait Host {
    type Allocator: Allocator;
    fn allocator(&self) -> &Self::Allocator;

    /// Checks what the allocator says of a live block.
    fn inspect(&self, _block: &Block) {}

    /// Frees a block of this allocator without telling its layout, if that can be. Returns by how
    /// many bytes the block was larger than asked for.
    fn free_unsized(&self, block: Block) -> usize {
        // SAFETY: the model frees a block where it was allocated.
        unsafe { block.free(self.allocator()) };
        0
    }

    fn flush(&self) {}
    fn collect(&self) {}
}

/// What became of a sequence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Requests that were refused.
    pub(crate) refused: usize,
    /// Bytes that blocks freed without their layout had beyond what was asked for.
    pub(crate) slack: usize,
}

/// A piece of work for a thread: an operation, and the block it is about.
type Job = (Op, u64, Option<Block>);
/// What comes back.
type Done = (Option<Block>, Outcome);

fn perform(host: &impl Host, (op, seed, block): Job) -> Done {
    let mut outcome = Outcome::default();
    let block = match (op, block) {
        (Op::Alloc { layout, zeroed }, _) => {
            let made = Block::new(host.allocator(), layout, zeroed, seed);
            outcome.refused += usize::from(made.is_none());
            made
        }
        (Op::Resize { layout, zeroed, .. }, Some(mut block)) => {
            // SAFETY: the model keeps blocks with the host that made them.
            let resized = unsafe { block.resize(host.allocator(), layout, zeroed) };
            outcome.refused += usize::from(!resized);
            Some(block)
        }
        (Op::Free { unsized_: true, .. }, Some(block)) => {
            outcome.slack += host.free_unsized(block);
            None
        }
        (Op::Free { .. }, Some(block)) => {
            // SAFETY: as above.
            unsafe { block.free(host.allocator()) };
            None
        }
        (Op::Flush, block) => {
            host.flush();
            block
        }
        (Op::Collect, block) => {
            host.collect();
            block
        }
        (Op::Resize { .. } | Op::Free { .. }, None) => None,
    };
    if let Some(block) = &block {
        host.inspect(block);
    }
    (block, outcome)
}

/// The blocks that are live.
#[derive(Default)]
struct Model {
    live: Vec<Block>,
    /// Ends by starts.
    spans: BTreeMap<usize, usize>,
}

impl Model {
    /// One of the blocks from number `from` on.
    fn take(&mut self, from: usize, pick: usize) -> Option<Block> {
        let at = from + pick.checked_rem(self.live.len() - from)?;
        let block = self.live.swap_remove(at);
        self.spans.remove(&block.address());
        Some(block)
    }

    fn put(&mut self, block: Block) {
        let (start, size) = (block.address(), block.layout().size());
        if size != 0 {
            let before = self.spans.range(..=start).next_back();
            assert!(before.is_none_or(|(_, &end)| end <= start), "{block:?} overlaps the one before");
            let after = self.spans.range(start..).next();
            assert!(after.is_none_or(|(&next, _)| start + size <= next), "{block:?} overlaps the one behind");
            self.spans.insert(start, start + size);
        }
        self.live.push(block);
    }

    /// Bytes of all live blocks.
    fn bytes(&self) -> usize {
        self.live.iter().map(|block| block.layout().size()).sum()
    }

    /// Verifies every block, and forgets those from number `from` on.
    fn forget(&mut self, from: usize) {
        self.live.iter().for_each(Block::verify);
        for block in self.live.drain(from..) {
            self.spans.remove(&block.address());
        }
    }
}

/// Runs `steps`, then frees everything that is left. `perform` does each job, elsewhere if it is told so; at the end
/// some of that happens elsewhere if `two` says that there is such a place.
fn drive(steps: &[Step], two: bool, mut perform: impl FnMut(Job, bool) -> Done) -> Outcome {
    let mut model = Model::default();
    let mut total = Outcome::default();
    let mut step = |model: &mut Model, seed: usize, op: Op, elsewhere| {
        let block = op.pick().and_then(|pick| model.take(0, pick));
        let (block, outcome) = perform((op, seed as u64, block), elsewhere);
        block.into_iter().for_each(|block| model.put(block));
        total.refused += outcome.refused;
        total.slack += outcome.slack;
    };
    for (number, &Step { op, times, elsewhere }) in steps.iter().enumerate() {
        (0..times).for_each(|time| step(&mut model, number << 16 | time, op, elsewhere));
    }
    while !model.live.is_empty() {
        let n = model.live.len();
        step(&mut model, 0, Op::Free { pick: n, unsized_: false }, two && n % 3 == 0);
    }
    total
}

/// Runs `steps` on this thread alone.
pub(crate) fn run_here(host: &impl Host, steps: &[Step]) -> Outcome {
    let outcome = drive(steps, false, |job, _| perform(host, job));
    host.flush();
    outcome
}

/// Runs `steps`, then frees everything that is left. `host` makes each thread's host.
pub(crate) fn run<H: Host>(host: impl Fn() -> H + Sync, steps: &[Step]) -> Outcome {
    if steps.iter().all(|step| !step.elsewhere) {
        return run_here(&host(), steps);
    }
    thread::scope(|scope| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (outbox, done) = mpsc::channel::<Done>();
        let factory = &host;
        let other = scope.spawn(move || {
            let host = factory();
            inbox.into_iter().map(|job| perform(&host, job)).try_for_each(|done| outbox.send(done))
        });
        let host = factory();
        let total = drive(steps, true, |job, elsewhere| {
            if elsewhere {
                // When the other thread has panicked neither goes through; it has said why.
                jobs.send(job).expect("the other thread listens");
                done.recv().expect("the other thread answers")
            } else {
                perform(&host, job)
            }
        });
        drop(jobs);
        // Joined by name: the scope alone does not wait until the thread's locals are gone.
        other.join().expect("the other thread's checks hold").expect("we listen");
        host.flush();
        total
    })
}
