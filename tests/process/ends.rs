//! A heap that goes while its threads are ending, where freed memory is overwritten at once.

use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;

use blockyard::Heap;
use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::allocator_api2::vec::Vec as HeapVec;

use crate::alone;

/// The threads of a scope post to each other's queues as their thread-locals end, while the heap, and
/// with it those queues, go.
#[test]
fn queues_go_after_the_last_post() {
    const THREADS: usize = 3;
    let _alone = alone();
    for _ in 0..600 {
        let heap = Heap::new();
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
        let barrier = Barrier::new(THREADS);
        thread::scope(|scope| {
            for (n, inbox) in receivers.into_iter().enumerate() {
                let (heap, barrier, next) = (&heap, &barrier, senders[(n + 1) % THREADS].clone());
                scope.spawn(move || {
                    // Blocks of sixteen classes: as many chunks, and as many chains.
                    let make = || -> Vec<HeapVec<u8, &Heap>> {
                        (1..17).map(|n| HeapVec::with_capacity_in(n * 8, heap)).collect()
                    };
                    let pass_on = || {
                        next.send(make()).expect("the next thread listens");
                        inbox.recv().expect("the thread before sends")
                    };
                    // What comes home first makes the queue.
                    drop(pass_on());
                    heap.flush();
                    barrier.wait();
                    (0..1000).for_each(|n| assert_eq!(*HeapBox::new_in([n; 20], heap), [n; 20]));
                    // What is freed last waits for the thread's end.
                    let last = pass_on();
                    barrier.wait();
                    drop(last);
                });
            }
        });
        drop(senders);
        drop(heap);
    }
}
