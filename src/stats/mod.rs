//! The registry of live heaps, and what can be read from it.
//!
//! Threads count for themselves, in counters that only they write; nothing is delivered, everything
//! is pulled. A reader takes no lock that an allocating thread could wait for: it walks segments that
//! the [reader gate](crate::heap) keeps mapped and adds up what it finds. While threads run, a
//! snapshot is a little blurred; when they are quiet it is exact.

mod gauge;
mod heaps;
#[cfg(feature = "openmetrics")]
mod openmetrics;
mod read;
mod registry;
mod report;
mod snapshot;

pub(crate) use self::gauge::{Gauge, PROCESS};
pub use self::heaps::stats;
pub(crate) use self::heaps::{HEAPS, register, unregister};
pub(crate) use self::read::snapshot;
#[cfg(feature = "allocator-api2-02")]
pub(crate) use self::report::Bytes;
pub use self::snapshot::{
    BlockStats, ByteStats, ClassKind, ClassStats, HeapStats, NamedArenaStats, ProcessStats, Stats,
    ThreadState, ThreadStats,
};
