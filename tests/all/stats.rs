//! Statistics: exact when threads are quiet, sane while they are not.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use blockyard::source::{Source, System};
use blockyard::{ClassKind, Heap, HeapStats, ThreadState};

use crate::support::block::Block;
use crate::support::reconcile::{assert_empty, assert_reconciled, assert_sent_is_received};
use crate::support::{KIB, MIB, Rng, layout, plain, team};

fn block(heap: &Heap, size: usize) -> Block {
    Block::new(&heap, layout(size, 8), false, size as u64).expect("memory")
}

fn free(heap: &Heap, blocks: impl IntoIterator<Item = Block>) {
    // SAFETY: the blocks are this heap's.
    blocks.into_iter().for_each(|block| unsafe { block.free(&heap) });
}

fn class(stats: &HeapStats, kind: ClassKind) -> blockyard::ClassStats {
    *stats.classes.iter().find(|class| class.kind == kind).unwrap_or_else(|| panic!("no {kind:?} in {stats}"))
}

#[test]
fn every_block_is_counted_where_it_belongs() {
    let heap = plain().build().expect("memory");
    let sizes = [1, 8, 9, 100, 129, 4000, 60_000, 64 * KIB, 65 * KIB, 500 * KIB, MIB, MIB + 1, 3 * MIB];
    let blocks = sizes.map(|size| block(&heap, size));
    let stats = heap.stats();
    assert_reconciled(&stats);
    assert_eq!((stats.blocks.allocated, stats.blocks.freed), (sizes.len() as u64, 0));
    assert_eq!(stats.bytes.requested, sizes.iter().sum::<usize>() as u64);
    for (kind, live) in [
        (ClassKind::Sized(8), 2),
        (ClassKind::Sized(16), 1),
        (ClassKind::Sized(104), 1),
        (ClassKind::Sized(144), 1),
        (ClassKind::Sized(4096), 1),
        (ClassKind::Sized(64 * KIB), 1),
        (ClassKind::Run, 3),
        (ClassKind::Mapping, 2),
    ] {
        assert_eq!(class(&stats, kind).blocks.live(), live, "{kind:?}");
    }
    // SAFETY: the blocks are live, of this heap, and not empty.
    let usable: usize = blocks.iter().map(|block| unsafe { heap.usable_size(block.start()) }).sum();
    assert_eq!(stats.bytes.in_blocks, usable as u64);
    free(&heap, blocks);
    assert_empty(&heap.stats());
}

#[test]
fn resizing_is_counted_as_requested() {
    let heap = Heap::new();
    let mut held = block(&heap, 100);
    for size in
        [104, 90, 97, 3000, 2900, 64 * KIB, 80 * KIB, 100 * KIB, 2 * MIB, 3 * MIB, 5 * MIB, 2 * MIB, 50]
    {
        // SAFETY: the block is this heap's.
        assert!(unsafe { held.resize(&&heap, layout(size, 8), false) });
        let stats = heap.stats();
        assert_reconciled(&stats);
        assert_eq!((stats.blocks.live(), stats.bytes.requested), (1, size as u64), "{stats}");
    }
    free(&heap, [held]);
    assert_empty(&heap.stats());
}

#[test]
fn a_block_freed_elsewhere_is_charged_to_its_owner() {
    const COUNT: u64 = 1000;
    let heap = Heap::new();
    let blocks: Vec<Block> = (0..COUNT).map(|_| block(&heap, 64)).collect();
    let (tell, told) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let heap = &heap;
        let worker = scope.spawn(move || {
            free(heap, blocks);
            tell.send("freed").expect("the test waits");
            wait.recv().expect("the test goes on");
            heap.flush();
            tell.send("flushed").expect("the test waits");
            wait.recv().expect("the test goes on");
        });
        let me = |stats: &HeapStats| stats.threads[0].blocks;

        assert_eq!(told.recv(), Ok("freed"));
        let stats = heap.stats();
        assert_reconciled(&stats);
        let (owner, all) = (me(&stats), stats.blocks);
        assert_eq!((owner.allocated, owner.freed, owner.queued), (COUNT, COUNT, COUNT), "{stats}");
        assert_eq!(stats.bytes.requested, 0, "on its way home is not live\n{stats}");
        assert!(all.returned <= COUNT && all.received == 0);

        go.send(()).expect("the worker waits");
        assert_eq!(told.recv(), Ok("flushed"));
        let stats = heap.stats();
        assert_reconciled(&stats);
        assert_sent_is_received(&stats);
        assert_eq!((stats.blocks.returned, me(&stats).queued), (COUNT, COUNT), "{stats}");
        assert_eq!(stats.threads.iter().filter(|thread| thread.state == ThreadState::Live).count(), 2);

        heap.collect();
        let stats = heap.stats();
        assert_sent_is_received(&stats);
        assert_empty(&stats);
        assert_eq!((me(&stats).received, me(&stats).queued), (COUNT, 0), "{stats}");
        go.send(()).expect("the worker waits");
        worker.join().expect("the worker's checks hold");
    });
}

/// Threads in rounds: work, stop, let one of them read and reconcile, go on.
#[test]
fn totals_reconcile_whenever_threads_are_quiet() {
    const THREADS: usize = 4;
    let heap = Heap::new();
    let barrier = Barrier::new(THREADS);
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<Block>()).unzip();
    team(|scope| {
        let (heap, barrier) = (&heap, &barrier);
        for n in (0..THREADS).rev() {
            let inbox = receivers.pop().expect("one each");
            let next = senders[(n + 1) % THREADS].clone();
            scope.spawn(move || {
                let mut rng = Rng::new(n as u64);
                let mut live = Vec::new();
                for round in 0..12 {
                    for _ in 0..400 {
                        let size = rng.power(12, 22);
                        live.push(block(heap, size));
                        if rng.below(3) > 0 {
                            let any = live.swap_remove(rng.below(live.len()));
                            next.send(any).expect("the next thread listens");
                        }
                        free(heap, inbox.try_recv());
                    }
                    if round % 3 == 2 {
                        heap.flush();
                    }
                    barrier.wait();
                    if n == 0 {
                        let stats = heap.stats();
                        assert_reconciled(&stats);
                        assert_eq!(stats, heap.stats(), "nothing happens, and nothing changes");
                        if round % 3 == 2 {
                            assert_sent_is_received(&stats);
                        }
                    }
                    barrier.wait();
                }
                free(heap, live);
                drop(next);
                barrier.wait();
                free(heap, inbox.try_iter());
            });
        }
        drop(senders);
    });
    assert_empty(&heap.stats());
    assert_sent_is_received(&heap.stats());
}

/// Readings taken all the time, while threads allocate, free for each other, end and begin.
#[test]
fn reading_while_others_work() {
    let heap = Heap::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (heap, done) = (&heap, &done);
        let reader = scope.spawn(move || {
            let mut last: HashMap<u64, u64> = HashMap::new();
            let mut readings = 0;
            while !done.load(Ordering::Relaxed) || readings < 10 {
                let stats = heap.stats();
                for stats in blockyard::stats().heaps.into_iter().chain([stats.clone()]) {
                    assert!(stats.blocks.live() <= stats.blocks.allocated);
                    for thread in &stats.threads {
                        assert!(thread.blocks.live() <= thread.blocks.allocated);
                    }
                    assert!(stats.to_string().contains("bytes: "));
                }
                let before = last.insert(heap.stats().id, stats.blocks.allocated).unwrap_or(0);
                assert!(stats.blocks.allocated >= before, "{} after {before}", stats.blocks.allocated);
                readings += 1;
            }
        });
        let workers = [0, 1, 2].map(|n| {
            scope.spawn(move || {
                for generation in 0..10 {
                    let work = move || {
                        let mut rng = Rng::new(n * 100 + generation);
                        let mut live = Vec::new();
                        for _ in 0..300 {
                            let size = rng.power(13, 22);
                            live.push(block(heap, size));
                            if live.len() > 40 {
                                let mut held = live.swap_remove(rng.below(live.len()));
                                let grown = layout(held.layout().size() * 2, 8);
                                // SAFETY: the block is this heap's.
                                assert!(unsafe { held.resize(&heap, grown, false) });
                                free(heap, [held]);
                            }
                        }
                        live
                    };
                    // Made by one thread, freed by another.
                    free(heap, scope.spawn(work).join().expect("checks hold"));
                }
            })
        });
        workers.into_iter().for_each(|worker| worker.join().expect("checks hold"));
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader's checks hold");
    });
    heap.collect();
    assert_empty(&heap.stats());
}

#[test]
fn collecting_gives_memory_back() {
    // So long that nothing goes back before it is collected, however slow the machine.
    let heap = Heap::builder().purge_delay(Duration::from_secs(3600)).build().expect("memory");
    for size in [64, 2000, 20 * KIB, 200 * KIB, 2 * MIB] {
        let before = heap.stats().bytes;
        let blocks: Vec<Block> = (0..16 * MIB / size).map(|_| block(&heap, size)).collect();
        let full = heap.stats().bytes;
        assert!(full.in_chunks >= 16 * MIB);
        free(&heap, blocks);
        let given = heap.collect();
        let after = heap.stats().bytes;
        let purged = (after.purged - before.purged) as usize;
        assert!(given >= 7 * MIB && given <= purged, "{given} of {purged} bytes, {size}-byte blocks");
        assert!(after.purged - before.purged >= 15 * MIB as u64, "{size}-byte blocks: {}", heap.stats());
        assert_eq!(after.in_chunks, 0, "{size}-byte blocks");
        assert!(after.mapped <= 8 * MIB, "{size}-byte blocks: {}", heap.stats());
    }
    assert_empty(&heap.stats());
}

#[test]
fn a_registered_heap_is_in_the_process_reading_until_it_goes() {
    let heap = Heap::builder().name("in the registry").build().expect("memory");
    let held = block(&heap, 100);
    let listed =
        || blockyard::stats().heaps.into_iter().find(|h| h.name.as_deref() == Some("in the registry"));
    let found = listed().expect("every heap is listed");
    assert_eq!(found, heap.stats());
    let stats = blockyard::stats();
    assert_eq!(stats.heaps[0].id, 1, "`Global` is the first");
    assert!(stats.heaps.is_sorted_by(|a, b| a.id < b.id));
    assert!(stats.process.mapped >= found.bytes.mapped && stats.process.mapped_peak >= stats.process.mapped);
    let text = stats.to_string();
    assert!(text.contains("in the registry") && text.contains("process: "), "{text}");
    free(&heap, [held]);
    drop(heap);
    assert_eq!(listed(), None);
}

#[test]
fn threads_are_named_while_they_live_and_after() {
    let heap = Heap::new();
    let named = thread::Builder::new().name("named".into());
    thread::scope(|scope| {
        let work = || {
            let held = block(&heap, 10);
            let stats = heap.stats();
            free(&heap, [held]);
            stats.threads.last().map(|thread| (thread.name.clone(), thread.state))
        };
        let seen = named.spawn_scoped(scope, work).expect("a thread").join().expect("checks hold");
        if cfg!(target_os = "linux") {
            assert_eq!(seen, Some((Some("named".into()), ThreadState::Live)));
        }
    });
    let stats = heap.stats();
    assert_eq!(stats.threads.len(), 1);
}

/// A source that has statistics read, on another thread, each time it is asked for memory.
struct Watched;

// SAFETY: every call is passed on to `System`, which keeps the contract.
unsafe impl Source for Watched {
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let stats = thread::spawn(blockyard::stats).join().expect("nothing panics");
        let heap =
            stats.heaps.iter().find(|heap| heap.name.as_deref() == Some("watched")).expect("it is listed");
        assert!(heap.bytes.in_chunks <= heap.bytes.in_chunks_peak, "{heap}");
        assert!(heap.bytes.in_chunks <= heap.bytes.mapped, "{heap}");
        if size > 100 * MIB { None } else { System.reserve(size, align) }
    }
    unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
        // SAFETY: passed on.
        unsafe { System.release(start, size, align) };
    }
}

/// A block that is still being made, or will be refused, is in no number.
#[test]
fn what_is_not_served_yet_is_not_counted() {
    let heap = Heap::builder().name("watched").source(Watched).build().expect("memory");
    for size in [10, 3 * MIB, 9 * MIB, 200 * MIB] {
        let made = Block::new(&&heap, layout(size, 8), false, 1);
        assert_eq!(made.is_none(), size > 100 * MIB);
        // SAFETY: the block is this heap's.
        made.into_iter().for_each(|block| unsafe { block.free(&&heap) });
    }
    heap.collect();
    assert_empty(&heap.stats());
}
