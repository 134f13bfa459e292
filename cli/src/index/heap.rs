//! The heap that the index lives on.

use anyhow::Context;
use blockyard::Heap;

/// A new heap, called `index` in statistics.
pub(super) fn new_heap() -> anyhow::Result<Heap> {
    let heap = Heap::builder().name("index").build();
    heap.context("cannot make a heap")
}
