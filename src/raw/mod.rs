//! The unsafe floor: blocks, chunks, segments, and where they come from.

pub(crate) mod arrivals;
pub(crate) mod chunk;
pub(crate) mod counts;
pub(crate) mod free_list;
#[cfg(not(loom))]
pub(crate) mod marks;
pub(crate) mod return_queue;
#[cfg(not(loom))]
pub(crate) mod segment;
