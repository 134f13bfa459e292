//! Heaps: all local heaps plus one source.

mod afterlife;
mod big;
mod builder;
mod core;
#[cfg(unix)]
mod fork;
mod handle;
mod hardening;
mod heavy_classes;
mod idle;
mod local_table;
mod misuse;
mod pool;
mod purger;
mod reader_gate;
mod references;
mod route;
mod walk;

pub(crate) use self::afterlife::{bury, sign_off};
pub use self::builder::{BuildError, HeapBuilder};
pub(crate) use self::core::{GLOBAL, HeapCore, Settings};
#[cfg(unix)]
pub(crate) use self::fork::guard_forks;
pub(crate) use self::handle::collect;
pub use self::handle::{Heap, LocalHeap};
pub(crate) use self::hardening::{Level, canary_in, canary_of};
pub(crate) use self::misuse::{Misuse, Place};
pub(crate) use self::pool::Purpose;
pub(crate) use self::route::unrouted;
pub use self::route::{LimitExceeded, RouteError};
pub(crate) use self::walk::chunks;
pub use self::walk::{BlockView, ChunkRole, ChunkView, HeapWalk, WalkError};
