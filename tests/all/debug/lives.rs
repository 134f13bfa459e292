//! What is used as it should be: contents, the quarantine, refusals, other layers.

use std::collections::HashSet;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::{boxed::Box as BoxIn, vec::Vec as VecIn};
use blockyard::{Arena, Debug, Global, Heap};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use super::{Seen, Strict, allocate, free, watched};
use crate::model::{Host, Op, Step, run};
use crate::support::{Rng, layout, team};

assert_impl_all!(Debug<Global>: Send, Sync, std::alloc::GlobalAlloc);
assert_impl_all!(&Debug<&Heap>: Send, Sync, Allocator);
assert_not_impl_any!(Debug<blockyard::LocalHeap<'static>>: Send, Sync);

struct Watched<'a>(&'a Debug<&'a Strict>);

impl<'a> Host for Watched<'a> {
    type Allocator = &'a Debug<&'a Strict>;
    fn allocator(&self) -> &Self::Allocator {
        &self.0
    }
}

#[test]
fn blocks_keep_what_is_in_them_whoever_resizes_and_frees() {
    let mut rng = Rng::new(11);
    let steps: Vec<Step> = (0..3000)
        .map(|_| {
            let align = rng.power(6, 13);
            let layout = layout(rng.below(3) * rng.power(10, 18), align);
            let zeroed = rng.below(2) == 0;
            let op = match rng.below(3) {
                0 => Op::Alloc { layout, zeroed },
                1 => Op::Resize { pick: rng.below(64), layout, zeroed },
                _ => Op::Free { pick: rng.below(64), unsized_: false },
            };
            op.once(rng.below(4) == 0)
        })
        .collect();
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    assert_eq!(run(|| Watched(&debug), &steps).refused, 0);
    assert!(debug.check().is_empty() && debug.leaks().is_empty());
    drop(debug);
    assert_eq!((seen.take().len(), child.blocks()), (0, 0));
}

#[test]
fn an_address_in_quarantine_is_not_used_again() {
    const QUARANTINE: usize = 64 << 10;
    let child = Strict::default();
    let (seen, policy) = Seen::new();
    let debug = Debug::new(&child).policy(policy).quarantine(QUARANTINE);
    let size = layout(48, 8);
    // 64 bytes each with what is behind them, some of them in each of 32 shares.
    let few = QUARANTINE / 64 / 4;
    let addresses: HashSet<_> = (0..few)
        .map(|_| {
            let block = allocate(&debug, size);
            free(&debug, block, size);
            block.addr().get()
        })
        .collect();
    assert_eq!((addresses.len(), child.blocks()), (few, few));
    for _ in 0..10 * QUARANTINE / 64 {
        let block = allocate(&debug, size);
        free(&debug, block, size);
        assert!(child.bytes() <= QUARANTINE);
        free(&debug, block, size); // the block freed last is there for sure
        assert_eq!(seen.take().len(), 1);
    }
    assert!(child.bytes() >= QUARANTINE / 2);
    for size in [500, 1000, 8, 1900, 2032, 2033, 40, 100_000] {
        free(&debug, allocate(&debug, layout(size, 8)), layout(size, 8));
        assert!(child.bytes() <= QUARANTINE, "{size}");
    }
    drop(debug);
    assert_eq!((seen.take().len(), child.blocks()), (0, 0));
}

#[test]
fn no_quarantine_holds_nothing() {
    let child = Strict::default();
    let (seen, policy) = Seen::new();
    let debug = Debug::new(&child).policy(policy).quarantine(0);
    for size in [0, 1, 100] {
        free(&debug, allocate(&debug, layout(size, 8)), layout(size, 8));
        assert_eq!(child.blocks(), 0);
    }
    assert!(seen.take().is_empty());
}

#[test]
fn a_child_that_refuses() {
    let child = Strict::with_limit(200);
    let (seen, debug) = watched(&child);
    let block = allocate(&debug, layout(100, 8));
    assert!((&debug).allocate(layout(100, 8)).is_err());
    assert!(
        (&debug).allocate(layout(isize::MAX as usize - 7, 8)).is_err(),
        "with what is behind it there is no such"
    );
    // SAFETY: the allocator's live block.
    assert!(unsafe { (&debug).grow(block, layout(100, 8), layout(150, 8)) }.is_err());
    assert_eq!(debug.leaks().len(), 1);
    free(&debug, block, layout(100, 8));
    assert!(seen.take().is_empty());
}

#[test]
fn containers_over_heaps_and_arenas_on_many_threads() {
    let heap = Heap::new();
    let (seen, policy) = Seen::new();
    let debug = Debug::new(&heap).policy(policy).quarantine(100_000);
    team(|team| {
        for thread in 0..4_u64 {
            let debug = &debug;
            team.spawn(move || {
                for n in 0..200 {
                    let mut numbers = VecIn::new_in(debug);
                    numbers.extend((0..n).map(|n| n * thread));
                    let elsewhere = BoxIn::new_in(numbers, debug);
                    if n % 50 == 0 {
                        std::thread::scope(|scope| {
                            scope.spawn(move || assert_eq!(elsewhere.len() as u64, n));
                        });
                    }
                }
            });
        }
        team.spawn(|| (0..50).for_each(|_| assert!(debug.check().is_empty())));
    });
    assert!(debug.leaks().is_empty());
    drop(debug);
    assert_eq!(heap.stats().blocks.live(), 0);

    let outer_seen = Seen::new();
    let arena = Arena::new();
    let inner = Debug::new(&arena).name("inner").policy(policy);
    let outer = Debug::new(&inner).name("outer").policy(outer_seen.1);
    let numbers: VecIn<u32, _> = {
        let mut numbers = VecIn::new_in(&outer);
        (0..1000).for_each(|n| numbers.push(n));
        numbers
    };
    assert_eq!((outer.leaks().len(), inner.leaks().len() > 1), (1, true));
    drop(numbers);
    drop(outer);
    assert!(inner.leaks().is_empty());
    drop(inner);
    assert_eq!((seen.take().len(), outer_seen.0.take().len()), (0, 0));
}
