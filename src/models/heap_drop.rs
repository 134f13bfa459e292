//! A heap that is dropped while a thread ends that has sent, or is about to send, a block home in it.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::{LocalCore, holds};
use crate::raw::free_list::Block;
use crate::raw::return_queue::{Chain, Received};
use crate::threads::ThreadRecord;

/// A heap of two local heaps.
struct World {
    records: Vec<Box<ThreadRecord>>,
    locals: Vec<LocalCore>,
    /// Stands for the heap's memory: read by who is at work there, written where it is released.
    memory: UnsafeCell<u32>,
    /// The ending thread's outbox, which is in that memory: a block of the other local heap.
    waiting: UnsafeCell<*mut Block>,
}

// SAFETY: loom checks the cells; records and local heaps are reached as in the library.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    fn be_at_work(&self) {
        // SAFETY: loom reports a release that does not come after this.
        self.memory.with(|memory| unsafe { *memory });
    }

    /// `threads::end`: the record's lock is held for as long as its local heaps are looked at.
    fn end_thread(&self) {
        let first = self.records[0].locals.lock();
        let mut local = *first;
        // SAFETY: attached local heaps are alive, and linked under the lock.
        while let Some(own) = unsafe { local.as_ref() } {
            self.be_at_work();
            // SAFETY: the outbox is this thread's, if the local heap is still there.
            let block = self.waiting.with_mut(|block| unsafe { block.replace(std::ptr::null_mut()) });
            let chunk = std::ptr::null_mut();
            // SAFETY: the block is given up here.
            unsafe {
                self.locals[1].inbox().post(Chain {
                    chunk,
                    head: block,
                    tail: block,
                    count: 1,
                    requested: 1,
                });
                local = own.next_in_record();
            }
        }
    }

    fn release(&self) {
        // SAFETY: loom reports anybody who is at work.
        self.memory.with_mut(|memory| unsafe { *memory += 1 });
    }
}

/// `piecemeal` breaks the protocol: each local heap's memory goes before the next one is detached.
fn drop_against_last_poster(piecemeal: bool) {
    let records: Vec<_> = (0..2).map(|index| Box::new(ThreadRecord::new(index, std::ptr::null()))).collect();
    let locals = records.iter().map(|record| LocalCore::new(&raw const **record)).collect();
    let block = Box::into_raw(Box::new(Block::unlinked()));
    let (memory, waiting) = (UnsafeCell::new(0), UnsafeCell::new(block));
    let world = Arc::new(World { records, locals, memory, waiting });
    world.locals.iter().for_each(LocalCore::attach);
    let ending = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.end_thread())
    };
    // As `Heap::drop`.
    for local in world.locals.iter().rev() {
        local.detach();
        if piecemeal {
            world.release();
        }
    }
    world.release();
    // The block is in one of two places.
    // SAFETY: the heap is ours alone now; loom reports anybody who is still there.
    let mut left = self::take(&world);
    if let Some(Received::Mixed { head, .. } | Received::Chain(Chain { head, .. })) =
        world.locals[1].inbox().receive()
    {
        left.push(head);
    }
    assert_eq!(left, [block], "lost, or sent after the end");
    // SAFETY: made by a box, and found once.
    drop(unsafe { Box::from_raw(block) });
    ending.join().unwrap();
    // Nobody came after the end.
    assert!(world.locals[1].inbox().is_empty());
    assert!(world.records[0].locals.lock().is_null());
}

fn take(world: &World) -> Vec<*mut Block> {
    // SAFETY: as the caller's.
    let block = world.waiting.with(|block| unsafe { *block });
    if block.is_null() { Vec::new() } else { vec![block] }
}

#[test]
fn nobody_posts_into_a_heap_that_is_released() {
    holds("heap drop against a last poster", || drop_against_last_poster(false));
}

#[test]
#[should_panic = "Causality violation"]
fn all_local_heaps_must_be_detached_before_any_goes() {
    loom::model(|| drop_against_last_poster(true));
}
