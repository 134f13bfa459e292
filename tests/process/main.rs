//! What only a process of its own can show: how many threads, how much memory, and what happens when
//! the program's own allocator has none. One test at a time.
#![cfg(unix)]

mod ends;
mod footprint;
mod hostile;
mod no_memory;
#[path = "../support/mod.rs"]
mod support;
mod thread_ends;

use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: hostile::Hostile = hostile::Hostile;

/// Keeps the other tests waiting.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
