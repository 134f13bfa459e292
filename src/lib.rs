//! Blockyard: a multithreaded, per-thread block allocator.
//!
//! Each thread owns its block caches and chunks of memory. A block freed on another thread goes home
//! through a lock-free crossbeam queue. A registry pulls every thread's numbers together, so that
//! [`stats()`] shows what each thread holds while the program runs.
//!
//! There are two ways to use it. As the program's allocator:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: blockyard::Global = blockyard::Global;
//!
//! let squares: Vec<u64> = (0..1000).map(|n| n * n).collect();
//! assert_eq!(squares[10], 100);
//! println!("{}", blockyard::stats());
//! ```
//!
//! Or as heaps that you make, name, limit, share between threads and drop at once:
//!
//! ```
//! use blockyard::{Heap, allocator_api2::vec::Vec};
//!
//! let scene = Heap::builder().name("scene").limit(64 << 20).build()?;
//! std::thread::scope(|scope| {
//!     for thread in 0..4 {
//!         let scene = &scene;
//!         scope.spawn(move || {
//!             let mut meshes = Vec::new_in(scene); // any thread, the same heap
//!             meshes.extend((0..100).map(|n| n * thread));
//!         });
//!     }
//! });
//! println!("{}", scene.stats());
//! drop(scene); // everything in it goes at once
//! # Ok::<(), blockyard::BuildError>(())
//! ```
//!
//! | handle | for | thread lookup |
//! |---|---|---|
//! | [`Global`] | `#[global_allocator]`, and as a zero-sized `Allocator` | one thread-local read |
//! | [`&Heap`](Heap) | containers that threads share | one thread-local read and a comparison |
//! | [`LocalHeap`] | one thread's containers | none |
//!
//! [`Pool`] has values of one type in a heap of their own, and [`BlockPool`] blocks whose size is known at run time
//! only.
//!
//! On top of any allocator there are bump arenas: [`Arena`] with nested [`Scope`]s that rewind it, [`ArenaPool`]
//! with one arena per thread, and [`StackFallback`] with bytes in itself before it asks another allocator. Over bytes of
//! your own there are [`FixedBuffer`], [`RollbackStack`], and `FixedHeap` (feature `tlsf`). [`temp::scope`] lends a whole arena for the length of a closure, and a thread's
//! [`context`] says which allocator code that it calls is to use. [`layers`] set budgets, count, fail on purpose, or make
//! one allocator of two. [`Heap::route`] sends what any crate allocates
//! inside a closure to a heap.
//!
//! [`Debug`](struct@Debug) watches how any allocator is used, the program's too: it finds leaks, double frees, and writes to
//! memory that is not the writer's.
//!
//! All three handles above are `Allocator`s of the [allocator-api2](https://docs.rs/allocator-api2) crate, version 0.2
//! (what hashbrown 0.17 and bumpalo 3.20 take) by default and 0.4 with the feature `allocator-api2-04`.
//!
//! # What is served
//!
//! Every layout: no bytes at all, alignments from 1 byte up, sizes to gigabytes. Up to 64 KiB a block
//! comes from one of 88 size classes (8-byte steps to 128 bytes, then 8 per doubling: at most 12.5 % more
//! than was asked for); up to 1 MiB it is a run of 64 KiB chunks, as is one that `realloc` doubled above 32 KiB; above it has a mapping of its own.
//! Memory that nobody needs goes back to the system: see [`HeapBuilder::purge_delay`],
//! [`HeapBuilder::purge_thread`] and [`Heap::collect`].
//!
//! # Layers
//!
//! Each may use the ones above it, never the reverse. `docs/design.md` tells the life of an allocation, of a
//! free and of a thread, and lists the invariants that the `unsafe` code stands on.
//!
//! | layer | files |
//! |---|---|
//! | arithmetic and the facade to atomics | `config`, `size_class`, `clock`, `sync`; `checkers`: what valgrind and AddressSanitizer are told |
//! | memory | [`source`], `raw/`: blocks, chunks, segments, the return queue |
//! | one thread's part of a heap | `local_heap/`: fast path, slow path, outbox, counters |
//! | who owns what | `threads/`: records, orphans, the bond between thread and record |
//! | heaps | `heap/`: the pool of free chunks, big blocks, the handles, walks; `global` |
//! | blocks of one size | `pool/`: typed and untyped pools, each on a heap of its own |
//! | numbers | `stats/`: the registry and its snapshots |
//! | interfaces | `allocator_api` |
//! | over any allocator | `arena/`, `fixed_buffer/`, [`layers`], `conformance`, `debug/` |
//! | what a thread has at hand | [`temp`]: its stack of arenas; [`context`]: its current allocator |
//!
//! # Features
//!
//! - `allocator-api2-02` (default): the `Allocator` trait of allocator-api2 0.2.
//! - `allocator-api2-04`: that of 0.4, on the same handles.
//! - `backtrace`: `Debug::traces`, which calls led to an allocation and a free.
//! - `serde`: snapshots are `Serialize` and `Deserialize`.
//! - `openmetrics`: `Stats::write_openmetrics`, what a Prometheus server scrapes.
//! - `tracing`: `layers::Logging`, each call to an allocator as an event of the `tracing` crate.
//! - `conformance`: a suite that checks what the `Allocator` trait promises, for your own allocators.
//! - `hardened`: `Global`, and every heap whose builder does not say otherwise, is [hardened](HeapBuilder::hardened).
//! - `valgrind`, `asan`: for debugging. Where the program runs under valgrind's memcheck, or AddressSanitizer's runtime
//!   is linked in, it is told of every block of a heap and place in an arena, so that it reports overflow, use after free and leaks as it does
//!   for `malloc`. Blocks are 16 bytes larger then, and a resize always moves. Elsewhere the features cost a load per call.

#![cfg_attr(loom, allow(dead_code, reason = "models use parts of the types they drive"))]
#![cfg_attr(
    not(feature = "allocator-api2-02"),
    allow(
        dead_code,
        unused_macros,
        reason = "handles' own paths are reached through the allocator traits, and what serves arenas and layers through that of 0.2"
    )
)]

#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub use allocator_api2_02 as allocator_api2;

mod checkers;
mod config;
mod raw;
mod sync;
mod threads;

#[cfg(not(loom))]
mod allocator_api;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
mod arena;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
mod by_02;
#[cfg(not(loom))]
mod clock;
#[cfg(all(feature = "conformance", not(loom)))]
pub mod conformance;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub mod context;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
mod debug;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
mod fixed_buffer;
#[cfg(not(loom))]
mod global;
#[cfg(not(loom))]
mod heap;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub mod layers;
#[cfg(not(loom))]
mod local_heap;
#[cfg(not(loom))]
mod pool;
#[cfg(not(loom))]
mod size_class;
#[cfg(not(loom))]
pub mod source;
#[cfg(not(loom))]
mod stats;
#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub mod temp;

#[cfg(not(loom))]
pub use self::{
    global::Global,
    heap::{
        BlockView, BuildError, ChunkRole, ChunkView, Heap, HeapBuilder, HeapWalk, LimitExceeded, LocalHeap,
        RouteError, WalkError,
    },
    pool::{BlockPool, LocalBlockPool, LocalPool, Pool, PoolBox, PoolBuilder, PoolError, PoolRefused},
    stats::{
        BlockStats, ByteStats, ClassKind, ClassStats, HeapStats, NamedArenaStats, ProcessStats, Stats,
        ThreadState, ThreadStats, stats,
    },
};

#[cfg(all(feature = "allocator-api2-02", not(loom)))]
pub use self::{
    arena::{Arena, ArenaBox, ArenaBuilder, ArenaError, ArenaPool, ArenaStats, Keep, Scope},
    debug::{Debug, Event, Mark, Misuse, Policy, Report, Trace},
    fixed_buffer::{FixedBuffer, RollbackStack, SharedFixedBuffer, StackFallback},
};

#[cfg(all(feature = "tlsf", not(loom)))]
pub use self::fixed_buffer::FixedHeap;

#[cfg(loom)]
mod models;

/// The code in the guides runs.
#[cfg(all(doctest, feature = "allocator-api2-02"))]
mod guides {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/ancestors.md")]
    struct Ancestors;
}
