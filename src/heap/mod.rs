//! Heaps: all local heaps plus one source.

mod big;
mod builder;
mod core;
mod handle;
mod local_table;
mod pool;
mod reader_gate;

pub use self::builder::{BuildError, HeapBuilder};
pub(crate) use self::core::{GLOBAL, HeapCore, Settings};
pub(crate) use self::handle::collect;
pub use self::handle::{Heap, LocalHeap};
