//! A thousand blocks allocated, then freed in one of two orders.

use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::Allocator;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

use crate::contender::{Contender, allocate, each_contender, layout};

/// Blocks in a batch: 64 KB of them, one chunk of the library's.
pub(crate) const BATCH: usize = 1000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(BATCH as u64));
    let lifo: Vec<usize> = (0..BATCH).rev().collect();
    let random = shuffled();
    each_contender!(batch("lifo", &lifo, &mut group));
    each_contender!(batch("random", &random, &mut group));
    group.finish();
}

fn batch<C: Contender>(contender: &C, name: &str, order: &[usize], group: &mut BenchmarkGroup<'_, WallTime>) {
    let handle = contender.handle();
    let layout = const { layout(64) };
    let mut blocks = vec![NonNull::dangling(); BATCH];
    group.bench_function(format!("{}/{name}", C::NAME), |bencher| {
        bencher.iter(|| {
            for block in &mut blocks {
                *block = allocate(&handle, layout);
            }
            for &index in order {
                // SAFETY: allocated above with this layout; the order names each block once.
                unsafe { handle.deallocate(blocks[index], layout) };
            }
        });
    });
}

/// The numbers below [`BATCH`] in an order that is the same in every run.
fn shuffled() -> Vec<usize> {
    let mut order: Vec<usize> = (0..BATCH).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..BATCH).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}
