//! `batch-*` and `warm-100k`: many blocks of 64 bytes live at once, then none.
//!
//! Every block's first word is written, as an object's would be.

use std::ptr;

use super::{Needs, Pace, Rng, Sample, Spec, Workload, layout, opaque};
use crate::bench::contender::{Contender, Need, ThreadAlloc};

const SIZE: usize = 64;
const BATCH: usize = 1_000;
pub(super) const MANY: usize = 100_000;

/// Allocates `blocks.len()` blocks, then frees them in the order that `order` gives, or backwards.
#[inline(always)]
pub(super) fn fill_and_free<L: ThreadAlloc>(local: &L, blocks: &mut [*mut u8], order: Order<'_>) {
    let layout = const { layout(SIZE) };
    for (index, block) in blocks.iter_mut().enumerate() {
        // SAFETY: the size is above zero and the block long enough for a word; no memory at all would
        // end the run with a fault at address zero.
        unsafe {
            *block = opaque(local.alloc(layout));
            block.cast::<usize>().write(index);
        }
    }
    // SAFETY, for the three: every block was allocated above with this layout, and each is freed once
    // (`order` is a permutation).
    match order {
        Order::FirstInFirstOut => {
            for &mut block in blocks {
                // SAFETY: see above.
                unsafe { local.dealloc(block, layout) };
            }
        }
        Order::LastInFirstOut => {
            for &mut block in blocks.iter_mut().rev() {
                // SAFETY: see above.
                unsafe { local.dealloc(block, layout) };
            }
        }
        Order::By(permutation) => {
            for &index in permutation {
                // SAFETY: see above.
                unsafe { local.dealloc(blocks[usize::from(index)], layout) };
            }
        }
    }
}

/// The order in which a batch is freed.
#[derive(Clone, Copy)]
pub(super) enum Order<'a> {
    FirstInFirstOut,
    LastInFirstOut,
    By(&'a [u16]),
}

/// A thousand blocks at a time: more than a fast path caches by count, less than a second-level cache.
pub(crate) struct Batch {
    /// A permutation to free by; none for last in, first out.
    shuffled: Option<Box<[u16]>>,
}

impl Batch {
    pub(crate) fn lifo() -> Self {
        Self { shuffled: None }
    }

    pub(crate) fn random() -> Self {
        let mut order: Box<[u16]> = (0..BATCH as u16).collect();
        Rng::with_seed(0xba7c4).shuffle(&mut order);
        Self { shuffled: Some(order) }
    }
}

impl Workload for Batch {
    fn spec(&self) -> Spec {
        let random = self.shuffled.is_some();
        Spec {
            name: if random { "batch-random" } else { "batch-lifo" },
            group: "batch",
            about: if random {
                "allocate 1,000 blocks of 64 bytes, free them in random order"
            } else {
                "allocate 1,000 blocks of 64 bytes, free them last in, first out"
            },
            op: "one block",
            stresses: "refilling the fast path; order of the free list",
            threads: 1,
            needs: Needs::OneSize,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let local = contender.local(Need { size: SIZE, blocks: BATCH });
        let mut blocks = [ptr::null_mut(); BATCH];
        let order = match &self.shuffled {
            Some(order) => Order::By(order),
            None => Order::LastInFirstOut,
        };
        Sample::time(reps * BATCH as u64, || {
            for _ in 0..reps {
                fill_and_free(&local, &mut blocks, order);
            }
        })
    }
}

/// 100,000 blocks of 64 bytes, all allocated, all freed in the same order, on memory that is in use
/// already. jank publishes 10 ns for it.
pub(crate) struct Warm;

impl Workload for Warm {
    fn spec(&self) -> Spec {
        Spec {
            name: "warm-100k",
            group: "batch",
            about: "allocate 100,000 blocks of 64 bytes and free them all, on warm memory",
            op: "one block",
            stresses: "caches: 6 MiB of blocks; many chunks in turn",
            threads: 1,
            needs: Needs::OneSize,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let local = contender.local(Need { size: SIZE, blocks: MANY });
        let mut blocks = vec![ptr::null_mut(); MANY];
        // Whatever went back to the system between two rounds is fetched again before the clock starts.
        fill_and_free(&local, &mut blocks, Order::FirstInFirstOut);
        Sample::time(reps * MANY as u64, || {
            for _ in 0..reps {
                fill_and_free(&local, &mut blocks, Order::FirstInFirstOut);
            }
        })
    }
}
