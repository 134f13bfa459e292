//! `HeapBuilder::limit`: honoured, and no trap.

use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::{BuildError, Heap};

use crate::support::block::Block;
use crate::support::reconcile::{assert_empty, assert_reconciled};
use crate::support::{KIB, MIB, Rng, layout, plain, team};

fn limited(bytes: usize) -> Heap {
    Heap::builder().limit(bytes).build().expect("memory")
}

/// Allocates until the heap refuses.
fn fill(heap: &Heap, size: usize) -> Vec<Block> {
    let mut seed = 0;
    std::iter::from_fn(|| {
        seed += 1;
        Block::new(&heap, layout(size, 8), false, seed)
    })
    .collect()
}

fn free(heap: &Heap, blocks: Vec<Block>) {
    // SAFETY: the blocks are this heap's.
    blocks.into_iter().for_each(|block| unsafe { block.free(&heap) });
}

#[test]
fn a_limit_has_a_least_value() {
    assert_eq!(Heap::builder().limit(64 * KIB - 1).build().map(drop), Err(BuildError::LimitTooSmall));
    let heap = plain().limit(64 * KIB).build().expect("memory");
    assert_eq!(heap.stats().limit, Some(64 * KIB));
    assert!(Block::new(&&heap, layout(64 * KIB + 1, 8), false, 0).is_none());
    let blocks = fill(&heap, 64);
    assert_eq!(blocks.len(), 1024);
    free(&heap, blocks);
    assert_eq!(Heap::new().stats().limit, None);
}

/// Full, refused, emptied, and then full of something else.
#[test]
fn a_limit_is_reached_and_left_again() {
    const LIMIT: usize = 4 * MIB;
    let heap = limited(LIMIT);
    for size in [64, 64 * KIB, 48, 200 * KIB, 3000, 20 * KIB, MIB + 1, 1024, MIB, 3 * MIB, 24] {
        let blocks = fill(&heap, size);
        let stats = heap.stats();
        assert_reconciled(&stats);
        let most = stats.bytes.in_chunks_peak.max(stats.bytes.in_chunks);
        assert!(most <= LIMIT, "{size}-byte blocks: {stats}");
        let expected = LIMIT / size.next_power_of_two();
        assert!(blocks.len() >= expected / 2, "{} blocks of {size} bytes", blocks.len());
        free(&heap, blocks);
        assert_empty(&heap.stats());
    }
}

/// Where the heap is full, a block that is freed can be had again at once, wherever it is.
#[test]
fn a_block_freed_at_the_limit_is_there_for_the_next() {
    for size in [64, 1000, 9 * KIB, 64 * KIB, 200 * KIB] {
        let heap = limited(4 * MIB);
        let mut blocks = fill(&heap, size);
        let full = blocks.len();
        let mut rng = Rng::new(size as u64);
        for round in 0..20 {
            let some = (0..=round % 5).map(|_| blocks.swap_remove(rng.below(blocks.len())));
            free(&heap, some.collect());
            blocks.extend(fill(&heap, size));
            assert_eq!(blocks.len(), full, "{size}-byte blocks in round {round}: {}", heap.stats());
        }
        free(&heap, blocks);
        assert_empty(&heap.stats());
    }
}

/// What is free may serve any request: a limit counts it until somebody needs it.
#[test]
fn free_memory_does_not_count_against_a_big_block() {
    const LIMIT: usize = 4 * MIB;
    for small in [64, 1000, 20 * KIB, 60 * KIB, 300 * KIB] {
        for wanted in [100 * KIB, MIB, LIMIT - MIB, LIMIT - 128 * KIB] {
            let heap = limited(LIMIT);
            free(&heap, fill(&heap, small));
            let block = Block::new(&&heap, layout(wanted, 8), false, 0);
            let stats = heap.stats();
            let block = block.unwrap_or_else(|| panic!("{wanted} bytes after {small}-byte blocks: {stats}"));
            free(&heap, vec![block]);
        }
    }
}

#[test]
fn idle_mappings_come_back_within_the_limit() {
    const LIMIT: usize = 10 * MIB;
    let heap = limited(LIMIT);
    let [first, second] = [8800 * KIB, 2300 * KIB].map(|size| layout(size, 8));
    free(&heap, vec![Block::new(&&heap, first, false, 1).expect("within the limit")]);
    let small = Block::new(&&heap, second, false, 2).expect("within the limit");
    // The idle mapping would do, but it is larger than the request, and with it the limit is passed.
    let again = Block::new(&&heap, layout(7600 * KIB, 8), false, 3);
    let stats = heap.stats();
    assert!(stats.bytes.in_chunks <= LIMIT && stats.bytes.in_chunks_peak <= LIMIT, "{stats}");
    free(&heap, again.into_iter().chain([small]).collect());
}

#[test]
fn threads_share_a_limit() {
    const LIMIT: usize = 16 * MIB;
    let heap = limited(LIMIT);
    for round in 0..4 {
        team(|scope| {
            let heap = &heap;
            for thread in 0..4 {
                scope.spawn(move || {
                    let mut rng = Rng::new(round * 4 + thread);
                    let (mut live, mut refused) = (Vec::new(), 0);
                    while refused < 20 {
                        let size = [64, 1000, 30 * KIB, 100 * KIB, 2 * MIB][rng.below(5)];
                        match Block::new(&heap, layout(size, 8), rng.below(2) == 0, rng.next()) {
                            Some(block) => live.push(block),
                            None => {
                                refused += 1;
                                free(heap, live.split_off(live.len() / 2));
                            }
                        }
                        assert!(heap.stats().bytes.in_chunks <= LIMIT);
                    }
                    free(heap, live);
                });
            }
        });
        assert!(heap.stats().bytes.in_chunks_peak <= LIMIT, "{}", heap.stats());
    }
    heap.collect();
    assert_empty(&heap.stats());
}

#[test]
fn containers_report_the_limit() {
    let heap = limited(MIB);
    let mut bytes = HeapVec::<u8, _>::new_in(&heap);
    bytes.try_reserve(512 * KIB).expect("within the limit");
    bytes.try_reserve(2 * MIB).expect_err("beyond the limit");
    bytes.extend_from_slice(&[7; 1000]);
    assert!(bytes.iter().all(|&byte| byte == 7));
}

/// A request that fails leaves no mark in the peaks.
#[test]
fn peaks_count_what_was_served() {
    let heap = Heap::new();
    assert!(Block::new(&&heap, layout(1 << 60, 8), false, 0).is_none());
    assert!(Block::new(&&heap, layout(100, 1 << 60), false, 0).is_none());
    let stats = heap.stats();
    assert!(stats.bytes.in_chunks_peak < MIB, "{stats}");
}

/// Nor does one that fails while another thread is served.
#[test]
fn peaks_count_what_was_served_on_other_threads() {
    let heap = Heap::new();
    team(|scope| {
        scope.spawn(|| {
            (0..2000).for_each(|_| assert!(Block::new(&&heap, layout(1 << 60, 8), false, 0).is_none()))
        });
        for seed in 0..2000 {
            let block = Block::new(&&heap, layout(100 * KIB, 8), false, seed).expect("memory");
            free(&heap, vec![block]);
        }
    });
    let stats = heap.stats();
    assert!(stats.bytes.in_chunks_peak < 16 * MIB, "{stats}");
}
