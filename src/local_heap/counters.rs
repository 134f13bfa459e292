//! What a local heap has counted, apart from what its chunks count themselves.

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
