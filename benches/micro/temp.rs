//! What temporary memory and the context cost to enter, to leave and to ask for.

use std::hint::black_box;
use std::sync::Arc;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::context::Ambient;
use blockyard::{Arena, Global, Heap, context, temp};
use criterion::Criterion;

use crate::contender::{allocate, layout};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("temp");
    group.bench_function("scope-unused", |bencher| bencher.iter(|| temp::scope(|t| _ = black_box(t))));
    group.bench_function("scope-64-bytes", |bencher| {
        bencher.iter(|| temp::scope(|t| _ = black_box(t.alloc(black_box([0_u64; 8])))));
    });
    let mut arena = Arena::new();
    group.bench_function("reset-64-bytes", |bencher| {
        bencher.iter(|| {
            black_box(arena.alloc(black_box([0_u64; 8])));
            arena.reset();
        });
    });
    group.finish();

    let heap = Arc::new(Heap::new());
    let mut group = criterion.benchmark_group("context");
    group.bench_function("current-none", |bencher| bencher.iter(|| drop(black_box(context::current()))));
    group.bench_function("with-allocator", |bencher| {
        bencher.iter(|| context::with_allocator(black_box(&heap), || ()));
    });
    let ambient = Ambient::from(&heap);
    group.bench_function("with-ambient", |bencher| {
        bencher.iter(|| context::with_allocator(black_box(&ambient).clone(), || ()));
    });
    group.bench_function("with-arena", |bencher| bencher.iter(|| context::with_arena(|| ())));
    group.bench_function("install", |bencher| {
        bencher.iter(|| drop(black_box(context::install(ambient.clone()))));
    });
    group.bench_function("temp", |bencher| bencher.iter(|| drop(black_box(context::temp()))));
    group.bench_function("free-temp-64-bytes", |bencher| {
        bencher.iter(|| {
            black_box(context::temp().alloc(black_box([0_u64; 8])));
            context::free_temp();
        });
    });
    let pair = |allocator: &context::Current| allocate(allocator, const { layout(64) });
    for (name, ambient) in [("global", Global.into()), ("heap", ambient), ("arena", Ambient::arena())] {
        let current = context::with_allocator(ambient, context::current);
        group.bench_function(format!("pair-{name}"), |bencher| {
            // SAFETY: just allocated with this layout.
            bencher.iter(|| unsafe { current.deallocate(pair(&current), const { layout(64) }) });
        });
    }
    context::with_allocator(&heap, || {
        group.bench_function("current-heap", |bencher| bencher.iter(|| drop(black_box(context::current()))));
        let here = context::Context::capture();
        group.bench_function("enter-same", |bencher| bencher.iter(|| here.enter(|| ())));
    });
    group.finish();
}
