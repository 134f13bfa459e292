//! The arena rows: a contest of its own, in the same rounds and tables.
//!
//! Arenas cannot be put behind the calls of an allocator without losing what they are for, so `contender`
//! has traits for what arenas do, each implemented with the calls that the users of the crate write.
//! `alloc`, `life`, `nest` and `team` are the workloads, which make rows of the suite out of them.

mod alloc;
mod contender;
mod life;
mod nest;
mod ours;
mod peers;
mod raw;
mod team;

use self::contender::{Arena, Owned, Role};
use super::contender::Profile;
use super::suite::{Contest, Row};
use super::workload::{Needs, Pace, Sample, Spec};

/// Everybody who takes part, in the order of the tables.
pub(crate) fn profiles() -> Vec<Profile> {
    let profile = |&(name, role): &(&'static str, Role)| Profile { name, role, collects: false };
    contender::ALL.iter().map(profile).collect()
}

/// What `--list` says about a contender.
pub(crate) fn about(name: &str) -> &'static str {
    match name {
        "arena" => "blockyard::Arena, over Global",
        "scope" => "blockyard::Scope, of an Arena: taken back by leaving it",
        "pool" => "blockyard::ArenaPool, on the rows with rayon; local() for every item",
        "pool-job" => "the same, local() once for every job of rayon's",
        "raw-bump" => "a pointer and its bound over memory that is there: what no arena can beat",
        "thread-bump" => "thread_local::ThreadLocal<bumpalo::Bump>, get_or_default() for every item",
        "bumpalo-herd" => "peer, get() once for every job of rayon's",
        "herd-item" => "the same peer, get() for every item",
        _ => "peer",
    }
}

/// The rows that `wanted` says yes to, with the contenders that are `invited`. `threads` is what the rows
/// with several threads use.
pub(crate) fn rows(
    threads: usize,
    invited: impl Fn(&Profile) -> bool,
    wanted: impl Fn(&Spec) -> bool,
) -> Vec<Row> {
    let mut rows = Rows { invited: &invited, wanted: &wanted, rows: Vec::new() };
    alloc::rows(&mut rows);
    life::rows(&mut rows);
    nest::rows(&mut rows);
    team::rows(threads, &mut rows);
    rows.rows
}

/// Rows in the making.
struct Rows<'a> {
    invited: &'a dyn Fn(&Profile) -> bool,
    wanted: &'a dyn Fn(&Spec) -> bool,
    rows: Vec<Row>,
}

impl Rows<'_> {
    /// Adds a row if it is wanted, with the contenders that `fill` enters.
    fn add(&mut self, spec: Spec, fill: impl FnOnce(&mut Entries<'_>)) {
        if !(self.wanted)(&spec) {
            return;
        }
        let mut entries = Entries { invited: self.invited, row: Row::new(spec, Contest::Arenas) };
        fill(&mut entries);
        if !entries.row.is_empty() {
            self.rows.push(entries.row);
        }
    }
}

/// The contenders of one row.
struct Entries<'a> {
    invited: &'a dyn Fn(&Profile) -> bool,
    row: Row,
}

impl Entries<'_> {
    fn enter(&mut self, name: &str, run: impl Fn(u64) -> Sample + 'static) {
        let profile = profiles().into_iter().find(|profile| profile.name == name);
        let profile = profile.expect("a contender of the list");
        if (self.invited)(&profile) {
            self.row.enter(profile, run);
        }
    }
}

/// Something to do with an arena of the calling thread's.
trait Workload: Copy + 'static {
    fn round<A: Arena>(self, reps: u64) -> Sample;

    fn enter_all(self, entries: &mut Entries<'_>) {
        self.enter::<ours::OneArena>(entries);
        self.enter::<ours::OneScope>(entries);
        self.enter::<peers::Bumpalo>(entries);
        self.enter::<peers::BumpScope>(entries);
        self.enter::<peers::Blink>(entries);
        self.enter::<raw::RawBump>(entries);
    }

    fn enter<A: Arena>(self, entries: &mut Entries<'_>) {
        entries.enter(A::NAME, move |reps| self.round::<A>(reps));
    }
}

/// Something to do with arenas that are made and dropped.
trait Brief: Copy + 'static {
    fn round<A: Owned>(self, reps: u64) -> Sample;

    fn enter_all(self, entries: &mut Entries<'_>) {
        self.enter::<ours::OneArena>(entries);
        self.enter::<peers::Bumpalo>(entries);
        self.enter::<peers::BumpScope>(entries);
        self.enter::<peers::Blink>(entries);
    }

    fn enter<A: Owned>(self, entries: &mut Entries<'_>) {
        entries.enter(A::NAME, move |reps| self.round::<A>(reps));
    }
}

/// A row on one thread.
fn spec(
    name: &'static str,
    group: &'static str,
    about: &'static str,
    op: &'static str,
    stresses: &'static str,
) -> Spec {
    Spec { name, group, about, op, stresses, threads: 1, needs: Needs::Anywhere, pace: Pace::Steady }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_row_runs_on_every_contender() {
        let rows = rows(2, |_| true, |_| true);
        assert!(rows.len() > 15);
        for row in &rows {
            for sample in row.run_each(1) {
                assert!(sample.ops > 0 && sample.elapsed > Duration::ZERO, "{}", row.spec.name);
            }
        }
    }

    #[test]
    fn contenders_can_be_left_out() {
        let only = rows(2, |profile| profile.name == "pool-job", |_| true);
        assert!(!only.is_empty() && only.iter().all(|row| row.spec.name.starts_with("arena-pool")));
    }

    #[test]
    fn every_row_is_an_arena_row_by_name() {
        assert!(rows(2, |_| true, |_| true).iter().all(|row| row.spec.is_called("arena")));
    }
}
