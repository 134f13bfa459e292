//! Contexts on other threads, and in rayon's jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{mem, thread};

use blockyard::Heap;
use blockyard::allocator_api2::vec::Vec as VecIn;
use blockyard::context::{self, Context, Current};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use super::nothing_is_installed;
use super::tracked::Tracked;

#[test]
fn a_thread_starts_with_nothing_and_enters_what_was_captured() {
    let tracked = Tracked::new();
    context::with_allocator(tracked.ambient(), || {
        context::with_name("loader", || {
            let here = context::current();
            let captured = Context::capture();
            assert_eq!(captured.name(), Some("loader"));
            captured.enter(|| assert_eq!(context::current(), here));
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(nothing_is_installed());
                    captured.enter(|| {
                        let numbers: VecIn<u8, _> = VecIn::with_capacity_in(100, context::current());
                        assert_eq!((tracked.live(), numbers.capacity()), (1, 100));
                        assert_eq!(context::name().as_deref(), Some("loader"));
                    });
                    assert!(nothing_is_installed());
                });
            });
        });
    });
    assert!(tracked.is_unused());
}

#[test]
fn what_is_captured_outlives_its_scope() {
    let tracked = Tracked::new();
    let captured = context::with_allocator(tracked.ambient(), Context::capture);
    thread::spawn(captured.wrap_once(|| assert_ne!(context::current(), Current::GLOBAL)))
        .join()
        .expect("the allocator is there");
    drop(captured);
    assert!(tracked.is_unused());
}

#[test]
fn an_arena_is_captured_as_one_of_whoever_enters() {
    context::with_arena(|| {
        let here = context::current();
        let captured = Context::capture();
        captured.enter(|| {
            assert_ne!(context::current(), here);
            assert!(format!("{:?}", context::current()).contains("Arena"));
        });
        let there = captured.clone();
        let total = thread::spawn(move || {
            there.enter(|| {
                let mut numbers = VecIn::new_in(context::current());
                numbers.extend(0..1000_u64);
                numbers.iter().sum::<u64>()
            })
        });
        assert_eq!(total.join().expect("contents are as written"), 499_500);
    });
}

/// Rows of numbers in `current()`, made by jobs that wait for other jobs while their vector grows.
fn nested(wrapped: &Context) -> usize {
    (0..32_usize)
        .into_par_iter()
        .map(wrapped.wrap(|row: usize| {
            let here = context::current();
            let mut numbers = VecIn::new_in(context::current());
            numbers.extend(0..row);
            // Waits here, and runs other rows meanwhile.
            let inner: usize = (0..32_usize)
                .into_par_iter()
                .map(Context::capture().wrap(|n: usize| {
                    context::temp().alloc_slice_copy(&[0xff_u8; 100]);
                    let mut inner = VecIn::new_in(context::current());
                    inner.extend(0..n);
                    context::free_temp();
                    inner.len()
                }))
                .sum();
            assert_eq!(context::current(), here);
            numbers.extend(row..2 * row);
            assert!(numbers.iter().enumerate().all(|(n, &number)| n == number));
            inner
        }))
        .sum()
}

#[test]
fn parallel_iterators_nest_in_a_scope() {
    let heap = Arc::new(Heap::new());
    for _ in 0..5 {
        let total = context::with_allocator(&heap, || nested(&Context::capture()));
        assert_eq!(total, 32 * 31 * 16);
        assert_eq!(context::with_arena(|| nested(&Context::capture())), total);
    }
    assert!(nothing_is_installed());
    assert_eq!(heap.stats().blocks.live(), 0);
    rayon::broadcast(|_| assert!(nothing_is_installed()));
}

#[test]
fn once_wrapped_jobs_run_in_rayon() {
    let tracked = Tracked::new();
    context::with_allocator(tracked.ambient(), || {
        let here = Context::capture();
        let job = || context::current() != Current::GLOBAL;
        assert_eq!(rayon::join(here.wrap_once(job), here.wrap_once(job)), (true, true));
        let seen = AtomicUsize::new(0);
        rayon::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|_| here.enter(|| _ = seen.fetch_add(usize::from(job()), Ordering::Relaxed)));
            }
        });
        assert_eq!(seen.into_inner(), 10);
    });
    assert!(tracked.is_unused());
}

fn inside(tracked: &Tracked) -> Context {
    context::with_allocator(tracked.ambient(), || context::with_name("pool", Context::capture))
}

#[test]
fn a_pool_runs_in_a_context_by_its_spawn_handler() {
    let (tracked, ended) = (Tracked::new(), Arc::new(AtomicUsize::new(0)));
    let context = inside(&tracked);
    let count = ended.clone();
    let pool = ThreadPoolBuilder::new().num_threads(3).spawn_handler(move |worker| {
        let (context, count) = (context.clone(), count.clone());
        let run = move || {
            context.enter(|| worker.run());
            assert!(nothing_is_installed());
            drop(context);
            count.fetch_add(1, Ordering::Release);
        };
        thread::Builder::new().spawn(run).map(drop)
    });
    let pool = pool.build().expect("there are threads");
    pool.install(|| assert_ne!(context::current(), Current::GLOBAL));
    drop(pool);
    while ended.load(Ordering::Acquire) < 3 {
        thread::yield_now();
    }
    assert!(tracked.is_unused());
}

#[test]
fn a_pool_runs_in_a_context_by_its_start_handler() {
    let tracked = Tracked::new();
    let context = inside(&tracked);
    let pool = ThreadPoolBuilder::new().num_threads(3).start_handler(move |_| mem::forget(context.install()));
    let pool = pool.build().expect("there are threads");
    pool.broadcast(|_| {
        assert_ne!(context::current(), Current::GLOBAL);
        assert_eq!(context::name().as_deref(), Some("pool"));
        context::with_arena(|| assert!(format!("{:?}", context::current()).contains("Arena")));
        assert!(format!("{:?}", context::current()).contains("Counted"));
    });
    let total: usize = pool.install(|| {
        (0..1000_usize)
            .into_par_iter()
            .map(|n| {
                let mut numbers = VecIn::new_in(context::current());
                numbers.extend(0..n);
                numbers.len()
            })
            .sum()
    });
    assert_eq!((total, tracked.live()), (499_500, 0));
    drop(pool);
    // The threads' locals hold what is installed, and nothing waits for these.
    while !tracked.is_unused() {
        thread::yield_now();
    }
}
