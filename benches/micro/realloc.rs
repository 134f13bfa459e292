//! Growing and shrinking where the block already has the room.

use std::hint::black_box;

use blockyard::allocator_api2::alloc::Allocator;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};

use crate::contender::{Contender, allocate, each_contender, layout};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("realloc");
    each_contender!(in_class(&mut group));
    group.finish();
}

/// From 1,032 bytes to 1,144 and back: one size class here, and one block that can grow where it is, or
/// has room, in other allocators.
fn in_class<C: Contender>(contender: &C, group: &mut BenchmarkGroup<'_, WallTime>) {
    let handle = contender.handle();
    let (small, large) = (layout(1032), layout(1144));
    let mut block = allocate(&handle, small);
    group.bench_function(format!("{}/in-class", C::NAME), |bencher| {
        bencher.iter(|| {
            // SAFETY: the block is live with the layout given, and what comes back takes its place.
            unsafe {
                let grown = handle.grow(block, black_box(small), black_box(large)).expect("there is memory");
                block = handle.shrink(grown.cast(), large, small).expect("there is memory").cast();
            }
        });
    });
    // SAFETY: live with this layout.
    unsafe { handle.deallocate(block, small) };
}
