//! Heaps by the thousand, and heaps that go while their threads are still ending.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{BuildError, Heap};

use crate::support::block::Block;
use crate::support::probe::{Habits, Probe};
use crate::support::reconcile::assert_empty;
use crate::support::{KIB, MIB, layout, team};

fn block(allocator: &impl Allocator, size: usize) -> Block {
    Block::new(allocator, layout(size, 8), false, size as u64).expect("memory")
}

fn free(allocator: &impl Allocator, blocks: impl IntoIterator<Item = Block>) {
    // SAFETY: the tests free blocks where they allocated them.
    blocks.into_iter().for_each(|block| unsafe { block.free(allocator) });
}

#[test]
fn two_thousand_heaps_live_at_once() {
    let heaps: Vec<Heap> = (0..2000).map(|_| Heap::new()).collect();
    let listed: HashSet<u64> = blockyard::stats().heaps.iter().map(|heap| heap.id).collect();
    assert!(heaps.iter().all(|heap| listed.contains(&heap.stats().id)));
    let blocks: Vec<Block> = heaps.iter().map(|heap| block(&heap, 100)).collect();
    for (n, (heap, block)) in heaps.iter().zip(&blocks).enumerate() {
        assert!(heap.owns(block.start().as_ptr()));
        assert!(!heaps[(n + 1) % heaps.len()].owns(block.start().as_ptr()));
    }
    // Half of them by another thread, which goes from heap to heap at every step.
    team(|scope| {
        scope.spawn(|| {
            for heap in heaps.iter().chain(&heaps).step_by(2) {
                free(&heap, [block(&heap, 50)]);
            }
        });
    });
    for (heap, block) in heaps.iter().zip(blocks) {
        free(&heap, [block]);
        assert_empty(&heap.stats());
    }
}

#[test]
fn heaps_come_and_go() {
    let probe = Probe::new(Habits::GOOD);
    for n in 0..2000 {
        let heap = Heap::builder().source(probe.clone()).build().expect("memory");
        if n % 4 != 0 {
            let sizes: &[usize] = if n % 50 == 1 { &[8, 100 * KIB, 2 * MIB] } else { &[8, 3000] };
            let held: Vec<Block> = sizes.iter().map(|&size| block(&&heap, size)).collect();
            if n % 4 == 1 {
                free(&&heap, held); // Otherwise they go with the heap.
            }
        }
    }
    probe.assert_balanced();
}

#[test]
fn a_heap_moves_with_its_blocks() {
    let heap = Heap::new();
    let held = block(&&heap, 1000);
    let boxed = Box::new(heap);
    held.verify();
    thread::spawn(move || {
        assert!(boxed.owns(held.start().as_ptr()));
        free(&&*boxed, [held]);
        assert_eq!(boxed.stats().blocks.live(), 0);
    })
    .join()
    .expect("the heap is as it was");
}

/// A scope ends when its threads' closures do. Their thread-locals, and so their parts of the heap,
/// may end later: while the heap is being dropped, and after that.
#[test]
fn a_heap_goes_while_its_threads_are_ending() {
    let probe = Probe::new(Habits::GOOD);
    for round in 0..400 {
        let heap = Heap::builder().source(probe.clone()).build().expect("memory");
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel::<Vec<Block>>()).unzip();
        thread::scope(|scope| {
            for (n, inbox) in receivers.into_iter().enumerate() {
                let (heap, next) = (&heap, senders[(n + 1) % 3].clone());
                scope.spawn(move || {
                    let blocks = (0..50).map(|seed| block(&heap, 16 << (seed % 9))).collect();
                    next.send(blocks).expect("the next thread listens");
                    let theirs = inbox.recv().expect("the thread before sends");
                    if round % 2 == 0 {
                        free(&heap, theirs); // They wait in the outbox for the thread's end.
                    }
                });
            }
        });
        drop(heap);
    }
    // Whoever still ends does not touch the heap, whose memory is gone.
    probe.assert_balanced();
}

/// The thread's end may come before, between and after the ends of many heaps.
#[test]
fn heaps_go_on_other_threads_than_they_were_used_on() {
    thread_local! {
        static HELD: RefCell<Vec<Heap>> = const { RefCell::new(Vec::new()) };
    }
    for round in 0..50 {
        let (send, inbox) = mpsc::channel();
        let user = thread::spawn(move || {
            HELD.with_borrow_mut(|held| {
                for n in 0..8 {
                    let heap = Heap::new();
                    block(&&heap, 100);
                    // Dropped by the other thread, or among this thread's locals.
                    if n % 2 == 0 { held.push(heap) } else { send.send(heap).expect("the test listens") }
                }
            });
        });
        let there: Vec<Heap> = inbox.into_iter().collect();
        if round % 2 == 0 {
            user.join().expect("nothing panics");
            drop(there);
        } else {
            drop(there);
            user.join().expect("nothing panics");
        }
    }
}

#[test]
fn builders_tell_what_they_are_told() -> Result<(), BuildError> {
    let heap = Heap::builder().name("named").limit(MIB).build()?;
    assert_eq!((heap.name(), heap.stats().limit), (Some("named"), Some(MIB)));
    let text = format!("{heap:?} {:?} {:?}", heap.local(), Heap::builder().name("other").limit(5));
    for part in ["named", "other", "limit", "1048576"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let error = Heap::builder().limit(5).build().expect_err("too little");
    assert!(error.to_string().contains("65536"), "{error}");
    Ok(())
}

/// The 64 KiB that a block lies in.
fn chunk_of(block: &Block) -> usize {
    block.start().as_ptr().addr() / (64 * KIB)
}

#[test]
fn a_few_small_blocks_do_not_take_chunks_that_others_filled() {
    let heap = Heap::new();
    let fill = || -> Vec<Block> { (0..20 * 64).map(|_| block(&&heap, KIB)).collect() };
    let filled = fill();
    let full: HashSet<usize> = filled.iter().map(chunk_of).collect();
    free(&&heap, filled);
    // Of these the heap has seen only what fits in a page.
    let few: Vec<Block> = (1..=16).map(|class| block(&&heap, class * 8)).collect();
    assert!(few.iter().all(|block| !full.contains(&chunk_of(block))));
    // They leave chunks that are nearly empty, for the next few blocks of any such class.
    let thin: HashSet<usize> = few.iter().map(chunk_of).collect();
    free(&&heap, few);
    thread::scope(|scope| {
        scope.spawn(|| {
            let others: Vec<Block> = (17..=24).map(|class| block(&&heap, class * 8)).collect();
            assert!(others.iter().all(|block| !full.contains(&chunk_of(block))));
            free(&&heap, others);
        });
    });
    // What is filled again is filled where memory is, and where it is not a thin chunk's.
    let again = fill();
    assert!(again.iter().all(|block| full.contains(&chunk_of(block)) && !thin.contains(&chunk_of(block))));
    free(&&heap, again);
}
