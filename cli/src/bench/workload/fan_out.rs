//! `rayon`: a tree of tasks on a rayon pool, whose small vectors are built in one thread and merged in another.
//!
//! Every leaf grows a buffer from 32 to 512 bytes by doubling, as a `Vec` that is pushed to; every inner
//! node merges its children's buffers into a new one. Which thread runs what is rayon's choice, so a stolen
//! task's buffers are freed by a stranger, and a task cannot keep a handle of its thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Needs, Pace, Sample, Slot, Spec, Workload};
use crate::bench::contender::{Contender, Need};

/// Levels of inner nodes.
const DEPTH: u32 = 9;
const FIRST: usize = 32;
const LAST: usize = 512;
/// Buffers that a leaf makes: one for every doubling, and the first.
const PER_LEAF: u64 = (LAST / FIRST).ilog2() as u64 + 1;
/// Buffers of a whole tree.
const PER_TREE: u64 = (1 << DEPTH) * PER_LEAF + ((1 << DEPTH) - 1);

pub(crate) struct FanOut {
    threads: usize,
    /// One pool per contender, whose threads stay attached to it.
    pools: Mutex<HashMap<&'static str, Arc<ThreadPool>>>,
}

impl FanOut {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, pools: Mutex::default() }
    }

    fn pool<C: Contender>(&self, contender: &'static C) -> Arc<ThreadPool> {
        let mut pools = self.pools.lock().expect("not poisoned");
        let pool = pools.entry(C::NAME).or_insert_with(|| {
            let pool = ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .start_handler(|_| contender.thread_start())
                .exit_handler(|_| contender.thread_end())
                .build()
                .expect("threads for a rayon pool");
            Arc::new(pool)
        });
        Arc::clone(pool)
    }
}

impl Workload for FanOut {
    fn spec(&self) -> Spec {
        Spec {
            name: "rayon",
            group: "rayon",
            about: "a tree of 1,023 rayon tasks grows small buffers and merges them",
            op: "one buffer: allocated, filled, freed",
            stresses: "stolen work: no task knows its thread",
            threads: self.threads,
            needs: Needs::Anywhere,
            pace: Pace::Steady,
        }
    }

    /// One repetition is one tree.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let pool = self.pool(contender);
        pool.install(|| {
            Sample::time(reps * PER_TREE, || {
                for _ in 0..reps {
                    let mut root = tree(contender, DEPTH, 0);
                    let sum = root.bytes()[0];
                    root.clear(&contender.local(Need::ANY));
                    assert_eq!(sum, SUM_OF_LEAVES, "{}: a buffer was overwritten", C::NAME);
                }
            })
        })
    }
}

/// What the leaves' numbers add up to, modulo 256.
const SUM_OF_LEAVES: u8 = {
    let leaves = 1_u64 << DEPTH;
    (leaves * (leaves - 1) / 2) as u8
};

/// A buffer whose bytes all are the sum of the leaf numbers below it.
fn tree<C: Contender>(contender: &'static C, depth: u32, first_leaf: u32) -> Slot<C> {
    if depth == 0 {
        return leaf(contender, first_leaf as u8);
    }
    let half = 1 << (depth - 1);
    let (mut left, mut right) = rayon::join(
        || tree(contender, depth - 1, first_leaf),
        || tree(contender, depth - 1, first_leaf + half),
    );
    let local = contender.local(Need::ANY);
    let mut merged = Slot::EMPTY;
    merged.fill(&local, LAST);
    for ((sum, left), right) in merged.bytes().iter_mut().zip(left.bytes()).zip(right.bytes()) {
        *sum = left.wrapping_add(*right);
    }
    left.clear(&local);
    right.clear(&local);
    merged
}

/// Grows a buffer by doubling, copying each time.
fn leaf<C: Contender>(contender: &'static C, number: u8) -> Slot<C> {
    let local = contender.local(Need::ANY);
    let mut buffer = Slot::EMPTY;
    buffer.fill(&local, FIRST);
    buffer.bytes().fill(number);
    let mut size = FIRST;
    while size < LAST {
        size *= 2;
        let mut larger = Slot::EMPTY;
        larger.fill(&local, size);
        let (copied, fresh) = larger.bytes().split_at_mut(size / 2);
        copied.copy_from_slice(buffer.bytes());
        fresh.fill(number);
        buffer.clear(&local);
        buffer = larger;
    }
    buffer
}
