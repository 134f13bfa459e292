//! Threads: who owns what, what happens when a thread ends, and who takes over.
//!
//! Every thread that uses a heap holds a [`ThreadRecord`]. Chunks are owned by records, not by
//! threads: when a thread ends its record joins the [`orphans`], and the next thread that needs a
//! record takes it over with all its chunks, free blocks and counters, without touching any of them.

#[cfg(any(feature = "allocator-api2-02", loom))]
mod bias;
#[cfg(not(loom))]
mod binding;
#[cfg(any(feature = "allocator-api2-02", loom))]
mod budget;
#[cfg(any(feature = "allocator-api2-02", loom))]
mod line;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
mod meter;
mod orphans;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
mod per_thread;
mod record;

#[cfg(any(feature = "allocator-api2-02", loom))]
pub(crate) use bias::Biased;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub(crate) use bias::Entered;
#[cfg(all(unix, not(loom)))]
pub(crate) use binding::HeldThreads;
#[cfg(not(loom))]
pub(crate) use binding::os_thread_id;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub(crate) use binding::thread_index;
#[cfg(not(loom))]
pub(crate) use binding::{
    Binding, Lease, UNBOUND, binding, current_blocks, current_heap, current_record, last_handle_dropped,
    lease_nudged, lease_orphans, own_blocks,
};
#[cfg(any(feature = "allocator-api2-02", loom))]
pub(crate) use budget::Budget;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub(crate) use budget::Charge;
#[cfg(any(feature = "allocator-api2-02", loom))]
pub(crate) use line::Line;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub(crate) use meter::Meter;
#[cfg(loom)]
pub(crate) use orphans::OrphanList;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub(crate) use per_thread::PerThread;
pub(crate) use record::{ThreadRecord, ThreadState};
