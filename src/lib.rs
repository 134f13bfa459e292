//! Blockyard: a multithreaded, per-thread block allocator.

#![cfg_attr(loom, allow(dead_code, reason = "models use parts of the types they drive"))]

#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub use allocator_api2_02 as allocator_api2;

mod config;
mod raw;
mod sync;
mod threads;

#[cfg(not(loom))]
mod allocator_api;
#[cfg(not(loom))]
mod clock;
#[cfg(not(loom))]
mod global;
#[cfg(not(loom))]
mod heap;
#[cfg(not(loom))]
mod local_heap;
#[cfg(not(loom))]
mod size_class;
#[cfg(not(loom))]
pub mod source;
#[cfg(not(loom))]
mod stats;

#[cfg(not(loom))]
pub use self::{
    global::Global,
    heap::{BuildError, Heap, HeapBuilder, LocalHeap},
    stats::{
        BlockStats, ByteStats, ClassKind, ClassStats, HeapStats, ProcessStats, Stats, ThreadState,
        ThreadStats, stats,
    },
};

#[cfg(loom)]
mod models;
