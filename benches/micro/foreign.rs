//! Blocks allocated on one thread and freed on another.
//!
//! The two threads take turns, a batch each, so neither waits for the other within what is timed, and
//! the numbers are costs of the work, not of contention. Contention is `blockyard bench`'s subject.

use std::ptr::NonNull;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use blockyard::allocator_api2::alloc::Allocator;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

use crate::batch::BATCH;
use crate::contender::{Contender, allocate, each_contender, layout};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("foreign");
    group.throughput(Throughput::Elements(BATCH as u64));
    each_contender!(rows(&mut group));
    group.finish();
}

/// Whose time counts.
#[derive(Clone, Copy)]
enum Side {
    /// The thread that frees what another allocated.
    Free,
    /// The owner, which allocates what came home.
    Reuse,
}

fn rows<C: Contender>(contender: &C, group: &mut BenchmarkGroup<'_, WallTime>) {
    for (side, name) in [(Side::Free, "free"), (Side::Reuse, "reuse")] {
        group.bench_function(format!("{}/{name}", C::NAME), |bencher| {
            bencher.iter_custom(|batches| turns(contender, side, batches));
        });
    }
}

/// Blocks on their way between the threads.
struct Batch(Vec<NonNull<u8>>);

// SAFETY: the pointers are owned blocks of a thread-safe allocator.
unsafe impl Send for Batch {}

/// Passes `batches` batches from this thread to another, and returns the time of one side.
fn turns<C: Contender>(contender: &C, side: Side, batches: u64) -> Duration {
    let (to_freer, from_owner) = channel();
    let (to_owner, from_freer) = channel();
    thread::scope(|scope| {
        let freer = scope.spawn(move || free_all(contender, &from_owner, &to_owner));
        let handle = contender.handle();
        let layout = const { layout(64) };
        let mut batch = Batch(Vec::with_capacity(BATCH));
        let mut reusing = Duration::ZERO;
        // One more than is counted: the first batch is of fresh blocks.
        for turn in 0..=batches {
            let start = Instant::now();
            batch.0.extend((0..BATCH).map(|_| allocate(&handle, layout)));
            if turn > 0 {
                reusing += start.elapsed();
            }
            to_freer.send(batch).expect("the other thread is there");
            batch = from_freer.recv().expect("the other thread is there");
        }
        drop(to_freer);
        let freeing = freer.join().expect("the other thread does not panic");
        match side {
            Side::Free => freeing,
            Side::Reuse => reusing,
        }
    })
}

/// Frees batch after batch, and returns the time that took, the first batch left out.
fn free_all<C: Contender>(contender: &C, incoming: &Receiver<Batch>, back: &Sender<Batch>) -> Duration {
    let handle = contender.handle();
    let layout = const { layout(64) };
    let mut freeing = Duration::ZERO;
    for (turn, mut batch) in incoming.iter().enumerate() {
        let start = Instant::now();
        for block in batch.0.drain(..) {
            // SAFETY: the owner allocated it with this layout and gave it up.
            unsafe { handle.deallocate(block, layout) };
        }
        if turn > 0 {
            freeing += start.elapsed();
        }
        if back.send(batch).is_err() {
            break;
        }
    }
    freeing
}
