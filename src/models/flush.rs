//! A thread that ends with blocks of others in its outbox, while their owner ends and somebody leases.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::outbox::Outbox;
use super::{LocalCore, fails, holds};
use crate::raw::chunk::Chunk;
use crate::raw::free_list::Block;
use crate::raw::return_queue::{Chain, Received};
use crate::sync::Site;
use crate::threads::{OrphanList, ThreadRecord, ThreadState};

/// A record and its local heap.
struct Owned {
    record: Box<ThreadRecord>,
    local: LocalCore,
    /// Touched by the record's holder only.
    outbox: UnsafeCell<Outbox>,
    /// Blocks that came home; the holder's.
    home: UnsafeCell<u64>,
}

struct World {
    orphans: OrphanList,
    sender: Owned,
    owner: Owned,
    /// The owner's.
    chunks: [Chunk; 2],
}

// SAFETY: records are handed over by the orphan list; loom checks what their holders touch.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl Owned {
    fn new(index: usize) -> Self {
        let record = Box::new(ThreadRecord::new(index, std::ptr::null()));
        let local = LocalCore::new(&raw const *record);
        Self { record, local, outbox: UnsafeCell::new(Outbox::new()), home: UnsafeCell::new(0) }
    }

    /// What the holder of a record does before it lists it.
    fn retire(&self) {
        // SAFETY: loom reports a second holder at the outbox or here.
        self.outbox.with_mut(|outbox| unsafe { (*outbox).flush(&self.local) });
        while let Some(received) = self.local.inbox().receive() {
            let (mut head, mut left) = match received {
                Received::Chain(Chain { head, count, .. }) => (head, count),
                Received::Mixed { head, .. } => (head, u32::MAX),
            };
            while left != 0 && !head.is_null() {
                // SAFETY: received, so it is ours.
                unsafe {
                    let next = Block::next(head);
                    drop(Box::from_raw(head));
                    head = next;
                    self.home.with_mut(|home| *home += 1);
                }
                left -= 1;
            }
        }
    }
}

/// The sender frees a block of each of the owner's chunks, and one more, and ends; the owner ends; whoever comes first
/// after one of them leases. `late` breaks the protocol: the sender lists its record before it flushes.
fn flush_exit_and_lease(late: bool) {
    let world = Arc::new(World {
        orphans: OrphanList::new(),
        sender: Owned::new(0),
        owner: Owned::new(1),
        chunks: [Chunk::new(), Chunk::new()],
    });
    for chunk in &world.chunks {
        chunk.set_class(0, 8);
        chunk.set_local(&raw const world.owner.local);
    }
    let sender = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let World { orphans, sender, chunks, .. } = &*world;
            for chunk in [&chunks[0], &chunks[1], &chunks[0]] {
                let block = Box::into_raw(Box::new(Block::unlinked()));
                // SAFETY: the block is new and given up here; loom reports a second holder.
                sender.outbox.with_mut(|outbox| unsafe { (*outbox).add(&sender.local, chunk, block, 8) });
            }
            if !late {
                sender.retire();
            }
            // SAFETY: this thread holds the record, and gives it up.
            unsafe { orphans.put(&raw const *sender.record) };
            if late {
                sender.retire();
            }
        })
    };
    let owner = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            world.owner.retire();
            // SAFETY: as above.
            unsafe { world.orphans.put(&raw const *world.owner.record) };
        })
    };
    if let Some(record) = world.orphans.take(ThreadState::Leased) {
        let is_sender = std::ptr::eq(record, &raw const *world.sender.record);
        (if is_sender { &world.sender } else { &world.owner }).retire();
        // SAFETY: leased above.
        unsafe { world.orphans.put(record) };
    }
    sender.join().unwrap();
    owner.join().unwrap();
    while world.orphans.take(ThreadState::Leased).is_some() {}
    world.owner.retire();
    // SAFETY: nobody else is left.
    assert_eq!(world.owner.home.with(|home| unsafe { *home }), 3, "lost or doubled");
    assert_eq!(world.owner.local.posted(), (3, 24));
}

#[test]
fn what_a_dying_thread_sends_comes_home() {
    holds("flush, exit and lease", || flush_exit_and_lease(false));
}

#[test]
#[should_panic = "Causality violation"]
fn a_thread_must_flush_before_it_lists_its_record() {
    loom::model(|| flush_exit_and_lease(true));
}

#[test]
fn what_is_flushed_must_be_released() {
    fails(Site::OverflowPost, || flush_exit_and_lease(false));
}
