//! The program's allocator, or a heap's source, has no memory.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::source::{Source, System};
use blockyard::{BuildError, Heap, ThreadState};

use crate::alone;
use crate::hostile::refuse_after;

#[test]
fn a_heap_that_cannot_be_made_is_an_error() {
    let _alone = alone();
    // The registry of heaps needs room as well, each time that their number doubles.
    let mut heaps = Vec::with_capacity(200);
    for _ in 0..200 {
        let failed = refuse_after(0, || Heap::builder().build());
        assert_eq!(failed.err(), Some(BuildError::OutOfMemory));
        let tried = refuse_after(1, || Heap::builder().build());
        match tried {
            Ok(heap) => heaps.push(heap),
            Err(error) => {
                assert_eq!(error, BuildError::OutOfMemory);
                heaps.push(Heap::new());
            }
        }
    }
    assert_eq!(blockyard::stats().heaps.len(), 201);
    let kept = heaps.iter().map(|heap| HeapBox::new_in(7, heap)).filter(|number| **number == 7).count();
    assert_eq!(kept, 200);
}

/// The queue for blocks that come home is the one thing that a heap takes from the program's
/// allocator as it works. It does without.
#[test]
fn blocks_come_home_without_a_queue() {
    let _alone = alone();
    let heap = Heap::new();
    for _ in 0..100 {
        let boxes: Vec<_> = (0..1000_u64).map(|n| HeapBox::new_in([n; 8], &heap)).collect();
        thread::scope(|scope| {
            let free = || {
                assert!(boxes.iter().zip(0..).all(|(numbers, n)| **numbers == [n; 8]));
                drop(boxes);
            };
            scope.spawn(free).join().expect("contents are as written");
        });
        refuse_after(0, || {
            for n in 0..2000_u64 {
                assert_eq!(*HeapBox::new_in([n; 8], &heap), [n; 8]);
            }
            heap.collect();
        });
    }
    let stats = heap.stats();
    assert_eq!((stats.blocks.live(), stats.blocks.queued, stats.bytes.in_chunks), (0, 0, 0), "{stats}");
    assert!(stats.bytes.in_chunks_peak <= 1 << 20, "{stats}");
}

/// A handle that cannot be had for want of memory takes nothing from other heaps.
#[test]
fn a_refused_handle_keeps_no_thread_s_part() {
    static REFUSE: AtomicBool = AtomicBool::new(true);
    struct Sometimes;
    // SAFETY: every call is passed on to `System`, which keeps the contract, or refused.
    unsafe impl Source for Sometimes {
        fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
            if REFUSE.load(Ordering::Relaxed) { None } else { System.reserve(size, align) }
        }
        unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
            // SAFETY: passed on.
            unsafe { System.release(start, size, align) };
        }
    }

    let _alone = alone();
    let (well, ill) = (Heap::new(), Heap::builder().source(Sometimes).build().expect("memory for a record"));
    let _mine = HeapBox::new_in(0, &well);
    let left = thread::scope(|scope| {
        let thread = scope.spawn(|| HeapBox::new_in([1_u8; 100], &well));
        thread.join().expect("there is memory")
    });
    for _ in 0..10 {
        assert!(ill.try_local().is_none());
    }
    let states: Vec<ThreadState> = well.stats().threads.iter().map(|thread| thread.state).collect();
    assert_eq!(states, [ThreadState::Live, ThreadState::Orphan], "nobody has taken it over");
    drop(left);
    well.collect();
    assert_eq!(well.stats().bytes.in_chunks, 64 << 10, "all but this thread's: {}", well.stats());

    REFUSE.store(false, Ordering::Relaxed);
    assert_eq!(*HeapBox::new_in(5, ill.local()), 5);
}
