//! Blocks that change threads, with contents that are verified where they arrive.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::source::{Source, System};
use blockyard::{Global, Heap};

use crate::support::block::Block;
use crate::support::reconcile::{assert_empty, assert_reconciled, assert_sent_is_received};
use crate::support::{KIB, MARGIN, MIB, Rng, layout, team};

fn block(allocator: &impl Allocator, size: usize, seed: u64) -> Block {
    Block::new(allocator, layout(size, 16), seed.is_multiple_of(4), seed).expect("memory")
}

fn free(allocator: &impl Allocator, blocks: impl IntoIterator<Item = Block>) {
    // SAFETY: the tests free blocks where they allocated them.
    blocks.into_iter().for_each(|block| unsafe { block.free(allocator) });
}

/// A size of any kind of block, mostly small.
fn any_size(rng: &mut Rng) -> usize {
    let bound = rng.power(12, 22);
    1 + rng.below(bound)
}

/// Everyone sends to everyone, grows what arrives, keeps some of it and frees the rest.
fn exchange<A: Allocator + Copy + Send>(allocator: A) {
    const THREADS: usize = 4;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<Block>()).unzip();
    team(|scope| {
        for (n, inbox) in receivers.into_iter().enumerate() {
            let senders = senders.clone();
            scope.spawn(move || {
                let mut rng = Rng::new(n as u64);
                let mut live = Vec::new();
                for seed in 0..1500 {
                    let block = block(&allocator, any_size(&mut rng), seed);
                    senders[rng.below(THREADS)].send(block).expect("everyone listens to the end");
                    for mut block in inbox.try_iter().take(4) {
                        if rng.below(4) == 0 {
                            let larger = layout(block.layout().size() + rng.below(500), 8);
                            // SAFETY: as in `free`.
                            assert!(unsafe { block.resize(&allocator, larger, seed % 2 == 0) });
                        }
                        live.push(block);
                    }
                    while live.len() > 100 {
                        free(&allocator, [live.swap_remove(rng.below(live.len()))]);
                    }
                }
                drop(senders);
                free(&allocator, live);
                free(&allocator, inbox);
            });
        }
        drop(senders);
    });
}

#[test]
fn blocks_are_exchanged_through_a_heap() {
    let heap = Heap::new();
    exchange(&heap);
    heap.collect();
    assert_eq!(heap.stats().blocks.live(), 0);
}

#[test]
fn blocks_are_exchanged_through_global() {
    exchange(Global);
}

/// After mimalloc's stress test: threads come and go, swap blocks through shared slots, and leave
/// some behind for later generations.
#[test]
fn generations_of_threads_swap_blocks() {
    let heap = Heap::new();
    let slots: Vec<Mutex<Option<Block>>> = (0..200).map(|_| Mutex::new(None)).collect();
    for generation in 0..8 {
        team(|scope| {
            for n in 0..4 {
                let (heap, slots) = (&heap, &slots);
                scope.spawn(move || {
                    let local = heap.local();
                    let mut rng = Rng::new(generation * 4 + n);
                    let (mut kept, mut swapped) = (Vec::new(), 0);
                    while swapped < 400 {
                        let fresh = block(&local, any_size(&mut rng), swapped);
                        if rng.below(3) == 0 {
                            kept.push(fresh);
                            if rng.below(2) == 0 {
                                free(&local, [kept.swap_remove(rng.below(kept.len()))]);
                            }
                        } else {
                            let mut slot = slots[rng.below(slots.len())].lock().expect("nobody panics");
                            let found = slot.replace(fresh);
                            drop(slot);
                            free(&local, found);
                            swapped += 1;
                        }
                    }
                    free(&local, kept);
                });
            }
        });
    }
    free(&&heap, slots.into_iter().filter_map(|slot| slot.into_inner().expect("nobody panics")));
    heap.collect();
    assert_eq!(heap.stats().blocks.live(), 0);
}

/// The one that allocates never frees, the one that frees never allocates. What was freed is used
/// again all the same, so the heap stays small while blocks stream through it.
#[test]
fn streams_of_blocks_do_not_grow_the_heap() {
    for size in [16, 200, 3000, 20 * KIB, 150 * KIB] {
        let heap = Heap::new();
        let batch = (128 * KIB / size).clamp(4, 1000);
        let mut after_warm_up = 0;
        thread::scope(|scope| {
            let (send, inbox) = mpsc::sync_channel::<Vec<Block>>(0);
            let consumer = scope.spawn(|| inbox.into_iter().for_each(|blocks| free(&&heap, blocks)));
            for round in 0..60 {
                let blocks = (0..batch).map(|seed| block(&&heap, size, seed as u64)).collect();
                send.send(blocks).expect("the consumer listens");
                if round == 20 {
                    after_warm_up = heap.stats().bytes.in_chunks;
                }
            }
            drop(send);
            consumer.join().expect("contents are as written");
        });
        heap.collect();
        let stats = heap.stats();
        // Three batches are under way at most: one in each thread, and one on its way home.
        let slack = 4 * batch * size.next_multiple_of(64 * KIB).min(2 * size) + 512 * KIB;
        assert!(stats.bytes.in_chunks_peak <= after_warm_up + slack, "{size}-byte blocks\n{stats}");
        assert!(stats.blocks.allocated >= 60 * batch as u64);
        assert_empty(&stats);
        assert_sent_is_received(&stats);
    }
}

/// More senders than the return queue has room for, while the owner does not look.
#[test]
fn a_queue_that_is_full_loses_nothing() {
    const COUNT: usize = 40_000;
    let heap = Heap::new();
    for round in 0..3 {
        let mut blocks: Vec<Block> = (0..COUNT).map(|seed| block(&&heap, 40, seed as u64)).collect();
        // Neighbours go to different threads, so that chains stay short.
        let mut rng = Rng::new(round);
        for n in (1..COUNT).rev() {
            blocks.swap(n, rng.below(n + 1));
        }
        let barrier = Barrier::new(4);
        team(|scope| {
            for _ in 0..4 {
                let part = blocks.split_off(blocks.len() - COUNT / 4);
                let (heap, barrier) = (&heap, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    free(&heap, part);
                    heap.flush();
                });
            }
        });
        let stats = heap.stats();
        assert_eq!((stats.blocks.live(), stats.bytes.requested), (0, 0), "{stats}");
        heap.collect();
        let stats = heap.stats();
        assert_sent_is_received(&stats);
        assert_empty(&stats);
        assert_eq!(stats.blocks.queued, 0, "{stats}");
        assert!(stats.bytes.in_chunks <= 4 * 64 * KIB, "{stats}");
    }
}

/// Blocks of more owners than an outbox keeps apart, freed in no order at all, while some of their
/// owners live and others have ended.
#[test]
fn blocks_of_many_owners_find_their_ways_home() {
    const OWNERS: usize = 12;
    let heap = Heap::new();
    let (made, done) = (Barrier::new(OWNERS / 2 + 1), Barrier::new(OWNERS / 2 + 1));
    let blocks = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let owners: Vec<_> = (0..OWNERS)
            .map(|n| {
                let (heap, made, done, blocks) = (&heap, &made, &done, &blocks);
                scope.spawn(move || {
                    let sizes = [24, 600, 5000, 24, 30 * KIB];
                    let mine = (0..500).map(|seed| block(&heap, sizes[seed as usize % 5], seed));
                    blocks.lock().expect("nobody panics").extend(mine);
                    if n % 2 == 0 {
                        made.wait();
                        done.wait();
                        heap.collect();
                    }
                })
            })
            .collect();
        made.wait();
        let (ended, living): (Vec<_>, Vec<_>) = (0..).zip(owners).partition(|(n, _)| n % 2 == 1);
        ended.into_iter().for_each(|(_, owner)| owner.join().expect("there is memory"));
        let mut blocks = std::mem::take(&mut *blocks.lock().expect("nobody panics"));
        assert_eq!(blocks.len(), OWNERS * 500);
        let mut rng = Rng::new(1);
        for n in (1..blocks.len()).rev() {
            blocks.swap(n, rng.below(n + 1));
        }
        free(&&heap, blocks);
        let stats = heap.stats();
        assert_reconciled(&stats);
        assert_eq!((stats.blocks.live(), stats.bytes.requested), (0, 0), "{stats}");
        heap.flush();
        assert_sent_is_received(&heap.stats());
        done.wait();
        living.into_iter().for_each(|(_, owner)| owner.join().expect("nothing panics"));
    });
    heap.collect();
    assert_empty(&heap.stats());
}

/// Threads end while others hold their blocks; later threads take over what they left.
#[test]
fn blocks_outlive_their_threads() {
    let heap = Heap::new();
    let mut left = Vec::new();
    for generation in 0..30 {
        let made = thread::scope(|scope| {
            let work = || {
                let local = heap.local();
                let mut rng = Rng::new(generation);
                (0..200).map(|seed| block(&local, any_size(&mut rng), seed)).collect::<Vec<_>>()
            };
            scope.spawn(work).join().expect("there is memory")
        });
        left.extend(made);
        if left.len() > 1000 {
            free(&&heap, left.drain(..600));
        }
    }
    left.iter().for_each(Block::verify);
    free(&&heap, left);
    assert_empty(&heap.stats());
}

/// Zeroed blocks of a class whose blocks others are freeing all the time.
#[test]
fn zeroed_blocks_are_zero_whatever_comes_home() {
    let heap = Heap::new();
    team(|scope| {
        let (send, inbox) = mpsc::sync_channel::<Block>(64);
        scope.spawn(|| {
            for block in inbox {
                free(&&heap, [block]);
                heap.flush();
            }
        });
        let mut live = Vec::new();
        for seed in 0..6000 {
            live.push(Block::new(&&heap, layout(4000, 8), true, seed).expect("memory"));
            if seed % 64 == 63 {
                for block in live.drain(..) {
                    send.send(block).expect("the consumer listens");
                }
            }
        }
        free(&&heap, live);
    });
    heap.collect();
    assert_empty(&heap.stats());
}

/// The narrowest case of the above: blocks come home between the moment that a zeroed block finds
/// no memory and the moment that it has some.
#[test]
fn blocks_come_home_while_their_class_gets_a_chunk() {
    /// Calls out whenever it is asked for memory.
    struct Calling<F>(F);
    // SAFETY: every call is passed on to `System`, which keeps the contract.
    unsafe impl<F: Fn() + Send + Sync> Source for Calling<F> {
        fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
            System.reserve(size, align)
        }
        unsafe fn commit(&self, _: NonNull<u8>, _: usize) -> bool {
            self.0();
            true
        }
        unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
            // SAFETY: passed on.
            unsafe { System.release(start, size, align) };
        }
    }

    let (ask, asked) = mpsc::channel();
    let (answer, answered) = mpsc::channel();
    let calls = (Mutex::new((ask, answered)), AtomicUsize::new(usize::MAX));
    let calls: &'static _ = Box::leak(Box::new(calls));
    let call = move || {
        let (channels, after) = calls;
        if after.fetch_sub(1, Ordering::Relaxed) == 0 {
            let (ask, answered) = &*channels.lock().expect("nobody panics");
            ask.send(()).expect("the other thread listens");
            answered.recv().expect("the other thread answers");
        }
    };
    let heap = Heap::builder().source(Calling(call)).build().expect("memory");
    // A chunk full of blocks, and one more chunk that is in use by the other thread.
    let mut blocks: Vec<Block> = (0..64).map(|seed| block(&&heap, 1024 - MARGIN, seed)).collect();
    thread::scope(|scope| {
        let some = blocks.split_off(54);
        let (ready, wait) = mpsc::channel();
        let heap = &heap;
        let other = scope.spawn(move || {
            let held = block(&heap, 8, 1);
            ready.send(()).expect("the test waits");
            asked.recv().expect("the source calls");
            free(&heap, some);
            heap.flush();
            answer.send(()).expect("the source waits");
            free(&heap, [held]);
        });
        wait.recv().expect("the other thread has a part of the heap");
        calls.1.store(0, Ordering::Relaxed);
        blocks.push(Block::new(&heap, layout(1024 - MARGIN, 8), true, 0).expect("memory"));
        other.join().expect("contents are as written");
    });
    free(&&heap, blocks);
    heap.collect();
    let stats = heap.stats();
    assert_empty(&stats);
    assert_eq!(stats.bytes.in_chunks, 0, "{stats}");
}

#[test]
fn many_threads_share_one_big_block_after_another() {
    let heap = Heap::new();
    let mut held = block(&&heap, MIB, 1);
    for n in 1..20 {
        held = thread::scope(|scope| {
            let grow = || {
                // SAFETY: as in `free`.
                assert!(unsafe { held.resize(&&heap, layout((n % 7 + 1) * MIB, 8), n % 2 == 0) });
                held
            };
            scope.spawn(grow).join().expect("contents are as written")
        });
    }
    free(&&heap, [held]);
    assert_empty(&heap.stats());
}
