//! What of a local heap the models drive: its inbox, its counts of what is on the way there, its place in its record's
//! list.

use super::siblings::Siblings;
use crate::raw::counts::Counter;
use crate::raw::return_queue::{Chain, ReturnQueue};
use crate::threads::ThreadRecord;

/// What chunks and records point to.
#[derive(Debug)]
pub(crate) struct LocalCore {
    record: *const ThreadRecord,
    inbox: ReturnQueue,
    siblings: Siblings,
    posted: Counter,
    posted_requested: Counter,
}

impl LocalCore {
    #[cfg(test)]
    pub(crate) fn new(record: *const ThreadRecord) -> Self {
        Self {
            record,
            inbox: ReturnQueue::new(),
            siblings: Siblings::new(),
            posted: Counter::new(),
            posted_requested: Counter::new(),
        }
    }
    pub(crate) fn record(&self) -> *const ThreadRecord {
        self.record
    }
    pub(crate) fn inbox(&self) -> &ReturnQueue {
        &self.inbox
    }
    pub(super) fn siblings(&self) -> &Siblings {
        &self.siblings
    }
    pub(crate) fn add_posted(&self, _class: usize, count: u32) {
        self.posted.add_shared(u64::from(count));
    }
    pub(crate) fn add_posted_requested(&self, bytes: u64) {
        self.posted_requested.add_shared(bytes);
    }
    pub(crate) unsafe fn count_returned(&self, _chain: &Chain) {}
    /// Blocks that were sent here, and the bytes requested for them.
    #[cfg(test)]
    pub(crate) fn posted(&self) -> (u64, u64) {
        (self.posted.get(), self.posted_requested.get())
    }
}
