//! Everything public, in one binary. What needs a process of its own is in a binary of its own.
#![cfg(unix)]

#[cfg(feature = "allocator-api2-04")]
mod api_04;
mod collections;
mod cross_thread;
mod examples;
mod heaps;
mod limit;
mod model;
mod out_of_memory;
mod realloc;
mod sources;
mod stats;
mod support;
mod thread_ends;
mod traits;
