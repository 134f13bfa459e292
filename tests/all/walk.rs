//! Walks show the live blocks, all of them and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{BlockView, ChunkRole, ChunkView, ClassKind, Heap, HeapWalk};
use proptest::prelude::*;

use crate::support::block::Block;
use crate::support::reconcile::{assert_empty, assert_reconciled};
use crate::support::{KIB, MARGIN, MIB, Rng, layout, team};

/// A block of any kind: of a class, a run, a mapping, aligned to segments.
fn any_block(rng: &mut Rng, heap: &Heap) -> Block {
    let (size, align) = match rng.below(64) {
        0 => (rng.below(5 * MIB) + 1, 8),
        1 | 2 => (rng.below(MIB) + 64 * KIB, 16),
        3 => (rng.below(64 * KIB) + 1, 1 << rng.below(17)),
        4 if rng.below(4) == 0 => (rng.below(KIB) + 64 * KIB, 4 * MIB),
        5..20 => (rng.below(64 * KIB) + 1, 8),
        _ => (rng.below(600) + 1, 8),
    };
    Block::new(&heap, layout(size, align), rng.below(8) == 0, rng.next()).expect("memory")
}

/// Address and usable size, by address.
fn expected<'a>(heap: &Heap, blocks: impl IntoIterator<Item = &'a Block>) -> Vec<(usize, usize)> {
    // SAFETY: the blocks are live and of this heap, and none is empty.
    let place = |block: &Block| (block.address(), unsafe { heap.usable_size(block.start()) });
    let mut places: Vec<_> = blocks.into_iter().map(place).collect();
    places.sort_unstable();
    places
}

fn shown(walk: &HeapWalk) -> Vec<(usize, usize)> {
    let mut places: Vec<_> = walk.blocks().map(|block| (block.address, block.size)).collect();
    places.sort_unstable();
    places
}

/// What holds of every walk and every list of chunks.
#[track_caller]
fn assert_chunks_are_sound(chunks: &[ChunkView]) {
    let mut places: Vec<_> = chunks.iter().map(|chunk| (chunk.address, chunk.size)).collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "no two overlap: {places:x?}");
    for chunk in chunks {
        assert!(chunk.used <= chunk.capacity, "{chunk:?}");
        assert!(chunk.capacity * chunk.block_size <= chunk.size, "{chunk:?}");
        let has_blocks = chunk.role == ChunkRole::Blocks;
        assert!(chunk.kind.is_some() == has_blocks || chunk.kind == Some(ClassKind::Mapping), "{chunk:?}");
        assert_eq!(chunk.owner.is_some(), chunk.thread.is_some(), "{chunk:?}");
        assert!(!has_blocks || chunk.owner.is_some() && chunk.capacity > 0, "{chunk:?}");
        assert!(chunk.segment <= chunk.address && chunk.segment.is_multiple_of(4 * MIB), "{chunk:?}");
        if let Some(ClassKind::Sized(size)) = chunk.kind {
            assert_eq!(size, chunk.block_size, "{chunk:?}");
        }
    }
}

#[track_caller]
fn assert_walk_is_sound(walk: &HeapWalk, heap: &Heap) {
    assert_chunks_are_sound(walk.chunks());
    let used: usize = walk.chunks().iter().map(|chunk| chunk.used).sum();
    assert_eq!(used, walk.blocks().count());
    let stats = heap.stats();
    assert_reconciled(&stats);
    assert_eq!(used as u64, stats.blocks.live(), "{stats}");
    let bytes: usize = walk.blocks().map(|block| block.size + MARGIN).sum();
    assert_eq!(bytes as u64, stats.bytes.in_blocks, "{stats}");
    for (owner, thread) in stats.threads.iter().enumerate() {
        let own = walk.blocks().filter(|block| block.owner == owner);
        assert_eq!(own.count() as u64, thread.blocks.live(), "thread {owner}\n{stats}");
        // Not by its number: another test's thread may have taken the record over by now.
    }
}

/// Threads that allocate and free, their own blocks and each other's. What lives in the end.
fn churn(
    heap: &Heap,
    mut live: Vec<Block>,
    seed: u64,
    threads: usize,
    ops: usize,
    to_the_end: bool,
) -> Vec<Block> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::channel::<Block>()).unzip();
    let (tell, told) = mpsc::channel();
    let work = |n: usize, inbox: mpsc::Receiver<Block>, mut live: Vec<Block>| {
        let (next, tell) = (senders[(n + 1) % threads].clone(), tell.clone());
        move || {
            let mut rng = Rng::new(seed ^ n as u64);
            for _ in 0..ops {
                match rng.below(16) {
                    0..8 => live.push(any_block(&mut rng, heap)),
                    8..11 if !live.is_empty() => {
                        // SAFETY: the block is of this heap.
                        unsafe { live.swap_remove(rng.below(live.len())).free(&heap) };
                    }
                    11..14 if !live.is_empty() => {
                        _ = next.send(live.swap_remove(rng.below(live.len())));
                    }
                    14 if rng.below(20) == 0 => heap.flush(),
                    15 if rng.below(40) == 0 => _ = heap.collect(),
                    // SAFETY: as above.
                    _ => inbox.try_iter().take(3).for_each(|block| unsafe { block.free(&heap) }),
                }
            }
            drop(next);
            live.extend(inbox.try_iter());
            _ = tell.send((live, inbox));
        }
    };
    let mut parts: Vec<Vec<Block>> = (0..threads).map(|_| Vec::new()).collect();
    for (n, block) in live.drain(..).enumerate() {
        parts[n % threads].push(block);
    }
    let jobs = receivers.into_iter().zip(parts).enumerate().map(|(n, (inbox, part))| work(n, inbox, part));
    if to_the_end {
        team(|team| jobs.for_each(|job| team.spawn(job)));
    } else {
        // Thread-locals may be dropped after this: the threads are still ending.
        thread::scope(|scope| jobs.for_each(|job| _ = scope.spawn(job)));
    }
    drop((senders, tell));
    // What was sent to a thread that had looked for the last time is in its channel still.
    for (part, inbox) in told {
        live.extend(part);
        live.extend(inbox);
    }
    live
}

fn free_all(heap: &Heap, blocks: Vec<Block>) {
    // SAFETY: the blocks are of this heap.
    blocks.into_iter().for_each(|block| unsafe { block.free(&heap) });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_walk_shows_what_lives(seed in any::<u64>(), threads in 1..5_usize, ops in 1..800_usize, to_the_end in any::<bool>()) {
        let mut heap = Heap::new();
        let mut live = Vec::new();
        // Walks in between change nothing for those who go on.
        for round in 0..3 {
            live = churn(&heap, live, seed ^ round, threads, ops, to_the_end);
            let walk = heap.walk().expect("never routed");
            prop_assert_eq!(shown(&walk), expected(&heap, &live));
            assert_walk_is_sound(&walk, &heap);
            live.iter().for_each(Block::verify);
            prop_assert_eq!(shown(&heap.walk().expect("never routed")), shown(&walk));
        }
        free_all(&heap, live);
        prop_assert_eq!(heap.walk().expect("never routed").blocks().count(), 0);
        assert_empty(&heap.stats());
    }
}

#[test]
fn what_waits_in_an_outbox_is_not_shown_and_its_thread_goes_on() {
    const COUNT: usize = 500;
    let heap = Heap::new();
    let barrier = Barrier::new(3);
    let mut mine: Vec<Block> = {
        let mut rng = Rng::new(7);
        (0..COUNT).map(|_| any_block(&mut rng, &heap)).collect()
    };
    let (theirs, kept) = (mine.split_off(COUNT / 2), mine);
    let (tell, told) = mpsc::channel();
    team(|team| {
        let (heap, barrier) = (&heap, &barrier);
        // Of each of my chunks a few blocks wait in two outboxes, and none of them is flushed.
        let mut parts = [Vec::new(), Vec::new()];
        for (n, block) in theirs.into_iter().enumerate() {
            parts[n % 2].push(block);
        }
        for part in parts {
            let tell = tell.clone();
            team.spawn(move || {
                let local = heap.local();
                let mut rng = Rng::new(part.len() as u64);
                free_all(heap, part);
                let own: Vec<Block> = (0..100).map(|_| any_block(&mut rng, heap)).collect();
                tell.send(expected(heap, &own)).expect("the test waits");
                barrier.wait();
                barrier.wait();
                // As if nothing had been.
                own.iter().for_each(Block::verify);
                free_all(heap, own);
                let more: Vec<Block> = (0..100).map(|_| any_block(&mut rng, heap)).collect();
                free_all(heap, more);
                local.flush();
            });
        }
        let mut places = expected(heap, &kept);
        for _ in 0..2 {
            places.extend(told.recv().expect("both tell"));
        }
        places.sort_unstable();
        barrier.wait();
        // SAFETY: the two others wait at the barrier.
        let walk = unsafe { heap.walk_while_quiet() };
        let stats = heap.stats();
        // Checks come when nobody waits any more, or a failure would hang.
        barrier.wait();
        assert_eq!(shown(&walk), places);
        assert_chunks_are_sound(walk.chunks());
        assert_eq!(places.len() as u64, stats.blocks.live(), "{stats}");
        assert!(stats.blocks.returned > 0, "the test is about foreign blocks");
        assert_eq!(stats.blocks.queued, 0, "all are home");
    });
    free_all(&heap, kept);
    assert_empty(&heap.stats());
}

#[test]
fn a_threads_own_walk_is_exact_while_others_run() {
    let heap = Heap::new();
    let stop = AtomicBool::new(false);
    team(|team| {
        let (heap, stop) = (&heap, &stop);
        for n in 0..2 {
            team.spawn(move || {
                let mut rng = Rng::new(n);
                let mut live = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    live.push(any_block(&mut rng, heap));
                    if live.len() > 60 {
                        free_all(heap, live.split_off(rng.below(60)));
                    }
                }
                free_all(heap, live);
            });
        }
        // Also when a check fails.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stopping = Stop(stop);
        let local = heap.local();
        let mut rng = Rng::new(99);
        let mut live: Vec<Block> = Vec::new();
        for _ in 0..200 {
            for _ in 0..20 {
                live.push(any_block(&mut rng, heap));
            }
            if live.len() > 300 {
                free_all(heap, live.split_off(rng.below(300)));
            }
            let walk = local.walk();
            assert_eq!(shown(&walk), expected(heap, &live));
            let own = walk.blocks().next().map(|block: BlockView| block.owner);
            assert!(walk.blocks().all(|block| Some(block.owner) == own));
            assert!(walk.chunks().iter().all(|chunk| chunk.role == ChunkRole::Blocks));
            assert_chunks_are_sound(walk.chunks());
            _ = heap.chunks();
        }
        drop(stopping);
        free_all(heap, live);
        assert_eq!(local.walk().blocks().count(), 0);
    });
    assert_empty(&heap.stats());
}

#[test]
fn chunks_of_a_quiet_heap_hold_what_a_walk_shows() {
    let heap = Heap::new();
    let live = churn(&heap, Vec::new(), 42, 3, 2000, true);
    let chunks = heap.chunks();
    assert_chunks_are_sound(&chunks);
    // SAFETY: all threads have been joined.
    let walk = unsafe { heap.walk_while_quiet() };
    let used: usize = chunks.iter().map(|chunk| chunk.used).sum();
    assert!(used >= live.len() && walk.blocks().count() == live.len());
    for exact in walk.chunks().iter().filter(|chunk| chunk.used > 0) {
        let about = chunks.iter().find(|chunk| chunk.address == exact.address).expect("it was there before");
        assert_eq!((about.kind, about.owner), (exact.kind, exact.owner));
        assert!(about.used >= exact.used, "{about:?} {exact:?}");
    }
    // All but the heads of mappings.
    let sum: usize = walk.chunks().iter().map(|chunk| chunk.size).sum();
    assert!(sum <= heap.stats().bytes.mapped);
    free_all(&heap, live);
}

#[test]
fn walks_and_threads_that_end_do_not_meet() {
    let mut heap = Arc::new(Heap::new());
    let mut kept: Vec<Block> = Vec::new();
    for round in 0..150 {
        let mine: Vec<Block> =
            (0..64).map(|_| Block::new(&&*heap, layout(64, 8), false, 1).expect("memory")).collect();
        let (tell, told) = mpsc::channel();
        let theirs = Arc::clone(&heap);
        // Not joined: it says that it is done, gives its handle up, and ends in its own time.
        thread::spawn(move || {
            free_all(&theirs, mine);
            let left = Block::new(&&*theirs, layout(round + 1, 8), false, 2).expect("memory");
            drop(theirs);
            _ = tell.send(left);
        });
        kept.push(told.recv().expect("it tells"));
        let walk = Arc::get_mut(&mut heap).expect("the other handle is gone").walk().expect("never routed");
        assert_eq!(shown(&walk), expected(&heap, &kept));
    }
    free_all(&heap, kept);
}

#[test]
fn a_heap_that_nobody_used_has_nothing() {
    let mut heap = Heap::new();
    assert_eq!((heap.chunks().len(), heap.walk().expect("never routed").chunks().len()), (0, 0));
    let local = heap.local();
    assert_eq!(local.walk().blocks().count(), 0);
    drop(local);
    assert!(heap.chunks().iter().all(|chunk| matches!(chunk.role, ChunkRole::Records | ChunkRole::Free)));
    assert_eq!(
        (&heap).allocate(layout(0, 8)).map(|_| heap.walk().expect("never routed").blocks().count()),
        Ok(0)
    );
}
