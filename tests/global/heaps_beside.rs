//! Heaps beside `Global`, whose sources use `Global` in their turn.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::thread;

use blockyard::Heap;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::source::{Purged, Source, System};

/// Keeps books on the program's heap, in the middle of another heap's slow path: notes by segment.
#[derive(Clone, Default)]
struct Bookkeeper(Arc<Mutex<HashMap<usize, Vec<String>>>>);

impl Bookkeeper {
    fn note(&self, start: NonNull<u8>, what: String) {
        let segment = start.addr().get() & !((4 << 20) - 1);
        self.0.lock().expect("nobody panics").entry(segment).or_default().push(what);
    }
}

// SAFETY: every call is passed on to `System`, which keeps the contract.
unsafe impl Source for Bookkeeper {
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let start = System.reserve(size, align)?;
        self.note(start, format!("reserved {size}"));
        Some(start)
    }
    unsafe fn commit(&self, start: NonNull<u8>, size: usize) -> bool {
        self.note(start, format!("committed {size}"));
        true
    }
    unsafe fn purge(&self, start: NonNull<u8>, size: usize) -> Purged {
        self.note(start, format!("purged {size}"));
        // SAFETY: passed on.
        unsafe { System.purge(start, size) }
    }
    unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
        let notes = self.0.lock().expect("nobody panics").remove(&start.addr().get());
        let reserved = format!("reserved {size}");
        if notes.is_none_or(|notes| !notes.contains(&reserved)) {
            std::process::abort(); // A source must not unwind.
        }
        // SAFETY: passed on.
        unsafe { System.release(start, size, align) };
    }
}

#[test]
fn a_source_may_use_the_program_s_allocator() {
    let books = Bookkeeper::default();
    for round in 0..10 {
        let heap = Heap::builder().source(books.clone()).build().expect("memory");
        thread::scope(|scope| {
            for n in 0..4 {
                let heap = &heap;
                scope.spawn(move || {
                    let mut vectors = Vec::new();
                    for size in [100, 5000, 70_000, 2 << 20, 300_000, 40_000] {
                        let mut vector = HeapVec::new_in(heap);
                        vector.extend((0..size / 8).map(|i| i * n));
                        vectors.push((vector, "noted on the program's heap".repeat(n)));
                    }
                    for (vector, _) in &vectors {
                        assert!(vector.iter().enumerate().all(|(i, &value)| value == i * n));
                    }
                    vectors.truncate(round % 6);
                    heap.collect();
                });
            }
        });
        drop(heap);
    }
    assert!(books.0.lock().expect("nobody panics").is_empty(), "everything was released");
}

/// Boxed handles, heaps in maps, heaps that go in the destructor of a value in another heap.
#[test]
fn heaps_are_values_like_others() {
    let mut heaps: HashMap<String, Heap> = (0..50).map(|n| (n.to_string(), Heap::new())).collect();
    for (name, heap) in &heaps {
        let mut text = HeapVec::new_in(heap);
        text.extend(name.bytes());
        assert_eq!(text.as_slice(), name.as_bytes());
    }
    heaps.retain(|name, heap| name.len() == 1 && heap.stats().blocks.live() == 0);
    assert_eq!(heaps.len(), 10);
    let outer = Heap::new();
    let mut nested = HeapVec::new_in(&outer);
    nested.extend(heaps.into_values());
    assert!(nested.iter().all(|heap| heap.stats().blocks.allocated == 1));
}
