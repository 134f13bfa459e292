//! `Fallback`: blocks find their owner.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Failing, Fallback, Limit, Owns, Tracking};
use blockyard::{FixedBuffer, Global, Heap, SharedFixedBuffer, StackFallback};

use crate::support::{KIB, MIB, team};

#[test]
fn what_does_not_fit_comes_from_the_second() {
    let mut bytes = [MaybeUninit::uninit(); 1000];
    let memory = Fallback::new(FixedBuffer::new(&mut bytes), Tracking::new(Global));
    let mut numbers = HeapVec::new_in(&memory);
    for n in 0..5000_u32 {
        numbers.push(n);
        let large = numbers.capacity() * 4 > 1000;
        assert_eq!(memory.secondary().snapshot().total.live(), u64::from(large));
        assert_eq!(memory.primary().contains(numbers.as_ptr()), !large);
    }
    assert!(numbers.iter().copied().eq(0..5000));
    assert_eq!(memory.primary().remaining(), 1000, "what moved was freed where it was");
    numbers.truncate(10);
    numbers.shrink_to_fit();
    assert!(!memory.primary().contains(numbers.as_ptr()));
    drop(numbers);
    assert_eq!(memory.secondary().snapshot().total.bytes, 0);
}

#[test]
fn a_block_moves_where_its_first_owner_refuses() {
    let (first, second) = (Heap::new(), Tracking::new(Global));
    // SAFETY: `Global` is another heap.
    let memory = unsafe { Fallback::with_shared(Failing::nth(&first, 1), &second) };
    let mut numbers = HeapVec::with_capacity_in(10, &memory);
    numbers.extend(0..10_u64);
    assert_eq!((first.stats().blocks.live(), second.snapshot().total.live()), (1, 0));
    numbers.reserve_exact(100);
    assert_eq!((first.stats().blocks.live(), second.snapshot().total.live()), (0, 1));
    assert!(numbers.iter().copied().eq(0..10));
}

#[test]
fn where_both_refuse_nothing_changes() {
    let memory = Fallback::new(Heap::builder().limit(MIB).build().expect("memory"), Limit::new(Global, 100));
    let mut bytes = HeapVec::new_in(&memory);
    bytes.resize(40 * KIB, 7_u8);
    assert!(bytes.try_reserve_exact(2 * MIB).is_err());
    assert!(bytes.iter().all(|&byte| byte == 7) && memory.primary().owns(bytes.as_ptr()));
}

#[test]
fn threads_share_a_fallback() {
    let mut bytes = vec![MaybeUninit::uninit(); 64 * KIB];
    let memory = Fallback::new(SharedFixedBuffer::new(&mut bytes), Tracking::new(Global));
    team(|scope| {
        for thread in 0..4_u32 {
            let memory = &memory;
            scope.spawn(move || {
                for round in 0..50 {
                    let mut numbers = HeapVec::new_in(memory);
                    numbers.extend((0..round * 20).map(|n| n ^ thread));
                    assert!(numbers.iter().enumerate().all(|(n, &number)| number == n as u32 ^ thread));
                }
            });
        }
    });
    let total = memory.secondary().snapshot().total;
    assert_eq!((total.bytes, total.live()), (0, 0));
}

/// Each allocator knows its own blocks of each size, and no other's.
#[test]
fn owners_know_their_blocks() {
    let mut bytes = vec![MaybeUninit::uninit(); 16 * MIB];
    let mut more = vec![MaybeUninit::uninit(); 16 * MIB];
    let (buffer, shared) = (FixedBuffer::new(&mut bytes), SharedFixedBuffer::new(&mut more));
    let (heap, other) = (Heap::new(), Heap::new());
    let stack = StackFallback::<100, _>::new_in(&other);
    let allocators: [&dyn Allocator; 4] = [&&buffer, &&shared, &&heap, &&stack];
    let owners: [&dyn Owns; 4] = [&buffer, &shared, &heap, &stack];
    for size in [1, 64, 5000, 100 * KIB, MIB, 3 * MIB] {
        let layout = Layout::from_size_align(size, 8).expect("valid");
        for (index, allocator) in allocators.iter().enumerate() {
            let block: NonNull<u8> = allocator.allocate(layout).expect("memory").cast();
            let owning = owners.map(|owner| owner.owns(block));
            assert_eq!(owning, [0, 1, 2, 3].map(|other| other == index), "{size} bytes of allocator {index}");
            // SAFETY: the allocator's block.
            unsafe { allocator.deallocate(block, layout) };
        }
    }
}
