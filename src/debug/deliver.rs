//! How a report reaches somebody.

use core::cell::Cell;
use std::io::Write;
use std::process;
use std::thread;

use super::report::{Policy, Report};

thread_local! {
    /// This thread delivers a report just now.
    static DELIVERING: Cell<bool> = const { Cell::new(false) };
}

struct Delivering;

impl Delivering {
    /// `None` further down the stack of a delivery.
    fn begin() -> Option<Self> {
        (!DELIVERING.replace(true)).then(|| Self)
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        DELIVERING.set(false);
    }
}

/// Ends the process where what it stands for unwinds.
struct NoUnwind;

impl Drop for NoUnwind {
    fn drop(&mut self) {
        process::abort();
    }
}

fn print(report: &Report) {
    // Where standard error is closed there is nobody to tell.
    let _ = std::io::stderr().write_all(report.to_string().as_bytes());
}

/// Does with `reports` what `policy` says. No lock is held here. Does not unwind unless `may_unwind`.
#[cold]
#[inline(never)]
pub(super) fn deliver(policy: Policy, reports: &[Report], may_unwind: bool) {
    let guard = (!may_unwind).then(|| NoUnwind);
    match (policy, Delivering::begin()) {
        (Policy::Stderr, _) | (Policy::Call(_), None) => reports.iter().for_each(print),
        (Policy::Call(call), Some(_delivering)) => reports.iter().for_each(call),
        (Policy::Panic, _) if may_unwind && !thread::panicking() => {
            if let Some((first, rest)) = reports.split_first() {
                rest.iter().for_each(print);
                panic!("{first}");
            }
        }
        (Policy::Panic, _) if may_unwind => reports.iter().for_each(print),
        (Policy::Panic | Policy::Abort, _) => {
            reports.iter().for_each(print);
            process::abort();
        }
    }
    core::mem::forget(guard);
}
