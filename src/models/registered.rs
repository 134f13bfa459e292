//! Who reads the table of what lives, against those who leave it: by themselves, and as their last user does.

use std::ptr::NonNull;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::registry::{Member, Registry};
use super::{fails, holds};
use crate::sync::{AtomicPtr, Site};

/// A heap, to those who read statistics.
struct Heap {
    next_dead: AtomicPtr<Heap>,
    /// Written where its memory goes.
    memory: UnsafeCell<u32>,
}

// SAFETY: loom checks `memory`.
unsafe impl Sync for Heap {}

impl Member for Heap {
    fn next_dead(&self) -> &AtomicPtr<Self> {
        &self.next_dead
    }
}

struct World {
    registry: Registry<Heap>,
    /// What the thread counts that gives a heap up, and the reader reads: where loom looks for the other to come between.
    counted: AtomicUsize,
    /// Heaps that were released.
    released: AtomicUsize,
    first: NonNull<Heap>,
    second: NonNull<Heap>,
}

// SAFETY: the pointers are the model's.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

fn heap() -> NonNull<Heap> {
    NonNull::from(Box::leak(Box::new(Heap {
        next_dead: AtomicPtr::new(std::ptr::null_mut()),
        memory: UnsafeCell::new(0),
    })))
}

impl World {
    fn new(first: NonNull<Heap>, second: NonNull<Heap>) -> Self {
        let (counted, released) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { registry: Registry::new(), counted, released, first, second }
    }

    /// The end of a heap's memory.
    fn release(&self, heap: NonNull<Heap>) {
        // SAFETY: nobody reads it any more; loom reports anybody who does.
        unsafe {
            heap.as_ref().memory.with_mut(|memory| *memory += 1);
        }
        self.released.fetch_add(1, Ordering::Relaxed);
    }
    fn bury(&self) {
        self.registry.bury(|heap| self.release(heap));
    }
    fn read(&self) -> usize {
        let listed = self.registry.lock();
        // SAFETY: a listed heap is not released.
        let read = listed.iter().map(|heap| heap.memory.with(|memory| unsafe { *memory })).sum::<u32>();
        let count = listed.iter().count();
        assert_eq!(read, 0);
        self.counted.load(Ordering::Relaxed);
        drop(listed);
        self.bury();
        count
    }
}

/// One reads, one gives up a heap of which it was the last user, and one lists a heap and drops it again. `early` breaks the
/// protocol: that one releases it while it is listed.
fn readers_against_leavers(early: bool) {
    let (first, second) = (heap(), heap());
    let world = Arc::new(World::new(first, second));
    // SAFETY: the model's heaps stay until its end.
    assert!(unsafe { world.registry.lock().add(first) });
    let reader = {
        let world = Arc::clone(&world);
        thread::spawn(move || assert!(world.read() <= 2))
    };
    let leaver = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            // SAFETY: listed, and this thread is its last user.
            unsafe { world.registry.give_up(world.first) };
            world.counted.fetch_add(1, Ordering::Relaxed);
            world.bury();
        })
    };
    if early {
        // SAFETY: as above.
        assert!(unsafe { world.registry.lock().add(world.second) });
        world.release(world.second);
        _ = world.registry.lock().remove(world.second);
    }
    reader.join().unwrap();
    leaver.join().unwrap();
    assert_eq!(world.released.load(Ordering::Relaxed), 1 + usize::from(early), "nobody buried the dead");
    assert_eq!(world.registry.lock().iter().count(), 0);
    for heap in [world.first, world.second] {
        // SAFETY: nobody else is left.
        drop(unsafe { Box::from_raw(heap.as_ptr()) });
    }
}

/// As a heap that is made and dropped while another one dies and a third thread reads.
fn made_and_dropped() {
    let (first, second) = (heap(), heap());
    let world = Arc::new(World::new(first, second));
    // SAFETY: the model's heaps stay until its end.
    assert!(unsafe { world.registry.lock().add(first) });
    let reader = {
        let world = Arc::clone(&world);
        thread::spawn(move || _ = world.read())
    };
    // SAFETY: as above.
    assert!(unsafe { world.registry.lock().add(second) });
    world.bury();
    _ = world.registry.lock().remove(second);
    world.bury();
    world.release(second);
    reader.join().unwrap();
    for heap in [world.first, world.second] {
        // SAFETY: nobody else is left.
        drop(unsafe { Box::from_raw(heap.as_ptr()) });
    }
}

#[test]
fn the_dead_are_buried_by_who_comes_last() {
    holds("registry: a reader against a last user", || readers_against_leavers(false));
}

#[test]
fn a_heap_is_dropped_while_others_read() {
    holds("registry: a reader against making and dropping", made_and_dropped);
}

#[test]
#[should_panic = "Causality violation"]
fn a_heap_must_leave_the_registry_before_it_goes() {
    loom::model(|| readers_against_leavers(true));
}

#[test]
fn who_leaves_and_who_reads_must_look_after_saying_so() {
    fails(Site::Burial, || readers_against_leavers(false));
}
