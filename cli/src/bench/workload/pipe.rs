//! A pipe from threads that allocate to threads that free, made before the clock starts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::Backoff;

use super::Slot;
use crate::bench::contender::Contender;

/// Blocks that travel together.
pub(super) type Cargo<C> = Box<[Slot<C>]>;

/// Batches on their way, and empty ones on their way back.
pub(super) struct Pipe<C: Contender> {
    full: ArrayQueue<Cargo<C>>,
    empty: ArrayQueue<Cargo<C>>,
    /// Sum of what producers wrote minus sum of what consumers read. `Relaxed`: read when all are gone.
    balance: AtomicU64,
}

impl<C: Contender> Pipe<C> {
    /// A pipe with `batches` batches of `blocks` blocks each.
    pub(super) fn new(batches: usize, blocks: usize) -> Self {
        let pipe = Self {
            full: ArrayQueue::new(batches),
            empty: ArrayQueue::new(batches),
            balance: AtomicU64::new(0),
        };
        for _ in 0..batches {
            pass(&pipe.empty, Slot::array(blocks));
        }
        pipe
    }

    /// Fills and sends `batches` batches; `next` says how large each block is.
    pub(super) fn produce(&self, local: &C::Local, batches: u64, next: &mut impl FnMut() -> usize) {
        let mut written = 0_u64;
        for _ in 0..batches {
            let mut batch = take(&self.empty);
            for slot in &mut batch {
                let size = next();
                slot.fill(local, size);
                written += size as u64;
            }
            pass(&self.full, batch);
        }
        self.balance.fetch_add(written, Relaxed);
    }

    /// Receives, reads and frees `batches` batches. `SIZE` is every block's, or 0 for mixed sizes.
    pub(super) fn consume<const SIZE: usize>(&self, local: &C::Local, batches: u64) {
        let mut read = 0_u64;
        for _ in 0..batches {
            let mut batch = take(&self.full);
            for slot in &mut batch {
                read += slot.stamp();
                if SIZE == 0 {
                    slot.clear(local);
                } else {
                    slot.clear_sized::<SIZE>(local);
                }
            }
            pass(&self.empty, batch);
        }
        self.balance.fetch_sub(read, Relaxed);
    }

    /// Panics unless all that was written was read.
    pub(super) fn check(&self) {
        let balance = self.balance.load(Relaxed);
        assert_eq!(balance, 0, "{}: blocks changed on their way", C::NAME);
    }
}

/// Takes from a queue, waiting for it to fill.
pub(super) fn take<T>(queue: &ArrayQueue<T>) -> T {
    let backoff = Backoff::new();
    loop {
        if let Some(item) = queue.pop() {
            return item;
        }
        backoff.snooze();
    }
}

/// Puts into a queue that has room for everything that exists.
pub(super) fn pass<T>(queue: &ArrayQueue<T>, item: T) {
    assert!(queue.push(item).is_ok(), "more under way than was made");
}
