//! One block allocated and freed at once, by size; the same with memory that must be zero.

use std::hint::black_box;

use blockyard::allocator_api2::alloc::Allocator;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};

use crate::contender::{Contender, allocate, each_contender, layout};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pair");
    each_contender!(pairs(&mut group));
    group.finish();
    let mut group = criterion.benchmark_group("zeroed");
    each_contender!(zeroed_pairs(&mut group));
    group.finish();
}

fn pairs<C: Contender>(contender: &C, group: &mut BenchmarkGroup<'_, WallTime>) {
    pair::<C, 16>(contender, group);
    pair::<C, 64>(contender, group);
    pair::<C, 1024>(contender, group);
}

/// The size is a constant, as it is behind a `Box`.
fn pair<C: Contender, const SIZE: usize>(contender: &C, group: &mut BenchmarkGroup<'_, WallTime>) {
    let handle = contender.handle();
    let layout = const { layout(SIZE) };
    group.bench_function(format!("{}/{SIZE}", C::NAME), |bencher| {
        bencher.iter(|| {
            let block = black_box(allocate(&handle, layout));
            // SAFETY: allocated above with this layout, and freed once.
            unsafe { handle.deallocate(block, layout) };
        });
    });
}

fn zeroed_pairs<C: Contender>(contender: &C, group: &mut BenchmarkGroup<'_, WallTime>) {
    let handle = contender.handle();
    for size in [64, 1024, 16 << 10] {
        let layout = layout(size);
        group.bench_function(format!("{}/{size}", C::NAME), |bencher| {
            bencher.iter(|| {
                let block = handle.allocate_zeroed(layout).expect("there is memory").cast();
                // SAFETY: allocated above with this layout, and freed once.
                unsafe { handle.deallocate(black_box(block), layout) };
            });
        });
    }
}
