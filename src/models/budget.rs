//! Threads that take of a budget on lines of their own against one that closes the lines.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

use super::fails;
use crate::sync::Site;
use crate::threads::{Budget, Line};

/// What `Limit` does: a budget, and a line for each thread.
struct Limited {
    budget: Budget,
    lines: [Line; 2],
    /// Bytes that threads have, as they see it.
    have: AtomicUsize,
}

const HARD: usize = 4;

impl Limited {
    /// The first thread's line is open.
    fn new() -> Self {
        let limited =
            Self { budget: Budget::new(HARD), lines: [Line::new(), Line::new()], have: AtomicUsize::new(0) };
        assert!(limited.take(0, 1));
        limited.give(0, 1);
        limited
    }

    fn take(&self, thread: usize, bytes: usize) -> bool {
        let line = &self.lines[thread];
        let is_taken = line.take(bytes) || line.lower_to_left().is_some() || {
            let stored = line.undo(bytes as isize);
            self.budget.take(Some(line), Some(stored), bytes, || self.lines.iter()).is_some()
        };
        if is_taken {
            let had = self.have.fetch_add(bytes, Relaxed);
            assert!(had + bytes <= HARD, "{had} bytes and {bytes} more");
        }
        is_taken
    }

    fn give(&self, thread: usize, bytes: usize) {
        self.have.fetch_sub(bytes, Relaxed);
        let line = &self.lines[thread];
        if !line.give(bytes) {
            let stored = line.undo(-(bytes as isize));
            self.budget.give(Some(line), Some(stored), bytes, || self.lines.iter());
        }
    }

    fn used(&self) -> usize {
        self.budget.read(self.lines.iter()).0
    }
}

/// Two threads want more than there is together.
fn never_too_much() {
    let limited = Arc::new(Limited::new());
    let other = {
        let limited = Arc::clone(&limited);
        thread::spawn(move || limited.take(1, 3))
    };
    let had = limited.take(0, 2);
    let other_had = other.join().unwrap();
    assert!(had != other_had, "one of them gets what it wants: {had}, {other_had}");
    assert_eq!(limited.used(), if had { 2 } else { 3 });
}

/// What one thread gives back another one may have.
fn nothing_is_lost() {
    let limited = Arc::new(Limited::new());
    assert!(limited.take(0, 2));
    let other = {
        let limited = Arc::clone(&limited);
        thread::spawn(move || limited.take(1, 2) && !limited.take(1, HARD))
    };
    limited.give(0, 2);
    assert!(limited.take(0, 1));
    assert!(other.join().unwrap(), "there were two bytes all the time, and never four more");
    assert_eq!(limited.used(), 3);
    limited.give(0, 1);
    limited.give(1, 2);
    assert_eq!(limited.used(), 0);
    assert!(limited.take(1, HARD));
}

#[test]
fn nobody_is_given_what_does_not_fit() {
    loom::model(never_too_much);
}

#[test]
fn a_line_that_is_closed_keeps_its_books() {
    loom::model(nothing_is_lost);
}

#[test]
fn the_owners_barrier_is_needed() {
    fails(Site::BiasEnter, never_too_much);
}

#[test]
fn the_closers_barrier_is_needed() {
    fails(Site::BiasClose, never_too_much);
}
