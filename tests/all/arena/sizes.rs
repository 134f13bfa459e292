//! Chunks, large blocks, limits, and a child that refuses.

use std::alloc::Layout;

use blockyard::allocator_api2::vec::Vec as AVec;
use blockyard::{Arena, Heap, Keep};

use super::child::Child;
use crate::support::{KIB, MIB, layout};

#[test]
fn chunks_double_up_to_a_mebibyte() {
    let child = Child::default();
    let arena = Arena::new_in(&child);
    for _ in 0..20 * MIB / 64 {
        arena.alloc([1_u8; 64]);
    }
    let stats = arena.stats();
    assert!(stats.reserved - stats.used <= MIB + 64 * stats.chunks, "{stats:?}");
    assert!(child.calls() < 30, "{} calls", child.calls());
}

#[test]
fn a_large_block_wastes_nothing_of_the_current_chunk() {
    let child = Child::default();
    let arena = Arena::new_in(&child);
    let before = &raw const *arena.alloc(1_u8);
    arena.alloc_slice_copy(&[7_u8; 100_000]);
    let after = &raw const *arena.alloc(2_u8);
    assert_eq!(before.addr() - 1, after.addr());
    let stats = arena.stats();
    assert_eq!((stats.chunks, stats.large_blocks, stats.wasted), (1, 1, 0));
    assert!(stats.reserved <= 4096 + 100_000 + 128);
}

#[test]
fn middling_requests_do_not_all_become_large() {
    let arena = Arena::new();
    for _ in 0..1000 {
        arena.alloc([1_u8; 2000]);
    }
    assert!(arena.stats().large_blocks <= 2, "{:?}", arena.stats());
}

#[test]
fn a_growing_vec_leaves_no_trail() {
    let child = Child::default();
    let arena = Arena::new_in(&child);
    let mut numbers = AVec::new_in(&arena);
    numbers.extend(0..1_000_000_u32);
    assert!(numbers.iter().enumerate().all(|(n, &number)| n == number as usize));
    assert!(arena.stats().reserved < 3 * 4_000_000, "{:?}", arena.stats());
    drop(numbers);
    assert!(arena.stats().used < 100 * KIB);
}

#[test]
fn the_same_rounds_again_ask_the_child_for_nothing() {
    let child = Child::default();
    let mut arena = Arena::new_in(&child);
    let mut warm = 0;
    for round in 0..20 {
        let mut growing = AVec::new_in(&arena);
        for n in 0..3000_u32 {
            growing.push(n);
            arena.alloc([n; 10]);
        }
        arena.alloc_slice_copy(&[1_u8; 300_000]);
        drop(growing);
        arena.reset();
        if round == 4 {
            warm = child.calls();
        }
    }
    assert_eq!(child.calls(), warm);
}

#[test]
fn differing_large_blocks_do_not_pile_up() {
    let child = Child::default();
    let mut arena = Arena::new_in(&child);
    for round in 1..100 {
        arena.alloc_layout(layout(round * 50_000, 1));
        arena.reset();
    }
    assert!(arena.stats().reserved < 3 * 100 * 50_000, "{:?}", arena.stats());
}

#[test]
fn the_recent_peak_is_forgotten() {
    let mut arena = Arena::builder().keep(Keep::RecentPeak).build();
    for _ in 0..10_000 {
        arena.alloc([0_u8; 1000]);
    }
    arena.reset();
    assert!(arena.stats().reserved >= 10_000_000);
    for _ in 0..80 {
        arena.alloc([0_u8; 1000]);
        arena.reset();
    }
    let stats = arena.stats();
    assert!(stats.reserved <= 2 * MIB && stats.reserved > 0, "{stats:?}");
    assert!(stats.peak >= 10_000_000);
}

#[test]
fn a_limit_holds_and_names_itself() {
    let child = Child::default();
    let arena = Arena::builder().name("small").limit(10_000).child(&child).build();
    let mut given = 0;
    let error = loop {
        match arena.try_alloc([1_u8; 100]) {
            Ok(_) => given += 100,
            Err(error) => break error,
        }
    };
    assert!(given >= 9000, "{given} of 10000 bytes served");
    assert!(arena.stats().reserved <= 10_000);
    assert_eq!((error.limit(), error.request()), (Some(10_000), Some(Layout::new::<[u8; 100]>())));
    let debug = format!("{error:?}");
    assert!(debug.contains("small") && debug.contains("10000"), "{debug}");
    assert!(AVec::<u8, _>::new_in(&arena).try_reserve(20_000).is_err());
}

#[test]
fn a_limit_gives_up_what_is_kept_first() {
    let mut arena = Arena::builder().limit(100_000).build();
    for _ in 0..300 {
        arena.alloc([0_u8; 100]);
    }
    arena.alloc_layout(layout(30_000, 1));
    arena.reset();
    assert!(arena.try_alloc_layout(layout(60_000, 1)).is_ok(), "{:?}", arena.stats());
}

#[test]
fn every_size_and_alignment_there_is_gives_memory_or_an_error() {
    let child = Child::default();
    let mut arena = Arena::new_in(&child);
    for shift in 0..63 {
        let align = 1_usize << shift;
        for size in [0, 1, 7, 4096, isize::MAX as usize / 2, isize::MAX as usize] {
            let Ok(layout) = Layout::from_size_align(size, align) else { continue };
            if let Ok(place) = arena.try_alloc_layout(layout) {
                assert_eq!(place.addr().get() % align, 0);
            }
            if size <= 4096 && align <= 1 << 20 {
                assert!(arena.try_alloc_layout(layout).is_ok(), "{layout:?}");
            }
        }
    }
    assert!(arena.try_alloc_slice_fill_with(usize::MAX, |_| 0_u8).is_err());
    assert!(arena.try_alloc_slice_fill_with(usize::MAX / 8, |_| 0_u64).is_err());
    assert!(Arena::try_with_capacity_in(isize::MAX as usize, &child).is_err());
    arena.reset_keeping(Keep::Nothing);
    assert_eq!(child.live_bytes(), 0);
}

#[test]
fn a_child_that_refuses_at_any_call_breaks_nothing() {
    for stubborn in [false, true] {
        for refused in 0..40 {
            let child = Child::default();
            child.refuse(refused, stubborn);
            let mut arena = Arena::new_in(&child);
            for _ in 0..2 {
                let mut kept = Vec::new();
                for n in 0..400_usize {
                    let size = [8, 100, 1500, 20_000][n % 4];
                    if let Ok(bytes) = arena.try_alloc_slice_fill_with(size, |_| n as u8) {
                        kept.push((n as u8, bytes));
                    }
                }
                assert!(kept.iter().all(|(n, bytes)| bytes.iter().all(|byte| byte == n)));
                assert!(!kept.is_empty() || stubborn);
                drop(kept);
                arena.reset();
            }
            child.obey();
            assert_eq!(*arena.alloc(1), 1);
        }
    }
}

#[test]
fn chunks_go_back_to_the_heap_they_came_from() {
    let heap = Heap::new();
    let arena = Arena::new_in(&heap);
    for _ in 0..10_000 {
        arena.alloc([0_u64; 8]);
    }
    assert!(heap.stats().blocks.live() > 0);
    drop(arena);
    assert_eq!(heap.stats().blocks.live(), 0);
}

#[test]
fn a_reset_makes_one_chunk_of_several() {
    let child = Child::default();
    let mut arena = Arena::new_in(&child);
    let mut fill = || {
        let numbers: Vec<&mut [u64; 8]> = (0..2000).map(|n| arena.alloc([n; 8])).collect();
        assert!(numbers.iter().zip(0..).all(|(number, n)| **number == [n; 8]));
        let chunks = arena.stats().chunks;
        arena.reset();
        assert_eq!(arena.stats().chunks, 1);
        chunks
    };
    assert!(fill() > 1);
    let warm = child.calls();
    assert_eq!((fill(), fill(), child.calls()), (1, 1, warm));
}

#[test]
fn a_child_that_refuses_leaves_what_is_kept() {
    let child = Child::default();
    let mut arena = Arena::new_in(&child);
    for round in 0..3_u64 {
        arena.scope(|scope| {
            for _ in 0..2000 {
                scope.alloc([round; 8]);
            }
            child.refuse(0, true);
        });
        arena.reset();
        assert!(arena.stats().reserved >= 2000 * 64);
    }
    child.obey();
}

#[test]
fn the_peak_is_exact() {
    let mut arena = Arena::new();
    drop(AVec::<u8, _>::with_capacity_in(1000, &arena));
    assert_eq!((arena.stats().used, arena.stats().peak), (0, 1000));
    arena.alloc_slice_copy(&[1_u8; 10_000]);
    assert_eq!(arena.stats().peak, 10_000);
    arena.scope(|scope| {
        scope.alloc_slice_copy(&[1_u8; 500]);
        scope.scope(|inner| drop(AVec::<u8, _>::with_capacity_in(200, &*inner)));
    });
    arena.alloc_slice_copy(&[1_u8; 600]);
    assert_eq!((arena.stats().used, arena.stats().peak), (10_600, 10_700));
    arena.reset();
    assert_eq!((arena.stats().used, arena.stats().peak), (0, 10_700));
}
