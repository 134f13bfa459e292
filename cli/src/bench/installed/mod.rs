//! The suite's rows behind a real `#[global_allocator]`.
//!
//! A program has one global allocator, fixed when it is linked. So there is a program for each contender, in
//! the package `installed` beside this one; they share everything but the allocator. `built` has cargo build
//! them, `session` keeps one running for each contender, and `serve` is what they do: run one row when told
//! to. The rounds are those of the suite: all contenders in turn, in an order that changes, one at work at a
//! time. An allocator chosen when the program starts would need no programs, but a branch in every call.
//!
//! `programs` are well-known libraries at work, in the same programs, a process for each run.
//!
//! What else is in such a process comes from the same allocator: threads, channels, the rows' own arrays.

mod built;
pub(crate) mod programs;
mod serve;
mod session;

use std::rc::Rc;

use self::session::Session;
use super::contender::{Profile, Role, profiles};
use super::suite::{Contest, Row};
use super::workload::{self, Pace, Spec};

pub(crate) use self::built::Built;
pub use self::programs::{ProgramRun, ProgramSize, program_names};

pub use self::serve::{page_faults, peak_resident, processor_time, reset_peak, serve};
/// `rusty_alloc` as its documentation says that Rust callers should call it: its own `GlobalAlloc` is not in
/// the registry.
pub use super::contender::RustyAllocEntry as RustyAlloc;

/// Who can be a program's global allocator, in the order of the tables.
pub(crate) fn contenders() -> Vec<Profile> {
    let mut all = profiles();
    all.retain(|profile| match profile.role {
        Role::Ours => profile.name == "global",
        Role::Peer => true,
        Role::Limit => false,
    });
    all
}

/// The rows that `wanted` says yes to, with every contender that was built.
pub(crate) fn rows(
    threads: usize,
    built: &Built,
    wanted: impl Fn(&Spec) -> bool,
) -> anyhow::Result<Vec<Row>> {
    let mut sessions = Vec::new();
    for (profile, program) in built.each() {
        sessions.push((profile, Rc::new(Session::start(program, threads)?)));
    }
    let mut rows = Vec::new();
    for spec in workload::specs(threads).into_iter().filter(wanted) {
        let (name, pace) = (spec.name, spec.pace);
        let mut row = Row::new(spec, Contest::Installed);
        for (profile, session) in &sessions {
            let session = Rc::clone(session);
            row.enter(*profile, move |reps| match pace {
                Pace::Steady => session.round(name, reps),
                Pace::Once => session.another().round(name, reps),
            });
        }
        rows.push(row);
    }
    Ok(rows)
}
