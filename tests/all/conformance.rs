//! The conformance suite on every allocator and layer, and on some that break its laws.

/// The library's own file: so the suite runs here without the feature that makes it public.
#[allow(dead_code, unreachable_pub, reason = "written to be public")]
#[path = "../../src/conformance/mod.rs"]
mod suite;

mod breaks;
#[cfg(feature = "allocator-api2-04")]
mod version_0_4;

use std::mem::MaybeUninit;

use blockyard::allocator_api2::alloc::{Allocator, Global as System};
use blockyard::context::Ambient;
use blockyard::layers::{Failing, Fallback, Limit, Locked, Null, Panicking, Segregate, Tracking};
use blockyard::{Arena, FixedBuffer, Global, Heap, RollbackStack, SharedFixedBuffer, StackFallback, context};

use self::suite::{Conformance, check, check_clones, check_threads};
use crate::support::{KIB, MIB};

/// An allocator that may be cloned, moved and shared.
fn check_all<A: Allocator + Clone + Sync>(allocator: A) {
    check_threads(&check_one_thread(allocator));
}

fn check_one_thread<A: Allocator + Clone>(allocator: A) -> A {
    check(&allocator);
    Conformance::new().seed(1).check_random(&allocator);
    check_clones(&allocator);
    Conformance::new().check_moves(allocator)
}

/// What runs out: blocks to 64 KiB.
fn little() -> Conformance {
    Conformance::new().largest(64 * KIB).may_refuse(true)
}

fn bytes(size: usize) -> Box<[MaybeUninit<u8>]> {
    Box::new_uninit_slice(size)
}

#[test]
fn the_system() {
    check_all(System);
}

#[test]
fn global() {
    check_all(Global);
}

#[test]
#[cfg(feature = "tlsf")]
fn a_heap_in_bytes_of_the_callers() {
    use blockyard::FixedHeap;

    let mut memory = bytes(8 * MIB);
    little().check(&&FixedHeap::new(&mut memory));
    little().check_clones(&&FixedHeap::new(&mut memory));
    Conformance::new().may_refuse(true).check(&&FixedHeap::new(&mut bytes(5000)));
    Conformance::new().may_refuse(true).check(&&FixedHeap::new(&mut bytes(10)));
    let locked = Locked::new(FixedHeap::new(&mut memory));
    little().check_threads(&&locked);
    check_one_thread(&Fallback::new(FixedHeap::new(&mut bytes(MIB)), Global));
}

#[test]
fn heaps() {
    let heap = Heap::new();
    check_all(&heap);
    check_one_thread(heap.local());
    let limited = Heap::builder().limit(4 * MIB).build().expect("memory");
    Conformance::new().may_refuse(true).check(&&limited);
    Conformance::new().may_refuse(true).check_threads(&&limited);
}

#[test]
fn arenas() {
    check_one_thread(&Arena::new());
    let heap = Heap::new();
    check_one_thread(&Arena::new_in(&heap));
    let mut arena = Arena::new();
    arena.scope(|scope| {
        check_one_thread(&*scope);
    });
}

#[test]
fn buffers() {
    let mut memory = bytes(32 * MIB);
    little().check(&&FixedBuffer::new(&mut memory));
    little().check_clones(&&FixedBuffer::new(&mut memory));
    little().check(&&RollbackStack::new(&mut memory));
    little().check_clones(&&RollbackStack::new(&mut memory));
    Conformance::new().may_refuse(true).check(&&RollbackStack::new(&mut bytes(5000)));
    let shared = SharedFixedBuffer::new(&mut memory);
    little().check(&&shared);
    little().check_threads(&&shared);
    Conformance::new().may_refuse(true).check(&&FixedBuffer::new(&mut bytes(5000)));
    check_one_thread(&StackFallback::<3000>::new());
}

#[test]
fn the_context() {
    check_one_thread(context::current());
    context::with_arena(|| check_one_thread(context::current()));
    for ambient in [Ambient::from(Heap::new()), Ambient::new(Limit::new(Global, 1 << 40))] {
        context::with_allocator(ambient, || check_one_thread(context::current()));
    }
    check_one_thread(context::temp());
    context::free_temp();
}

#[test]
fn limits() {
    let budget = Limit::new(Global, usize::MAX).on_soft_limit(MIB, |_| {});
    check_all(&budget);
    assert_eq!(budget.used(), 0);
    let tight = Conformance::new().check_moves(Limit::new(Global, 8 * MIB));
    Conformance::new().may_refuse(true).check(&tight);
    Conformance::new().may_refuse(true).check_threads(&tight);
    assert_eq!(tight.used(), 0);
    let tiny = Limit::new(Global, 2 * KIB);
    Conformance::new().may_refuse(true).check(&tiny);
    assert!(tiny.used() == 0 && tiny.peak() <= 2 * KIB);
}

#[test]
fn failing() {
    check_all(&Failing::never(Global));
    for seed in 0..4 {
        let memory = Failing::random(Global, seed, 0.2);
        Conformance::new().may_refuse(true).seed(seed).check(&memory);
        Conformance::new().may_refuse(true).seed(seed).check_threads(&memory);
    }
}

#[test]
fn fallbacks() {
    for size in [300, 20 * KIB, MIB] {
        let mut memory = bytes(size);
        check_one_thread(&Fallback::new(FixedBuffer::new(&mut memory), Global));
        check_one_thread(&Fallback::new(RollbackStack::new(&mut memory), Global));
        check_all(&Fallback::new(SharedFixedBuffer::new(&mut memory), Global));
    }
    let small = Heap::builder().limit(MIB).build().expect("memory");
    check_all(&Fallback::new(small, Global));
    let (first, second) = (Heap::builder().limit(MIB).build().expect("memory"), Heap::new());
    // SAFETY: two heaps over the system's memory.
    check_all(&unsafe { Fallback::with_shared(Failing::random(&first, 1, 0.3), &second) });
    little().check(&&Fallback::new(FixedBuffer::new(&mut bytes(MIB)), Null));
}

#[test]
fn segregates() {
    check_all(Segregate::<_, _, 256>::new(Global, System));
    check_all(Segregate::<_, _, 0>::new(Null, Global));
    let (nodes, heap) = (Arena::new(), Heap::new());
    check_one_thread(Segregate::<_, _, 1000>::new(&nodes, &heap));
    Conformance::new()
        .largest(4096)
        .check_random(&Segregate::<_, _, 4096>::new(Global, Panicking::new("too large")));
}

#[test]
fn locks() {
    check_all(&Locked::new(Global));
    check_all(&Locked::new(Arena::new()));
    check_all(&Locked::new(StackFallback::<3000>::new()));
    let mut memory = bytes(32 * MIB);
    let locked = Locked::new(FixedBuffer::new(&mut memory));
    little().check(&&locked);
    little().check_threads(&&locked);
}

#[test]
fn no_memory() {
    Conformance::new().may_refuse(true).check(&Null);
    Conformance::new().may_refuse(true).check_clones(&Null);
    Conformance::new().largest(0).check_random(&Panicking::new("no bytes are asked for"));
}

#[test]
fn tracking() {
    let tracking = Tracking::new(Global);
    check_all(&tracking);
    check_all(tracking.tag("tagged"));
    let listing = Tracking::with_list(Failing::random(Global, 5, 0.1));
    Conformance::new().may_refuse(true).check(&listing);
    Conformance::new().may_refuse(true).check_threads(&listing);
    assert!(listing.snapshot().blocks.is_empty());
    let total = tracking.snapshot().total;
    assert_eq!((total.bytes, total.live()), (0, 0));
}

#[cfg(feature = "tracing")]
#[test]
fn logging() {
    check_all(blockyard::layers::Logging::new(Global, "logged"));
}

#[test]
fn stacks_of_layers() {
    let heap = Heap::new();
    let budget = Limit::new(&heap, 1 << 40);
    let tracking = Tracking::new(Failing::never(&budget));
    check_all(tracking.tag("stack"));
    assert_eq!((budget.used(), tracking.snapshot().total.live()), (0, 0));

    let mut memory = bytes(64 * KIB);
    let buffer = Fallback::new(Locked::new(FixedBuffer::new(&mut memory)), Limit::new(System, 1 << 40));
    check_all(Segregate::<_, _, 512>::new(&buffer, Tracking::new(Global).child()));

    let arena = Locked::new(Arena::new_in(&budget));
    let unreliable = Tracking::new(Failing::random(&arena, 3, 0.1));
    Conformance::new().may_refuse(true).check(&unreliable);
    Conformance::new().may_refuse(true).check_threads(&unreliable);
    assert_eq!(unreliable.snapshot().total.bytes, 0);
}

/// Blocks longer than was asked for are no trouble to layers that keep books.
#[test]
fn generous_children() {
    let tracking = Tracking::new(breaks::Generous(Global));
    let budget = Limit::new(&tracking, 1 << 40);
    check_all(breaks::Generous(Global));
    check_all(&budget);
    check_all(Segregate::<_, _, 300>::new(breaks::Generous(Global), breaks::Generous(System)));
    assert_eq!((budget.used(), tracking.snapshot().total.bytes), (0, 0));
}
