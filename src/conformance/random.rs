//! Sequences of calls against a model: every live block, and what is in it.

use core::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use super::block::{Block, Fill};
use super::{Conformance, broken};
use crate::allocator_api2::alloc::Allocator;

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn fill(&mut self) -> Fill {
        if self.below(3) == 0 { Fill::Zeroed } else { Fill::Any }
    }

    /// Small sizes and alignments are as frequent as large ones, by powers of two.
    fn layout(&mut self, suite: &Conformance) -> Layout {
        let bits = self.below(suite.largest.max(1).ilog2() as usize + 2);
        let size = self.below(1 << bits).min(suite.largest);
        let align = 1 << self.below(suite.largest_align.trailing_zeros() as usize + 1).min(self.below(13));
        Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>())
    }
}

/// All live blocks, by address: what overlaps is found when it is allocated.
#[derive(Default)]
struct Model {
    blocks: Vec<Block>,
    /// Start and length of each block that has bytes.
    ranges: BTreeMap<usize, usize>,
}

impl Model {
    #[track_caller]
    fn add(&mut self, law: &str, block: Block) {
        let (start, end) = (block.start(), block.start() + block.given());
        if start < end {
            if let Some((other, length)) = self.ranges.range(..end).next_back()
                && other + length > start
            {
                broken(
                    law,
                    format_args!(
                        "a block at {start:#x} to {end:#x} overlaps the one at {other:#x} of {length} bytes"
                    ),
                );
            }
            self.ranges.insert(start, end - start);
        }
        self.blocks.push(block);
    }

    fn remove(&mut self, index: usize) -> Block {
        let block = self.blocks.swap_remove(index);
        if block.given() != 0 {
            self.ranges.remove(&block.start());
        }
        block
    }
}

#[track_caller]
pub(super) fn check(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "at random";
    let mut random = Random::new(suite.seed);
    let mut model = Model::default();
    for _ in 0..suite.steps {
        let call = random.below(8);
        if model.blocks.is_empty() || (call < 4 && model.blocks.len() < 64) {
            let (asked, fill, seed) = (random.layout(suite), random.fill(), random.next());
            let made = Block::new(LAW, allocator, asked, fill, seed);
            if let Some(block) = suite.allow(LAW, made, format_args!("{asked:?}")) {
                model.add(LAW, block);
            }
            continue;
        }
        let mut block = model.remove(random.below(model.blocks.len()));
        if call < 6 {
            // SAFETY: the allocator's block.
            unsafe { block.free(LAW, allocator) };
            continue;
        }
        let (old, new) = (block.layout(), random.layout(suite));
        let growing = new.size() > old.size() || (new.size() == old.size() && random.below(2) == 0);
        let fill = random.fill();
        // SAFETY: the allocator's block.
        let resized = unsafe { block.resize(LAW, allocator, new, growing, fill) };
        if !resized && !suite.may_refuse {
            broken(LAW, format_args!("refused to resize {old:?} to {new:?}"));
        }
        model.add(LAW, block);
    }
    for block in model.blocks {
        // SAFETY: the allocator's block.
        unsafe { block.free(LAW, allocator) };
    }
}

/// Each of four threads sends half of its blocks to the next one.
#[track_caller]
pub(super) fn check_threads<A: Allocator + Sync>(suite: &Conformance, allocator: &A) {
    const LAW: &str = "threads";
    const THREADS: u64 = 4;
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<Block>()).unzip();
    let work = |mut random: Random, next: mpsc::Sender<Block>, from: mpsc::Receiver<Block>| {
        let mut kept = Vec::new();
        for _ in 0..suite.steps / THREADS as usize {
            let (asked, fill, seed) = (random.layout(suite), random.fill(), random.next());
            let made = Block::new(LAW, allocator, asked, fill, seed);
            if let Some(block) = suite.allow(LAW, made, format_args!("{asked:?}")) {
                if random.below(2) == 0 {
                    kept.push(block);
                } else if let Err(unsent) = next.send(block) {
                    kept.push(unsent.0);
                }
            }
            kept.extend(from.try_recv());
            if kept.len() > 32 {
                let mut block = kept.swap_remove(random.below(kept.len()));
                let (old, new) = (block.layout(), random.layout(suite));
                // SAFETY: a block of the allocator that all threads share.
                unsafe {
                    block.resize(LAW, allocator, new, new.size() >= old.size(), random.fill());
                    block.free(LAW, allocator);
                }
            }
        }
        drop(next);
        for block in kept.into_iter().chain(from) {
            // SAFETY: as above.
            unsafe { block.free(LAW, allocator) };
        }
    };
    thread::scope(|scope| {
        let work = &work;
        senders.rotate_left(1);
        let mut threads = Vec::new();
        for (index, (next, from)) in senders.into_iter().zip(receivers).enumerate() {
            let random = Random::new(suite.seed.wrapping_mul(THREADS) + index as u64);
            threads.push(scope.spawn(move || work(random, next, from)));
        }
        for thread in threads {
            if let Err(payload) = thread.join() {
                std::panic::resume_unwind(payload);
            }
        }
    });
}
