//! `Heap::route`: whose are the bytes that any crate allocates.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use blockyard::{Heap, HeapStats, WalkError};
use rayon::prelude::*;

use crate::support::reconcile::{assert_empty, assert_reconciled};
use crate::support::{Rng, team};

/// The row of the heap with this name, if statistics have one.
fn row(name: &str) -> Option<HeapStats> {
    blockyard::stats().heaps.into_iter().find(|heap| heap.name.as_deref() == Some(name))
}

/// Whether a heap is gone. Where another test reads statistics just then, that one releases it when it is done.
fn is_gone(name: &str) -> bool {
    let look = |_| {
        let gone = row(name).is_none();
        if !gone {
            thread::sleep(Duration::from_millis(1));
        }
        gone
    };
    (0..1000).any(look)
}

fn named(name: &str) -> Heap {
    Heap::builder().name(name).build().expect("memory")
}

fn words(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("word number {n}")).collect()
}

#[test]
fn what_any_crate_allocates_is_the_heaps() {
    let heap = named("words");
    let made = heap.route(|| words(100)).expect("installed");
    let stats = heap.stats();
    assert_eq!(stats.blocks.live(), 101, "{stats}");
    assert!(stats.bytes.requested >= 1300, "{stats}");
    drop(words(100));
    assert_eq!(heap.stats().blocks.allocated, stats.blocks.allocated, "outside nothing is routed");
    drop(made);
    assert_empty(&heap.stats());
}

#[test]
fn routes_nest_and_end_with_panics() {
    let (outer, inner) = (named("outer"), named("inner"));
    let live = || (outer.stats().blocks.live(), inner.stats().blocks.live());
    let kept = RefCell::new(Vec::with_capacity(8));
    let keep = || kept.borrow_mut().push(Box::new(7_u64));
    outer
        .route(|| {
            keep();
            inner.route(keep).expect("installed");
            assert_eq!(live(), (1, 1));
            let thrown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                inner.route(|| {
                    keep();
                    std::panic::resume_unwind(Box::new("thrown"));
                })
            }));
            drop(thrown.expect_err("thrown"));
            keep();
            assert_eq!(live(), (2, 2));
        })
        .expect("installed");
    keep();
    assert_eq!(live(), (2, 2));
    kept.borrow_mut().clear();
    assert_eq!(live(), (0, 0));
}

#[test]
fn blocks_outlive_the_handle() {
    let heap = named("short-lived");
    let mut made = heap.route(|| words(1000)).expect("installed");
    drop(heap);
    let left = row("short-lived").expect("words live");
    assert_eq!(left.blocks.live(), 1001, "{left}");
    assert!(made.iter().enumerate().all(|(n, word)| *word == format!("word number {n}")));
    // They resize where they are, and elsewhere.
    made.iter_mut().for_each(|word| word.push('!'));
    made.iter_mut().for_each(String::shrink_to_fit);
    made.truncate(10);
    assert!(row("short-lived").is_some());
    drop(made);
    assert!(is_gone("short-lived"), "the last block is back");
}

#[test]
fn a_heap_without_blocks_goes_with_its_handle() {
    let heap = named("nothing left");
    drop(heap.route(|| words(1000)).expect("installed"));
    drop(heap);
    assert!(is_gone("nothing left"));
}

#[test]
fn blocks_go_home_from_other_threads_after_the_handle() {
    let heap = named("far");
    let made = heap.route(|| (words(500), vec![0_u8; 200_000], vec![0_u8; 3 << 20])).expect("installed");
    drop(heap);
    thread::spawn(move || drop(made)).join().expect("frees");
    // This thread lives: it sees to it when it next takes memory.
    blockyard::Global.collect();
    assert!(is_gone("far"));
}

#[test]
fn the_blocks_of_ended_threads_go_home_too() {
    let heap = Arc::new(named("orphaned"));
    let made = {
        let heap = heap.clone();
        thread::spawn(move || heap.route(|| words(500)).expect("installed")).join().expect("allocates")
    };
    drop(heap);
    assert!(row("orphaned").is_some());
    drop(made);
    // A record that another test's thread holds by now is seen to by that thread.
    while row("orphaned").is_some() {
        thread::spawn(|| blockyard::Global.collect()).join().expect("collects");
    }
}

/// A hardened heap resizes next to nothing where it is.
#[cfg(not(feature = "hardened"))]
#[test]
fn resizing_is_charged_to_the_blocks_heap() {
    let heap = named("resized");
    let mut inside = heap.route(|| Vec::<u8>::with_capacity(1000)).expect("installed");
    let mut outside = Vec::<u8>::with_capacity(1000);
    let mut large = heap.route(|| Vec::<u8>::with_capacity(1 << 18)).expect("installed");
    let mut big = heap.route(|| Vec::<u8>::with_capacity(5 << 20)).expect("installed");
    let requested = || heap.stats().bytes.requested;
    assert_eq!(requested(), 1000 + (1 << 18) + (5 << 20));
    // Within the block, so it stays where it is.
    inside.reserve_exact(1020);
    heap.route(|| outside.reserve_exact(1020)).expect("installed");
    large.shrink_to(200_000);
    big.shrink_to((5 << 20) - 5000);
    assert_eq!(requested(), 1020 + 200_000 + (5 << 20) - 5000);
    // To a larger block, which is of where the thread allocates then.
    heap.route(|| outside.reserve_exact(40_000)).expect("installed");
    inside.reserve_exact(40_000);
    assert_eq!(requested(), 40_000 + 200_000 + (5 << 20) - 5000);
    drop((inside, outside, large, big));
    assert_empty(&heap.stats());
}

#[test]
fn every_layout_finds_its_way() {
    let heap = named("layouts");
    let live = heap
        .route(|| {
            for shift in 0..24 {
                for size in [0_usize, 1, 100, 5000, 70_000, 2 << 20] {
                    let layout = std::alloc::Layout::from_size_align(size.max(1), 1 << shift).expect("valid");
                    // SAFETY: the layout is not empty, and each block is freed with its own.
                    unsafe {
                        let block = std::alloc::alloc_zeroed(layout);
                        assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
                        block.write(1);
                        let more = layout.size() * 2;
                        let block = std::alloc::realloc(block, layout, more);
                        assert!(*block == 1 && block.addr().is_multiple_of(layout.align()));
                        let doubled = std::alloc::Layout::from_size_align(more, 1 << shift).expect("valid");
                        std::alloc::dealloc(block, doubled);
                    }
                }
            }
            heap.stats().blocks.live()
        })
        .expect("installed");
    assert_eq!(live, 0);
}

#[test]
fn who_names_an_allocator_gets_it() {
    let heap = named("explicit");
    let made = heap
        .route(|| {
            let mut named = blockyard::allocator_api2::vec::Vec::new_in(blockyard::Global);
            named.extend(0..100);
            blockyard::temp::scope(|scratch| {
                assert_eq!(scratch.alloc_str("kept by the thread"), "kept by the thread")
            });
            named
        })
        .expect("installed");
    assert_eq!(heap.stats().blocks.live(), 0, "{}", heap.stats());
    drop(heap);
    assert!(is_gone("explicit"));
    assert_eq!(made.len(), 100);
}

#[test]
fn a_limit_is_soft_and_tells_once() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let heap = Heap::builder()
        .name("budget")
        .limit(1 << 20)
        .on_limit(|exceeded| {
            TOLD.fetch_add(1, Ordering::Relaxed);
            let text = format!("{exceeded}");
            assert!(text.contains("budget") && exceeded.in_use > exceeded.limit, "{text}");
        })
        .build()
        .expect("memory");
    for round in 1..=3 {
        let kept =
            heap.route(|| (0..200).map(|_| vec![1_u8; 20_000]).collect::<Vec<_>>()).expect("installed");
        assert_eq!(TOLD.load(Ordering::Relaxed), round);
        assert!(heap.stats().bytes.in_chunks > 1 << 20);
        drop(kept);
        heap.collect();
    }
    // For its own handles it is as hard as ever.
    let mut own = blockyard::allocator_api2::vec::Vec::<u8, _>::new_in(&heap);
    own.try_reserve(2 << 20).expect_err("limited");
}

#[test]
fn a_callback_that_panics_stops_nobody() {
    let heap = Heap::builder()
        .limit(1 << 16)
        .on_limit(|_| std::panic::resume_unwind(Box::new("thrown")))
        .build()
        .expect("memory");
    let kept = heap.route(|| vec![1_u8; 1 << 20]).expect("installed");
    assert_eq!(kept.len(), 1 << 20);
}

#[test]
fn a_hard_limit_is_one() {
    let heap = Heap::builder().limit(1 << 20).hard_limit().build().expect("memory");
    let refused = heap.route(|| Vec::<u8>::new().try_reserve(2 << 20).is_err()).expect("installed");
    assert!(refused);
}

#[test]
fn rayon_jobs_carry_the_route() {
    let heap = named("jobs");
    let made: Vec<String> =
        (0..10_000).into_par_iter().map(|n| heap.route(|| n.to_string()).expect("installed")).collect();
    let stats = heap.stats();
    assert_reconciled(&stats);
    assert_eq!(stats.blocks.live(), 10_000, "{stats}");
    // Freed where they fall, and nested parallelism inside a route.
    let lengths: usize = heap
        .route(|| made.into_par_iter().map(|text| (0..text.len()).into_par_iter().sum::<usize>()).sum())
        .expect("installed");
    assert!(lengths > 0);
}

#[test]
fn heaps_come_and_go_while_threads_swap_their_blocks() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 150;
    let barrier = Barrier::new(THREADS);
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<Vec<(u64, Vec<u64>)>>()).unzip();
    let shared: Mutex<Vec<Arc<Heap>>> = Mutex::default();
    let reading = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            while reading.load(Ordering::Relaxed) {
                let stats = blockyard::stats();
                assert!(stats.heaps.iter().all(|heap| heap.blocks.live() < 1 << 40), "{stats}");
            }
        });
        team(|scope| {
            for (n, inbox) in receivers.into_iter().enumerate() {
                let (senders, shared, barrier) = (senders.clone(), &shared, &barrier);
                scope.spawn(move || {
                    let mut rng = Rng::new(n as u64 + 1);
                    let mut kept = Vec::new();
                    barrier.wait();
                    for round in 0..ROUNDS {
                        let heap = match rng.below(3) {
                            0 => {
                                let heap = Arc::new(named("swapped"));
                                shared.lock().unwrap().push(heap.clone());
                                heap
                            }
                            1 => shared.lock().unwrap().pop().unwrap_or_else(|| Arc::new(named("swapped"))),
                            _ => Arc::new(named("swapped")),
                        };
                        let batch = heap.route(|| {
                            let value =
                                |rng: &mut Rng| 1 + rng.below(if round % 40 == 0 { 200_000 } else { 90 });
                            (0..40).map(|k| (k, vec![k * round; value(&mut rng)])).collect()
                        });
                        drop(heap);
                        let to = rng.below(THREADS);
                        senders[to].send(batch.expect("installed")).unwrap();
                        while let Ok(batch) = inbox.try_recv() {
                            for (k, values) in batch {
                                assert!(values.iter().all(|value| *value % k.max(1) == 0));
                                if rng.below(10) == 0 {
                                    kept.push(values);
                                }
                            }
                        }
                        kept.truncate(30);
                    }
                    drop(senders);
                    inbox.into_iter().for_each(drop);
                });
            }
            drop(senders);
        });
        reading.store(false, Ordering::Relaxed);
    });
    shared.lock().unwrap().clear();
    // Other tests' threads may hold records of ours by now.
    for _ in 0..1000 {
        if row("swapped").is_none() {
            return;
        }
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| blockyard::Global.collect());
            }
        });
    }
    panic!("{}", row("swapped").expect("just seen"));
}

#[test]
fn a_heap_that_was_routed_into_is_not_walked() {
    let mut heap = Heap::new();
    let local = heap.local();
    let word = heap.route(|| String::from("routed")).expect("installed");
    assert!(local.walk().blocks().any(|block| block.address == word.as_ptr().addr()));
    assert!(heap.chunks().iter().any(|chunk| chunk.used > 0));
    drop(local);
    assert_eq!(heap.walk(), Err(WalkError::Routed));
    drop(word);
    assert_eq!(heap.walk(), Err(WalkError::Routed));
}

#[test]
fn what_a_walk_takes_is_the_programs() {
    let heap = Heap::new();
    let local = heap.local();
    let live = heap.stats().blocks.live();
    let walk = heap.route(|| (local.walk(), heap.chunks())).expect("installed");
    assert_eq!(heap.stats().blocks.live(), live);
    drop(walk);
}
