//! Allocators around other allocators: budgets, failures on purpose, numbers, fallbacks.
//!
//! A layer is a plain struct over a child that is an [`Allocator`](crate::allocator_api2::alloc::Allocator), and is
//! one itself, so layers stack. What a stack costs and does can be read off its type.
//!
//! | layer | for |
//! |---|---|
//! | [`Limit`] | a budget in bytes, hard and soft |
//! | [`Failing`], [`check_all_failures`] | errors on purpose: does the program survive, does it leak? |
//! | [`Tracking`] | counts and bytes by tag, and what grew between two moments |
//! | [`Fallback`] | one allocator, then another |
//! | [`Segregate`] | one allocator for small blocks, another for large ones |
//! | [`Locked`] | one thread's allocator for several threads |
//! | [`Null`], [`Panicking`] | no memory at all: refuse it, or stop the program |
#![cfg_attr(feature = "tracing", doc = "| [`Logging`] | each call as an event of the `tracing` crate |")]
#![cfg_attr(not(feature = "tracing"), doc = "| `Logging` (feature `tracing`) | each call as an event |")]
//!
//! # What every layer keeps
//!
//! 1. **Forwarding.** `allocate_zeroed`, `grow`, `grow_zeroed` and `shrink` are the child's own: memory that is zero is
//!    not cleared again, and what grows in place goes on doing so. Only a block that changes its child moves.
//! 2. **Sizes.** A block is as long as was asked for, not longer, so that each byte is counted once. A block without
//!    bytes is always to be had and is never counted, limited or failed.
//! 3. **Alignment** is the child's business: each child serves the layout that was asked for.
//! 4. **Refusal.** A request that fails has changed nothing: the block that was to grow is where it was, with its
//!    contents, and the books do not know of it.
//! 5. **Equal clones.** A layer with books of its own (`Limit`, `Failing`, `Tracking`, `Locked`) is no `Clone`; share it
//!    by reference, which is an allocator too. The others are `Clone` where their children are.
//! 6. **Threads.** A layer is `Send` and `Sync` where its children are, and its books are exact on any number of
//!    threads. `Locked` alone adds `Sync`.
//! 7. **Panics.** No lock is held over a callback, and a callback that panics leaves the books right and no block
//!    lost: it is called before the child is asked, or its panic ends in the layer. `Locked` holds its lock over its
//!    child, which is what it is for.
//!
//! A child that is called again from inside its own call (by a callback, or a subscriber that logs into the same
//! stack) is called again: end such recursion yourself.
//!
#![cfg_attr(
    feature = "conformance",
    doc = "[`conformance`](crate::conformance) checks these laws, on your allocators too."
)]
#![cfg_attr(
    not(feature = "conformance"),
    doc = "The feature `conformance` has a suite that checks these laws, on your allocators too."
)]
//!
//! # Examples
//!
//! ```
//! use blockyard::{Global, allocator_api2::vec::Vec, layers::{Limit, Tracking}};
//!
//! let budget = Limit::new(Global, 1 << 20);
//! let tracking = Tracking::new(&budget);
//! let mut names = Vec::new_in(tracking.tag("names"));
//! names.extend_from_slice(&[7_u8; 1000]);
//! assert_eq!(budget.used(), 1000);
//! assert!(names.try_reserve(2 << 20).is_err());
//! assert_eq!(tracking.snapshot().tag("names").map(|tag| tag.bytes), Some(1000));
//! ```

mod around;
mod check_failures;
mod failing;
mod fallback;
mod limit;
mod locked;
#[cfg(feature = "tracing")]
mod logging;
mod null;
mod owns;
mod panicking;
mod segregate;
mod tracking;
mod transfer;

#[cfg(feature = "tracing")]
pub use self::logging::Logging;
pub use self::{
    check_failures::{FailureReport, Outcome, Trial, check_all_failures},
    failing::Failing,
    fallback::Fallback,
    limit::{Limit, SoftLimit},
    locked::Locked,
    null::Null,
    owns::{Owns, Unshared},
    panicking::Panicking,
    segregate::Segregate,
    tracking::{LiveBlock, TagGrowth, TagStats, Tagged, Tracking, TrackingGrowth, TrackingSnapshot},
};
