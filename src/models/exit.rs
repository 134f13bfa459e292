//! Threads that end, threads that adopt, and those who lease in between.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::holds;
use crate::raw::free_list::Block;
use crate::raw::return_queue::{Chain, Received, ReturnQueue};
use crate::threads::{OrphanList, ThreadRecord, ThreadState};

/// What a record owns: touched by its holder only.
struct Owned {
    record: ThreadRecord,
    /// Blocks that came home; stands for chunks, free lists and counters.
    home: UnsafeCell<u32>,
    inbox: ReturnQueue,
}

// SAFETY: the record is handed over by the orphan list; loom checks `home`.
unsafe impl Sync for Owned {}
// SAFETY: as above.
unsafe impl Send for Owned {}

impl Owned {
    /// The holder's work: take in what others sent.
    fn drain(&self) {
        // SAFETY: the caller holds the record; loom reports a second holder here.
        self.home.with_mut(|home| unsafe { *home += 0 });
        while let Some(received) = self.inbox.receive() {
            let (Received::Chain(Chain { mut head, .. }) | Received::Mixed { mut head, .. }) = received;
            while !head.is_null() {
                // SAFETY: received, so it is ours.
                unsafe {
                    let next = Block::next(head);
                    drop(Box::from_raw(head));
                    head = next;
                    self.home.with_mut(|home| *home += 1);
                }
            }
        }
    }
}

struct World {
    orphans: OrphanList,
    owned: Owned,
}

fn world() -> Arc<World> {
    Arc::new(World {
        orphans: OrphanList::new(),
        owned: Owned {
            record: ThreadRecord::new(0, std::ptr::null()),
            home: UnsafeCell::new(0),
            inbox: ReturnQueue::new(),
        },
    })
}

fn post_one(inbox: &ReturnQueue) {
    let block = Box::into_raw(Box::new(Block::unlinked()));
    // SAFETY: the block is new and given up here.
    unsafe {
        inbox.post(Chain { chunk: std::ptr::null_mut(), head: block, tail: block, count: 1, requested: 1 });
    }
}

/// A thread ends while another sends a block home, a third adopts, and the first of them to come leases.
/// `forget` breaks the protocol: the dying thread drains after it has listed its record.
fn exit_adoption_and_lease(forget: bool) {
    let world = world();
    let poster = {
        let world = Arc::clone(&world);
        thread::spawn(move || post_one(&world.owned.inbox))
    };
    let adopter = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            if world.orphans.take(ThreadState::Live).is_some() {
                world.owned.drain();
                // SAFETY: taken above.
                unsafe { world.orphans.put(&world.owned.record) };
            }
        })
    };
    if !forget {
        world.owned.drain();
    }
    // SAFETY: this thread holds the record, and gives it up.
    unsafe { world.orphans.put(&world.owned.record) };
    if forget {
        world.owned.drain();
    }
    // `collect`: a lease of this very record, if it is there.
    // SAFETY: the record lives as long as the model.
    if unsafe { world.orphans.take_this(&world.owned.record) } {
        world.owned.drain();
        // SAFETY: leased above.
        unsafe { world.orphans.put(&world.owned.record) };
    }
    poster.join().unwrap();
    adopter.join().unwrap();
    assert!(world.orphans.take(ThreadState::Leased).is_some(), "the record was lost");
    world.owned.drain();
    // SAFETY: nobody else is left.
    assert_eq!(world.owned.home.with(|home| unsafe { *home }), 1, "the late block was lost");
}

#[test]
fn a_record_has_one_holder_and_a_late_block_is_found() {
    holds("exit, adoption and lease", || exit_adoption_and_lease(false));
}

#[test]
#[should_panic = "Causality violation"]
fn a_holder_must_be_done_before_it_lists_its_record() {
    loom::model(|| exit_adoption_and_lease(true));
}
