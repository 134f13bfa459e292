//! The same handles as allocators of allocator-api2 0.4.

use std::thread;

use allocator_api2_04::alloc::Allocator;
use allocator_api2_04::boxed::Box as HeapBox;
use allocator_api2_04::vec::Vec as HeapVec;
use blockyard::{Global, Heap};

use crate::support::reconcile::assert_empty;

fn collect<A: Allocator + Clone>(allocator: &A) -> HeapVec<HeapBox<usize, A>, A> {
    let mut boxes = HeapVec::new_in(allocator.clone());
    boxes.extend((0..1000).map(|n| HeapBox::new_in(n, allocator.clone())));
    assert!(boxes.iter().enumerate().all(|(n, value)| **value == n));
    boxes.truncate(700);
    boxes.shrink_to_fit();
    boxes
}

#[test]
fn every_handle_serves_version_0_4() {
    let heap = Heap::new();
    drop(collect(&heap.local()));
    drop(collect(&Global));
    thread::scope(|scope| {
        let made = scope.spawn(|| collect(&&heap)).join().expect("contents are as written");
        assert_eq!(made.len(), 700);
    });
    heap.collect();
    assert_empty(&heap.stats());
}

#[test]
fn both_versions_serve_from_one_heap() {
    let heap = Heap::new();
    let old = blockyard::allocator_api2::boxed::Box::new_in([1_u8; 100], &heap);
    let new = HeapBox::new_in([2_u8; 100], &heap);
    assert_eq!((old[99], new[99], heap.stats().blocks.live()), (1, 2, 2));
}
