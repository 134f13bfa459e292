//! What reading the statistics costs the reader.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use blockyard::Heap;
use criterion::Criterion;

use crate::contender::{allocate, layout};

const THREADS: usize = 8;
const CLASSES: usize = 16;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stats");
    let heap = Heap::new();
    allocate(&&heap, layout(64));
    group.bench_function("1-thread-1-class", |bencher| bencher.iter(|| black_box(heap.stats())));

    let busy = Heap::new();
    let (filled, measured) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for class in 1..=CLASSES {
                    allocate(&&busy, layout(class * 8));
                }
                filled.wait();
                measured.wait();
            });
        }
        filled.wait();
        group.bench_function(format!("{THREADS}-threads-{CLASSES}-classes"), |bencher| {
            bencher.iter(|| black_box(busy.stats()));
        });
        group.bench_function("process", |bencher| bencher.iter(|| black_box(blockyard::stats())));
        measured.wait();
    });
    group.finish();
    // The heaps free what is left in them.
}
