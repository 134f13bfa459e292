//! What a local heap has counted, apart from what its chunks count themselves.

use core::sync::atomic::{Ordering, fence};

use crate::raw::counts::Counter;
use crate::size_class::CLASSES;

/// Row of blocks that are runs of whole chunks.
pub(crate) const SPAN_ROW: usize = CLASSES;
/// Row of blocks with a mapping of their own.
pub(crate) const BIG_ROW: usize = CLASSES + 1;
/// Rows of counters: the classes, runs, mappings.
pub(crate) const ROWS: usize = CLASSES + 2;

/// Counters of one class. The holder of the record writes them, but for `freed` and `released` of
/// the last two rows, which any thread adds to.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) allocated: Counter,
    pub(crate) freed: Counter,
    pub(crate) requested: Counter,
    pub(crate) released: Counter,
    /// Bytes of live blocks, in the last two rows, whose blocks differ in size; wraps.
    pub(crate) block_bytes: Counter,
    /// Blocks of others sent home from here.
    pub(crate) returned: Counter,
    /// Blocks of ours that came home.
    pub(crate) received: Counter,
}

impl Totals {
    /// Any thread: a block of one of the last two rows is back.
    pub(crate) fn count_freed(&self, requested: usize, block_size: u64) {
        self.released.add_shared(requested as u64);
        self.block_bytes.add_shared(block_size.wrapping_neg());
        // ORDER: Release, pairs with the Acquire fence in `is_even`; publishes that the heap is held.
        fence(Ordering::Release);
        self.freed.add_shared(1);
    }

    /// Whether every block of one of the last two rows is back.
    pub(crate) fn is_even(&self) -> bool {
        let even = self.allocated.get() == self.freed.get();
        // ORDER: Acquire, pairs with the Release fence in `count_freed`.
        fence(Ordering::Acquire);
        even
    }

    pub(crate) const fn new() -> Self {
        Self {
            allocated: Counter::new(),
            freed: Counter::new(),
            requested: Counter::new(),
            released: Counter::new(),
            block_bytes: Counter::new(),
            returned: Counter::new(),
            received: Counter::new(),
        }
    }
}
