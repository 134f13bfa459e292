//! What goes wrong around the library: no address space left, panics, forks. [`blockyard::Global`] is the program's
//! allocator, so whatever a fault leaves behind shows in the next test, too.
#![cfg(target_os = "linux")]

mod address_space;
mod fork;
mod panics;
#[path = "../support/mod.rs"]
mod support;

use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: blockyard::Global = blockyard::Global;

/// Tests that make processes have this one to themselves.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the ignored test of this name in a process of its own.
fn in_a_child(test: &str) -> ExitStatus {
    let program = std::env::current_exe().expect("it runs");
    let mut child = Command::new(program);
    child.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    child.status().expect("a process can be had")
}
