//! Heaps over sources of every kind: poor ones, foreign ones, ones that leave garbage.

use std::alloc::System as Malloc;
use std::time::Duration;

use blockyard::Heap;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::source::{FromAlloc, Purged};

use crate::support::block::Block;
use crate::support::probe::{Habits, Probe};
use crate::support::reconcile::assert_empty;
use crate::support::{KIB, MIB, Rng, layout, plain, team};

const KINDS: [Purged; 3] = [Purged::Zeroed, Purged::Unspecified, Purged::Kept];

/// A block for each size; every other one zeroed.
fn blocks(heap: &Heap, sizes: impl IntoIterator<Item = usize>) -> Vec<Block> {
    let make = |(seed, size)| Block::new(&heap, layout(size, 8), seed % 2 == 0, seed as u64).expect("memory");
    sizes.into_iter().enumerate().map(make).collect()
}

fn free(heap: &Heap, blocks: impl IntoIterator<Item = Block>) {
    // SAFETY: the blocks are this heap's.
    blocks.into_iter().for_each(|block| unsafe { block.free(&heap) });
}

#[test]
fn memory_that_was_purged_serves_again() {
    for purged in KINDS {
        for fresh_is_zero in [true, false] {
            let probe = Probe::new(Habits { purged, fresh_is_zero, ..Habits::GOOD });
            let heap = Heap::builder().source(probe.clone()).build().expect("memory");
            let keep = blocks(&heap, [64]);
            for size in [8, 64, 1000, 5000, 9 * KIB, 20 * KIB, 57 * KIB, 300 * KIB, 2 * MIB] {
                let count = (3 * MIB / size).clamp(3, 2000);
                for _ in 0..3 {
                    let many = blocks(&heap, std::iter::repeat_n(size, count));
                    free(&heap, many);
                    heap.collect();
                }
            }
            free(&heap, keep);
            assert_empty(&heap.stats());
            assert!(probe.counts().purged > 0 || purged == Purged::Kept, "{purged:?}");
            drop(heap);
            probe.assert_balanced();
        }
    }
}

/// A run of several chunks whose head still holds its list of free blocks, while its tail was given
/// back, or served others in between.
#[test]
fn a_run_is_purged_in_parts() {
    for purged in KINDS {
        let probe = Probe::new(Habits { purged, ..Habits::GOOD });
        let builder = Heap::builder().source(probe.clone()).purge_delay(Duration::ZERO);
        let heap = builder.build().expect("memory");
        // 9 to 64 KiB: cut from runs of 1 to 8 chunks, of which a visit purges 16 at a time.
        for size in (9 * KIB..=64 * KIB).step_by(2 * KIB) {
            let many = blocks(&heap, std::iter::repeat_n(size, 2 * MIB / size));
            free(&heap, many);
            let small = blocks(&heap, std::iter::repeat_n(1024, 500));
            let again = blocks(&heap, std::iter::repeat_n(size, 2 * MIB / size));
            free(&heap, small);
            free(&heap, again);
        }
        assert_empty(&heap.stats());
        drop(heap);
        probe.assert_balanced();
    }
}

/// An idle mapping of another size is made to fit; what that adds may be garbage.
#[test]
fn a_mapping_that_is_made_to_fit_is_zero_where_that_is_asked_for() {
    for fresh_is_zero in [true, false] {
        let probe = Probe::new(Habits { fresh_is_zero, ..Habits::GOOD });
        let heap = Heap::builder().source(probe.clone()).build().expect("memory");
        for size in [2 * MIB, 5 * MIB, 12 * MIB, 3 * MIB, 9 * MIB] {
            // `Block` checks for zeroes.
            let block = Block::new(&&heap, layout(size, 8), true, 1).expect("memory");
            free(&heap, [block]);
        }
        drop(heap);
        probe.assert_balanced();
    }
}

/// Huge pages are for memory that will be full: a class that grows and grows, not many that begin.
#[test]
fn one_class_that_grows_is_dense_and_many_are_not() {
    let probe = Probe::new(Habits::GOOD);
    let dense_bytes = |sizes: &mut dyn Iterator<Item = usize>| {
        let heap = Heap::builder().source(probe.clone()).build().expect("memory");
        let before = probe.counts().dense;
        let live = blocks(&heap, sizes);
        let dense = probe.counts().dense - before;
        free(&heap, live);
        dense
    };
    assert_eq!(dense_bytes(&mut std::iter::repeat_n(64, 400 * KIB / 64)), 0);
    let grown = dense_bytes(&mut std::iter::repeat_n(64, 9 * MIB / 64));
    assert!((6 * MIB..=12 * MIB).contains(&grown), "{grown} of 9 MiB expected dense");
    let mut rng = Rng::new(2);
    assert_eq!(dense_bytes(&mut (0..20_000).map(|_| 8 + rng.below(1000))), 0);
    // What shrinks as often as it grows does not grow.
    let heap = Heap::builder().source(probe.clone()).purge_delay(Duration::ZERO).build().expect("memory");
    let before = probe.counts().dense;
    for _ in 0..20 {
        let live = blocks(&heap, std::iter::repeat_n(64, 300 * KIB / 64));
        free(&heap, live);
        heap.collect();
    }
    assert_eq!(probe.counts().dense, before);
    drop(heap);
    probe.assert_balanced();
}

/// All sizes at random, with memory going and coming all the time.
#[test]
fn memory_goes_and_comes() {
    for purged in KINDS {
        let probe = Probe::new(Habits { purged, fresh_is_zero: false, ..Habits::GOOD });
        let builder = Heap::builder().source(probe.clone()).purge_delay(Duration::ZERO);
        let heap = builder.build().expect("memory");
        let mut rng = Rng::new(1);
        let mut live = Vec::new();
        for round in 0..40 {
            let size = 1 << (3 + rng.below(14));
            let sizes = (0..MIB / size.max(4096)).map(|_| size + rng.below(size));
            live.extend(blocks(&heap, sizes));
            let keep = rng.below(live.len() + 1);
            for n in (1..=live.len()).rev() {
                live.swap(n - 1, rng.below(n));
            }
            free(&heap, live.drain(keep..));
            if round % 8 == 0 {
                heap.collect();
            }
        }
        free(&heap, live);
        assert_empty(&heap.stats());
        drop(heap);
        probe.assert_balanced();
    }
}

#[test]
fn another_allocator_is_a_source() {
    let heap = Heap::builder().source(FromAlloc(Malloc)).build().expect("memory");
    for size in [1, 100, 3000, 60 * KIB, 200 * KIB, 2 * MIB] {
        for _ in 0..3 {
            let many = blocks(&heap, std::iter::repeat_n(size, 20));
            free(&heap, many);
            heap.collect();
        }
    }
    assert_empty(&heap.stats());
    let mut numbers = HeapVec::new_in(&heap);
    numbers.extend(0..100_000);
    assert_eq!(numbers.iter().sum::<u64>(), 4_999_950_000);
}

/// A heap may live in another one's memory, and both in the program's.
#[test]
fn a_heap_is_a_source_for_another() {
    use std::ptr::NonNull;
    use std::sync::Arc;

    use blockyard::allocator_api2::alloc::Allocator;
    use blockyard::source::Source;

    struct Inside(Arc<Heap>);
    // SAFETY: blocks of a heap are nobody else's at their layout until they are freed.
    unsafe impl Source for Inside {
        fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
            (&*self.0).allocate(layout(size, align)).ok().map(NonNull::cast)
        }
        unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
            // SAFETY: passed on.
            unsafe { (&*self.0).deallocate(start, layout(size, align)) };
        }
    }

    let outer = Arc::new(plain().build().expect("memory"));
    let inner = Heap::builder().source(Inside(outer.clone())).build().expect("memory");
    let sizes = [1, 5000, 100 * KIB, 5 * MIB];
    team(|scope| {
        for _ in 0..4 {
            scope.spawn(|| free(&inner, blocks(&inner, sizes)));
        }
    });
    free(&inner, blocks(&inner, sizes));
    assert_eq!(outer.stats().bytes.in_blocks, inner.stats().bytes.mapped as u64);
    drop(inner);
    assert_empty(&outer.stats());
}

#[test]
fn fresh_memory_of_a_source_that_says_so_is_not_cleared() {
    let probe = Probe::new(Habits::GOOD);
    let heap = Heap::builder().source(probe).build().expect("memory");
    let mut zeroed = HeapVec::<u8, _>::new_in(&heap);
    zeroed.resize(8 * MIB, 0);
    assert!(zeroed.iter().step_by(4096).all(|&byte| byte == 0));
}

/// Buffers of sizes that never repeat, one replaced after the other: the pages of those that are gone serve again,
/// and none goes back to be faulted in anew.
#[test]
fn idle_mappings_are_split_and_joined() {
    for (splits, fresh_is_zero) in [(true, true), (true, false), (false, true)] {
        let probe = Probe::new(Habits { splits, fresh_is_zero, ..Habits::GOOD });
        let builder = Heap::builder().source(probe.clone()).purge_delay(Duration::from_secs(3600));
        // A hardened heap's mappings end with a guard, so they stay whole.
        let heap = builder.hardened(false).build().expect("memory");
        let mut rng = Rng::new(20);
        let mut buffers: Vec<Option<Block>> = (0..6).map(|_| None).collect();
        let mut settled = probe.counts();
        for round in 0..400 {
            let (place, size) = (round % buffers.len(), 2 * MIB + rng.below(10 * MIB));
            free(&heap, buffers[place].take());
            // `Block` checks for zeroes, and that nobody else writes to it.
            let block = Block::new(&&heap, layout(size, 8), round % 3 == 0, round as u64).expect("memory");
            buffers[place] = Some(block);
            if round == 100 {
                settled = probe.counts();
            }
        }
        let now = probe.counts();
        if splits {
            let (reserved, remapped) = (now.reserved - settled.reserved, now.remapped - settled.remapped);
            assert!(reserved + remapped < 300 / 10, "{reserved} new and {remapped} moved");
        }
        assert!(now.bytes < 3 * 6 * 12 * MIB, "{} held", now.bytes);
        free(&heap, buffers.into_iter().flatten());
        assert_empty(&heap.stats());
        heap.collect();
        probe.assert_well_used();
        drop(heap);
        probe.assert_balanced();
    }
}
