//! Everything public, in one binary. What needs a process of its own is in a binary of its own.
#![cfg(unix)]

use blockyard::allocator_api2;

#[cfg(feature = "allocator-api2-04")]
mod api_04;
mod arena;
mod collections;
mod conformance;
mod context;
mod corpus;
mod cross_thread;
mod debug;
mod examples;
mod fixed_buffer;
mod heaps;
mod layers;
mod limit;
mod model;
#[path = "model/random.rs"]
mod model_random;
mod out_of_memory;
mod pool;
mod realloc;
mod sources;
mod stats;
#[path = "../support/mod.rs"]
mod support;
mod temp;
mod traits;
mod walk;
