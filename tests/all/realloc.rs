//! Growing and shrinking across every boundary: classes, runs of chunks, mappings; and alignments.

use std::alloc::{GlobalAlloc, Layout};

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Global, Heap};

use crate::support::block::Block;
use crate::support::probe::{Habits, Probe};
use crate::support::reconcile::{assert_empty, assert_reconciled};
use crate::support::{KIB, MIB, layout, plain};

/// Sizes on both sides of every boundary, in the order of a growing block.
const SIZES: [usize; 19] = [
    0,
    1,
    8,
    9,
    128,
    129,
    1024,
    4096,
    40_000,
    64 * KIB - 1,
    64 * KIB,
    64 * KIB + 1,
    128 * KIB,
    700 * KIB,
    MIB - 1,
    MIB,
    MIB + 1,
    3 * MIB,
    9 * MIB,
];

/// Every size to every other, in both directions.
fn every_step(allocator: &impl Allocator) {
    for (seed, from) in SIZES.into_iter().enumerate() {
        for to in SIZES {
            let mut block =
                Block::new(allocator, layout(from, 8), seed % 2 == 0, seed as u64).expect("memory");
            // SAFETY: the block is this allocator's.
            unsafe {
                assert!(block.resize(allocator, layout(to, 8), to % 2 == 0), "{from} to {to}");
                block.free(allocator);
            }
        }
    }
}

/// One block up through all sizes and down again.
fn up_and_down(allocator: &impl Allocator) {
    let mut block = Block::new(allocator, layout(0, 1), false, 7).expect("memory");
    for size in SIZES.into_iter().chain(SIZES.into_iter().rev()) {
        // SAFETY: the block is this allocator's.
        assert!(unsafe { block.resize(allocator, layout(size, 1), false) });
    }
    // SAFETY: as above.
    unsafe { block.free(allocator) };
}

/// `grow` and `shrink` may change the alignment; the block is freed with the new one.
fn every_alignment(allocator: &impl Allocator) {
    let aligns = [1, 16, 4096, 64 * KIB, 128 * KIB, 2 * MIB, 4 * MIB, 8 * MIB];
    for from in aligns {
        for to in aligns {
            for (old, new) in [
                (100, 120),
                (5000, 100),
                (1500, 3000),
                (15 * KIB, 44 * KIB),
                (MIB + 1, MIB + 9),
                (2 * MIB, MIB + 1),
                (90 * KIB, 90 * KIB),
            ] {
                let mut block = Block::new(allocator, layout(old, from), false, old as u64).expect("memory");
                // SAFETY: the block is this allocator's.
                unsafe {
                    assert!(block.resize(allocator, layout(new, to), false));
                    block.free(allocator);
                }
            }
        }
    }
}

#[test]
fn a_heap_keeps_contents_across_boundaries() {
    let heap = Heap::new();
    every_step(&&heap);
    up_and_down(&&heap);
    assert_empty(&heap.stats());
}

#[test]
fn a_local_heap_keeps_contents_across_boundaries() {
    let heap = Heap::new();
    every_step(&heap.local());
    up_and_down(&heap.local());
    assert_empty(&heap.stats());
}

#[test]
fn global_keeps_contents_across_boundaries() {
    every_step(&Global);
    up_and_down(&Global);
}

#[test]
fn contents_survive_without_remapping() {
    let probe = Probe::new(Habits::POOR);
    let heap = Heap::builder().source(probe.clone()).build().expect("memory");
    every_step(&&heap);
    up_and_down(&heap.local());
    assert_empty(&heap.stats());
    drop(heap);
    probe.assert_balanced();
}

#[test]
fn alignment_may_change_with_the_size() {
    let heap = Heap::new();
    every_alignment(&&heap);
    every_alignment(&heap.local());
    every_alignment(&Global);
    assert_empty(&heap.stats());
}

/// A class rounds a small block up to its alignment. That makes no run of it, and keeps none.
#[test]
fn no_block_is_a_run_for_its_alignment() {
    let heap = Heap::new();
    let mut block = Block::new(&&heap, layout(20 * KIB, 8), false, 1).expect("memory");
    // SAFETY: the block is the heap's.
    unsafe {
        for (size, align) in [(40 * KIB, 8), (3000, 64 * KIB), (1500, 8), (3000, 64 * KIB)] {
            assert!(block.resize(&&heap, layout(size, align), false));
            assert_reconciled(&heap.stats());
        }
        block.free(&&heap);
    }
    assert_empty(&heap.stats());
}

#[test]
fn a_big_block_grows_without_copying_where_the_system_can() {
    let probe = Probe::new(Habits::GOOD);
    let heap = plain().source(probe.clone()).build().expect("memory");
    let mut block = Block::new(&&heap, layout(2 * MIB, 8), false, 1).expect("memory");
    for size in [8 * MIB, 32 * MIB, 4 * MIB] {
        // SAFETY: the block is this heap's.
        assert!(unsafe { block.resize(&&heap, layout(size, 8), false) });
    }
    let counts = probe.counts();
    assert_eq!((counts.reserved - 1, counts.remapped), (1, 3), "one mapping, and the heap's records");
    // SAFETY: as above.
    unsafe { block.free(&&heap) };
}

#[test]
fn a_block_resized_on_another_thread_is_the_same_block() {
    let heap = Heap::new();
    for size in SIZES {
        let mut block = Block::new(&&heap, layout(size, 16), false, 3).expect("memory");
        let block = std::thread::scope(|scope| {
            let resize = || {
                // SAFETY: the block is this heap's.
                assert!(unsafe { block.resize(&heap.local(), layout(size + 2, 16), false) });
                block
            };
            scope.spawn(resize).join().expect("the checks hold")
        });
        // SAFETY: as above.
        unsafe { block.free(&&heap) };
    }
    heap.collect();
    assert_empty(&heap.stats());
}

#[test]
fn a_refused_realloc_leaves_the_block() {
    let heap = Heap::builder().limit(4 * MIB).build().expect("memory");
    for size in [100, 100 * KIB, 2 * MIB] {
        let mut block = Block::new(&&heap, layout(size, 8), false, 5).expect("memory");
        for wanted in [8 * MIB, 1 << 40, isize::MAX as usize - 8 * MIB] {
            // SAFETY: the block is this heap's. `resize` verifies what is left when it is refused.
            assert!(!unsafe { block.resize(&&heap, layout(wanted, 8), false) });
        }
        // SAFETY: as above.
        unsafe { block.free(&&heap) };
    }
    assert_empty(&heap.stats());

    // SAFETY: the layouts are not empty, and the block is freed with its own.
    unsafe {
        let small = Layout::new::<[u64; 4]>();
        let block = Global.alloc(small);
        block.cast::<u64>().write(99);
        assert!(Global.realloc(block, small, isize::MAX as usize - 7).is_null());
        assert_eq!(block.cast::<u64>().read(), 99);
        Global.dealloc(block, small);
    }
}
