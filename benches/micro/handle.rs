//! What a heap and a thread's handle cost to make and to drop.

use std::hint::black_box;

use blockyard::Heap;
use blockyard::allocator_api2::alloc::Allocator;
use criterion::Criterion;

use crate::contender::{allocate, layout};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heap");
    group.bench_function("unused", |bencher| bencher.iter(|| drop(black_box(Heap::new()))));
    group.bench_function("one-block", |bencher| {
        bencher.iter(|| {
            let heap = Heap::new();
            black_box(allocate(&&heap, const { layout(64) }));
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("handle");
    let heap = Heap::new();
    let block = allocate(&&heap, const { layout(64) });
    group.bench_function("local", |bencher| bencher.iter(|| drop(black_box(heap.local()))));
    let local = heap.local();
    group.bench_function("clone", |bencher| bencher.iter(|| drop(black_box(local.clone()))));
    group.finish();
    // SAFETY: allocated above with this layout.
    unsafe { local.deallocate(block, const { layout(64) }) };
}
