//! An owner that comes without a lock against a visitor that closes its way.

use loom::sync::Arc;
use loom::thread;

use super::{fails, holds};
use crate::sync::Site;
use crate::threads::Biased;

fn owner_against_visitor() {
    let biased = Arc::new(Biased::new(0_u32, true));
    let owner = {
        let biased = Arc::clone(&biased);
        // Under the lock the second time, if the visitor came between; then the way is open again.
        thread::spawn(move || {
            for _ in 0..2 {
                // SAFETY: this thread alone calls it.
                unsafe { biased.own() }.with(|value| *value += 1);
            }
        })
    };
    biased.visit().with(|value| *value += 1);
    owner.join().unwrap();
    assert_eq!(biased.visit().with(|value| *value), 3);
}

#[test]
fn one_at_a_time_is_at_the_value() {
    holds("a value with an owner", owner_against_visitor);
}

#[test]
fn the_owners_barrier_is_needed() {
    fails(Site::BiasEnter, owner_against_visitor);
}

#[test]
fn the_visitors_barrier_is_needed() {
    fails(Site::BiasClose, owner_against_visitor);
}

#[test]
fn leaving_must_release() {
    fails(Site::BiasLeave, owner_against_visitor);
}
