//! The last block of a heap that was routed into, against the drop of its handle.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::references::References;
use super::{fails, holds};
use crate::raw::free_list::Block;
use crate::raw::return_queue::{Chain, Received, ReturnQueue};
use crate::sync::Site;
use crate::threads::ThreadRecord;

/// A heap with one local heap, whose one block is out.
struct World {
    references: References,
    inbox: ReturnQueue,
    /// The owner's; outlives the heap.
    record: ThreadRecord,
    /// Stands for all that the heap's end takes away: read by who is in the heap, written at the end.
    memory: UnsafeCell<u32>,
}

// SAFETY: loom checks `memory`.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    fn be_inside(&self) {
        // SAFETY: loom reports an end that does not come after this.
        self.memory.with(|memory| unsafe { *memory });
    }

    fn leave(&self) {
        if self.references.leave() {
            // SAFETY: nobody is inside any more; loom reports anybody who is.
            self.memory.with_mut(|memory| unsafe { *memory += 1 });
        }
    }

    /// The owner's visit to the slow path; true when it has signed off.
    fn visit(&self) -> bool {
        if !self.record.is_nudged() || !self.record.begin_sign_off() {
            return false;
        }
        self.be_inside();
        let back = match self.inbox.receive() {
            Some(Received::Chain(Chain { head, .. }) | Received::Mixed { head, .. }) => {
                // SAFETY: received, so it is ours.
                drop(unsafe { Box::from_raw(head) });
                true
            }
            None => false,
        };
        self.record.end_sign_off();
        if back {
            self.leave();
        }
        back
    }
}

fn last_block_against_drop() {
    let world = Arc::new(World {
        references: References::new(),
        inbox: ReturnQueue::new(),
        record: ThreadRecord::new(0, std::ptr::null()),
        memory: UnsafeCell::new(0),
    });
    world.references.hold(); // the local heap's
    let freer = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let block = Box::into_raw(Box::new(Block::unlinked()));
            world.references.hold();
            world.be_inside();
            // SAFETY: the block is given up here.
            unsafe {
                let chunk = std::ptr::null_mut();
                world.inbox.post(Chain { chunk, head: block, tail: block, count: 1, requested: 1 });
            }
            let dropped = world.references.is_dropped_by_now();
            world.leave();
            if dropped {
                world.record.set_nudged();
            }
        })
    };
    let dropper = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            world.references.drop_handle();
            world.record.set_nudged();
            world.leave();
        })
    };
    let mut signed_off = world.visit();
    freer.join().unwrap();
    dropper.join().unwrap();
    if !signed_off {
        signed_off = world.visit();
    }
    assert!(signed_off, "the owner was not told of its last block");
    // SAFETY: nobody else is left.
    assert_eq!(world.memory.with(|memory| unsafe { *memory }), 1, "the heap has one end");
}

#[test]
fn the_last_to_leave_ends_the_heap() {
    holds("a routed heap's last block against the drop of its handle", last_block_against_drop);
}

#[test]
fn who_leaves_must_release() {
    fails(Site::ReferenceLeft, last_block_against_drop);
}

#[test]
fn a_nudge_must_release() {
    fails(Site::Nudge, last_block_against_drop);
}

#[test]
fn who_sends_must_look_after_sending() {
    fails(Site::DroppedByNow, last_block_against_drop);
}
