//! A reader of statistics against a writer that unmaps.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::reader_gate::ReaderGate;
use super::{fails, holds};
use crate::sync::Site;

struct Segment {
    gate: ReaderGate,
    linked: AtomicBool,
    /// Written where the segment would be unmapped.
    memory: UnsafeCell<u32>,
}

fn reader_against_unmapping() {
    let segment = Arc::new(Segment {
        gate: ReaderGate::new(),
        linked: AtomicBool::new(true),
        memory: UnsafeCell::new(0),
    });
    let reader = {
        let segment = Arc::clone(&segment);
        thread::spawn(move || {
            segment.gate.enter();
            if segment.linked.load(Ordering::Acquire) {
                // SAFETY: found linked inside the gate; loom reports a racing write.
                segment.memory.with(|memory| unsafe { *memory });
            }
            segment.gate.leave();
        })
    };
    segment.linked.store(false, Ordering::Release);
    if segment.gate.is_free() {
        // SAFETY: unlinked, and no reader is inside.
        segment.memory.with_mut(|memory| unsafe { *memory = 1 });
    }
    reader.join().unwrap();
}

#[test]
fn what_a_reader_found_stays_mapped() {
    holds("reader gate: a reader against unmapping", reader_against_unmapping);
}

#[test]
fn entering_needs_its_fence() {
    fails(Site::GateEnter, reader_against_unmapping);
}

#[test]
fn leaving_must_release() {
    fails(Site::GateLeave, reader_against_unmapping);
}
