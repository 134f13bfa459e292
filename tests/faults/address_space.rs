//! No address space left: requests are refused, nothing crashes, and what was given back is there again.

use std::time::Duration;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Arena, Global, Heap, Pool};

use crate::support::block::Block;
use crate::support::reconcile::{assert_empty, assert_reconciled};
use crate::support::{KIB, MIB, layout};
use crate::{alone, in_a_child};

/// Address space that is left to the process.
const LEFT: usize = 64 * MIB;

fn space() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    statm.split(' ').next().and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4 * KIB
}

fn set_space(bytes: usize) {
    let limit = libc::rlimit { rlim_cur: bytes as u64, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call reads the limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Takes blocks of each size until none is to be had, gives them back, and can have as many again.
fn use_up(allocator: &impl Allocator, blocks: &mut Vec<Block>) {
    for size in [700, 8 * KIB, 50 * KIB, 64 * KIB + 1, 700 * KIB, 3 * MIB, 20 * MIB] {
        let mut counts = [0, 0];
        for count in &mut counts {
            while let Some(block) = Block::new(allocator, layout(size, 8), false, blocks.len() as u64) {
                blocks.push(block);
                assert!(blocks.len() < blocks.capacity(), "there is no end to it");
            }
            if let Some(block) = Block::new(allocator, layout(8 << 20, 8 << 20), true, 0) {
                assert!(size > MIB, "8 MiB are left where {size} bytes are not");
                // SAFETY: the block is the allocator's.
                unsafe { block.free(allocator) };
            }
            *count = blocks.len();
            // A block that cannot grow stays as it is.
            if let Some(block) = blocks.last_mut() {
                // SAFETY: the block is the allocator's.
                assert!(!unsafe { block.resize(allocator, layout(1 << 30, 8), true) });
            }
            // SAFETY: as above.
            blocks.drain(..).for_each(|block| unsafe { block.free(allocator) });
        }
        let [first, second] = counts;
        assert!(first >= LEFT / 4 / size.max(16), "{size}: {first}");
        assert!(second >= first / 4 * 3, "{size}: {first}, then {second}");
    }
}

#[test]
#[ignore = "takes all address space: run by the test below in a process of its own"]
fn address_space_ends() {
    let heap = Heap::builder().purge_delay(Duration::ZERO).build().expect("memory");
    let pool = Pool::<[u64; 1000]>::new();
    let kept = Block::new(&&heap, layout(1000, 8), false, 77).expect("memory");
    // Room for the test's own list.
    let mut blocks = Vec::with_capacity(LEFT / 64);
    let before = space();
    set_space(before + LEFT);

    use_up(&&heap, &mut blocks);
    heap.collect();
    use_up(&heap.local(), &mut blocks);
    heap.collect();
    assert!(space() <= before + 16 * MIB, "memory does not go back");
    use_up(&Global, &mut blocks);
    Global.collect();

    // Everything is taken: what is made of heaps says so.
    let mut taken = Vec::with_capacity(LEFT / MIB * 64);
    for size in [8 * MIB, MIB, 128 * KIB, 30 * KIB, 4 * KIB, 100] {
        while taken.len() < taken.capacity()
            && let Some(block) = Block::new(&&heap, layout(size, 8), false, size as u64)
        {
            taken.push(block);
        }
    }
    let mut values = 0;
    while let Ok(value) = pool.try_alloc([7; 1000]) {
        std::mem::forget(value);
        values += 1;
        assert!(values < LEFT / 8000);
    }
    let arena = Arena::new_in(&heap);
    assert!(arena.try_alloc_layout(layout(40 * MIB, 8)).is_err());
    assert!(Block::new(&&heap, layout(MIB, 8), true, 0).is_none());
    assert!(Block::new(&Global, layout(100 * MIB, 8), true, 0).is_none());
    taken.iter().for_each(Block::verify);
    kept.verify();

    // SAFETY: the heap's.
    unsafe {
        taken.into_iter().for_each(|block| block.free(&&heap));
        kept.free(&&heap);
    }
    drop(arena);
    heap.collect();
    assert_empty(&heap.stats());
    assert_reconciled(&blockyard::stats().heaps[0]);
    set_space(usize::MAX);
    assert!(Block::new(&&heap, layout(200 * MIB, 8), true, 0).is_some());
}

#[test]
fn no_address_space_is_an_error_and_no_crash() {
    let _alone = alone();
    let status = in_a_child("address_space::address_space_ends");
    assert!(status.success(), "{status}");
}
