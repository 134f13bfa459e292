//! What destructors of thread-locals may do: everything, before and after our own has run.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, LazyLock, Mutex};
use std::thread;

use blockyard::{Heap, LocalHeap, ThreadState};

use crate::alone;
use crate::support::block::Block;
use crate::support::probe::{Habits, Probe};
use crate::support::reconcile::assert_reconciled;
use crate::support::{KIB, MARGIN, MIB, layout};

const SIZES: [usize; 6] = [8, 100, 5000, 40 * KIB, 200 * KIB, 2 * MIB];

/// Runs a function when its thread ends.
struct AtEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

thread_local! {
    /// Destructors run in the opposite order of first use.
    static FIRST: AtEnd = const { AtEnd(RefCell::new(None)) };
    static SECOND: AtEnd = const { AtEnd(RefCell::new(None)) };
}

/// Registers both: they end after everything that the thread uses later, and `SECOND` before `FIRST`.
fn register() {
    FIRST.with(|_| ());
    SECOND.with(|_| ());
}

fn at_end(local: &'static thread::LocalKey<AtEnd>, work: impl FnOnce() + 'static) {
    local.with(|at_end| *at_end.0.borrow_mut() = Some(Box::new(work)));
}

/// Runs on a new thread, and waits until that thread's locals have ended.
fn on_a_thread(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work).join().expect("the thread does not panic");
}

fn blocks(heap: &impl blockyard::allocator_api2::alloc::Allocator) -> Vec<Block> {
    let make = |size| Block::new(heap, layout(size, 8), size % 3 == 0, size as u64).expect("memory");
    SIZES.into_iter().map(make).collect()
}

fn free(heap: &impl blockyard::allocator_api2::alloc::Allocator, blocks: impl IntoIterator<Item = Block>) {
    // SAFETY: the tests free blocks where they allocated them.
    blocks.into_iter().for_each(|block| unsafe { block.free(heap) });
}

/// No thread is left that holds a part of the heap, and nothing is live in it.
fn assert_left(heap: &Heap) {
    heap.collect();
    let stats = heap.stats();
    assert_reconciled(&stats);
    assert_eq!((stats.blocks.live(), stats.bytes.requested), (0, 0), "{stats}");
    let with = |state| stats.threads.iter().filter(|thread| thread.state == state).count();
    assert_eq!((with(ThreadState::Live), with(ThreadState::Leased)), (1, 0), "this thread alone: {stats}");
    assert_eq!(stats.bytes.in_chunks, 0, "{stats}");
}

#[test]
fn a_shared_heap_serves_in_late_destructors() {
    let _alone = alone();
    static HEAP: LazyLock<Heap> = LazyLock::new(Heap::new);
    static LEFT: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    for round in 0..20 {
        on_a_thread(move || {
            register();
            let early = blocks(&&*HEAP);
            let foreign = std::mem::take(&mut *LEFT.lock().expect("nobody panics"));
            at_end(&SECOND, move || {
                // Our own destructor has run. Blocks of this thread, of others, and new ones.
                free(&&*HEAP, early);
                let mut late = blocks(&&*HEAP);
                for block in &mut late {
                    let larger = layout(block.layout().size() * 3, 8);
                    // SAFETY: the block is this heap's.
                    assert!(unsafe { block.resize(&&*HEAP, larger, round % 2 == 0) });
                }
                free(&&*HEAP, late.drain(..3));
                LEFT.lock().expect("nobody panics").extend(late);
                HEAP.flush();
                assert!(HEAP.stats().blocks.live() > 0);
            });
            at_end(&FIRST, move || {
                free(&&*HEAP, foreign);
                HEAP.collect();
            });
        });
    }
    free(&&*HEAP, std::mem::take(&mut *LEFT.lock().expect("nobody panics")));
    assert_left(&HEAP);
}

#[test]
fn a_handle_outlives_its_thread_s_own_destructor() {
    let _alone = alone();
    static HEAP: LazyLock<Heap> = LazyLock::new(Heap::new);
    static RAN: AtomicUsize = AtomicUsize::new(0);
    for _ in 0..20 {
        on_a_thread(|| {
            register();
            let local: LocalHeap<'static> = HEAP.local();
            let held = blocks(&local);
            at_end(&SECOND, move || {
                let clone = local.clone();
                free(&clone, held);
                drop(local);
                let again = blocks(&clone);
                // A handle made now is of another record, and lives on into the next destructor.
                let other = HEAP.local();
                let theirs = blocks(&other);
                free(&other, again);
                at_end(&FIRST, move || {
                    free(&clone, theirs);
                    clone.flush();
                    free(&other, blocks(&other));
                    RAN.fetch_add(1, Ordering::Relaxed);
                });
            });
        });
    }
    assert_eq!(RAN.load(Ordering::Relaxed), 20);
    assert_left(&HEAP);
}

#[test]
fn a_thread_may_use_a_heap_for_the_first_time_as_it_ends() {
    let _alone = alone();
    static HEAP: LazyLock<Heap> = LazyLock::new(Heap::new);
    static LEFT: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    for _ in 0..20 {
        on_a_thread(|| {
            at_end(&FIRST, || {
                let left = std::mem::replace(&mut *LEFT.lock().expect("nobody panics"), blocks(&&*HEAP));
                free(&HEAP.local(), left);
                at_end(&SECOND, || free(&&*HEAP, blocks(&HEAP.local())));
            });
        });
    }
    free(&&*HEAP, std::mem::take(&mut *LEFT.lock().expect("nobody panics")));
    assert_left(&HEAP);
}

/// Heaps that are made and dropped where only leases are to be had.
#[test]
fn heaps_live_and_die_in_late_destructors() {
    let _alone = alone();
    let probe = Probe::new(Habits::GOOD);
    for _ in 0..20 {
        let probe = probe.clone();
        on_a_thread(move || {
            register();
            let early = Heap::builder().source(probe.clone()).build().expect("memory");
            let held = blocks(&&early);
            at_end(&SECOND, move || {
                let late = Heap::builder().source(probe).build().expect("memory");
                let local = late.local();
                free(&local, blocks(&&late));
                free(&&early, held);
                drop(local);
                drop((late, early));
            });
        });
    }
    probe.assert_balanced();
}

/// Frees for others in the last destructor, while those others end too.
#[test]
fn threads_free_for_each_other_as_they_all_end() {
    let _alone = alone();
    static HEAP: LazyLock<Heap> = LazyLock::new(Heap::new);
    static SHARED: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    for _ in 0..30 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(|| {
                    register();
                    SHARED.lock().expect("nobody panics").extend(blocks(&&*HEAP));
                    let take = || {
                        let mut shared = SHARED.lock().expect("nobody panics");
                        let half = shared.len() / 2;
                        shared.split_off(half)
                    };
                    at_end(&SECOND, move || free(&&*HEAP, take()));
                    at_end(&FIRST, move || free(&&*HEAP, take()));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("the thread does not panic"));
    }
    free(&&*HEAP, std::mem::take(&mut *SHARED.lock().expect("nobody panics")));
    assert_left(&HEAP);
}

/// Frees what several threads left behind, all of which have ended.
fn leave_behind(heap: &Heap, size: usize, count: usize) {
    let together = Barrier::new(4);
    let make = |_| Block::new(&heap, layout(size, 8), false, 0);
    let left: Vec<Block> = thread::scope(|scope| {
        let work = || {
            together.wait();
            let blocks: Vec<Option<Block>> = (0..count).map(make).collect();
            together.wait();
            // Not before: the others would wait for a thread that panics.
            blocks.into_iter().map(|block| block.expect("memory")).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("there is memory")).collect()
    });
    free(&heap, left);
    heap.flush();
}

#[test]
fn what_many_threads_left_is_collected() {
    let _alone = alone();
    for size in [64, 3000, 40 * KIB] {
        let heap = Heap::new();
        leave_behind(&heap, size, 4);
        assert!(heap.stats().threads.len() >= 4);
        heap.collect();
        let stats = heap.stats();
        assert_eq!((stats.blocks.queued, stats.bytes.in_chunks), (0, 0), "{stats}");
    }
}

#[test]
fn what_many_threads_left_serves_where_memory_is_limited() {
    let _alone = alone();
    for wanted in [100 * KIB, MIB, 3 * MIB] {
        let heap = Heap::builder().limit(4 * MIB).build().expect("memory");
        leave_behind(&heap, 4096 - MARGIN, 15 * 16 - 1);
        let block = Block::new(&&heap, layout(wanted, 8), false, 0);
        let stats = heap.stats();
        free(&&heap, [block.unwrap_or_else(|| panic!("{wanted} bytes of {stats}"))]);
    }
}

/// A destructor after our own allocates on a record that it gives up at once, with what is free in it.
#[test]
fn what_late_destructors_left_free_is_collected() {
    let _alone = alone();
    static HEAP: LazyLock<Heap> = LazyLock::new(Heap::new);
    for n in 0..10 {
        on_a_thread(move || {
            register();
            let early = Block::new(&&*HEAP, layout(10, 1), false, 0).expect("memory");
            at_end(&FIRST, move || {
                let many: Vec<Block> = (0..n).flat_map(|_| blocks(&&*HEAP)).collect();
                free(&&*HEAP, many);
                free(&&*HEAP, [early]);
            });
        });
        assert_left(&HEAP);
    }
}
