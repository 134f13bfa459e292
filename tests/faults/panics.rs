//! Threads that panic at every stage: inside constructors, callbacks, destructors and routes. What they had is freed
//! or left to its owner, and everybody goes on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::Limit;
use blockyard::{Arena, Heap, Pool, temp};

use crate::support::KIB;
use crate::support::reconcile::{assert_empty, assert_reconciled};

/// Throws without a message on standard error.
fn throw() -> ! {
    resume_unwind(Box::new("thrown"))
}

/// Runs `work` on a thread, which panics.
fn panics(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let ended = scope.spawn(work).join();
        assert_eq!(ended.expect_err("it throws").downcast_ref(), Some(&"thrown"));
    });
}

/// Throws when it is dropped.
struct Sharp<'n>(&'n AtomicUsize);

impl Drop for Sharp<'_> {
    fn drop(&mut self) {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            throw();
        }
    }
}

#[test]
fn in_the_constructor_of_a_value() {
    let heap = Heap::new();
    panics(|| {
        let mut arena = Arena::new_in(&heap);
        let number = *arena.alloc(7);
        let inside = AssertUnwindSafe(|| _ = arena.alloc_with(|| -> [u64; 100] { throw() }));
        assert!(catch_unwind(inside).is_err());
        assert_eq!(*arena.alloc_with(|| number), 7);
        arena.scope(|scope| {
            scope.alloc_slice_copy(&[1_u8; 9000]);
            scope.alloc_with(|| -> u8 { throw() });
        });
    });
    heap.collect();
    assert_empty(&heap.stats());

    let pool = Pool::<[u64; 20]>::new();
    panics(|| _ = pool.alloc_with(|| throw()));
    assert_eq!(pool.live(), 0);
    assert_eq!(pool.alloc_with(|| [3; 20])[19], 3);
}

#[test]
fn in_a_destructor() {
    let (heap, pool, dropped) = (Heap::new(), Pool::new(), [const { AtomicUsize::new(0) }; 2]);
    panics(|| {
        let mut values = HeapVec::new_in(&heap);
        values.extend((0..10).map(|_| Sharp(&dropped[0])));
    });
    panics(|| drop(pool.alloc(Sharp(&dropped[1]))));
    let dropped = dropped.map(AtomicUsize::into_inner);
    assert_eq!(dropped, [10, 1]);
    assert_eq!(pool.live(), 0);
    heap.collect();
    assert_reconciled(&heap.stats());
    assert_empty(&heap.stats());
}

#[test]
fn in_a_callback() {
    let heap = Heap::builder().name("small").limit(64 * KIB).on_limit(|_| throw()).build().expect("memory");
    // A routed heap may exceed its limit and says so: the panic ends in the library.
    let made = heap.route(|| vec![7_u8; 200 * KIB]).expect("installed");
    assert_eq!(made[200 * KIB - 1], 7);
    drop(made);

    let open = Heap::new();
    let limit = Limit::new(&open, 100 * KIB).on_soft_limit(10 * KIB, |_| throw());
    panics(|| {
        let mut bytes = HeapVec::new_in(&limit);
        bytes.resize(20 * KIB, 1_u8);
    });
    assert_eq!((limit.used(), open.stats().blocks.live()), (0, 0));
}

#[test]
fn in_a_route() {
    let heap = Heap::builder().name("left in a route").build().expect("memory");
    let kept = std::sync::Mutex::new(Vec::new());
    for _ in 0..100 {
        panics(|| {
            let routed = heap.route(|| {
                let text: Vec<String> = (0..50).map(|n| n.to_string()).collect();
                kept.lock().expect("nobody panics with it").extend(text);
                throw();
            });
            routed.expect("installed");
        });
    }
    // The thread is gone, in the middle of a route; what it left is right, also when the heap's handle goes.
    let kept = kept.into_inner().expect("as above");
    assert!(kept.iter().zip(0..).all(|(text, n)| *text == (n % 50).to_string()));
    drop(heap);
    drop(kept);
    // Another test's thread may have taken over what one of ours left; it lets go when it allocates, or ends.
    let is_ours = |name: &str| name == "left in a route";
    while blockyard::stats().heaps.iter().any(|heap| heap.name.as_deref().is_some_and(is_ours)) {
        thread::yield_now();
    }
}

#[test]
fn in_a_temporary_scope_and_at_the_end_of_a_thread() {
    thread_local! {
        static LATE: std::cell::RefCell<Vec<Vec<u8>>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    for round in 0..50_u8 {
        panics(|| {
            LATE.with_borrow_mut(|late| late.push(vec![round; 100]));
            temp::scope(|outer| {
                let kept = outer.alloc([round; 500]);
                assert!(
                    catch_unwind(|| temp::scope(|inner| -> u8 {
                        inner.alloc_with(|| throw());
                        0
                    }))
                    .is_err()
                );
                assert_eq!(*kept, [round; 500]);
                let block = outer.allocate(std::alloc::Layout::new::<[u64; 1000]>());
                assert!(block.is_ok());
                throw();
            });
        });
    }
}
