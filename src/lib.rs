//! Blockyard: a multithreaded, per-thread block allocator.

#[cfg(feature = "allocator-api2-02")]
pub use allocator_api2_02 as allocator_api2;

mod allocator_api;
mod clock;
mod config;
mod global;
mod heap;
mod local_heap;
mod raw;
mod size_class;
pub mod source;
mod stats;
mod sync;
mod threads;

pub use global::Global;
pub use heap::{BuildError, Heap, HeapBuilder, LocalHeap};
pub use stats::{
    BlockStats, ByteStats, ClassKind, ClassStats, HeapStats, ProcessStats, Stats, ThreadState, ThreadStats, stats,
};
