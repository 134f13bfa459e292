//! What each layer does beyond the laws, which `conformance` checks.

mod failing;
mod fallback;
mod limit;
mod locked;
#[cfg(feature = "tracing")]
mod logging;
mod segregate;
mod tracking;

use std::alloc::Layout;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::{AllocError, Allocator};
use blockyard::layers::{Failing, Fallback, Limit, Locked, Null, Panicking, Segregate, Tagged, Tracking};
use blockyard::{Arena, FixedBuffer, Global, Heap, LocalHeap};
use static_assertions::{assert_impl_all, assert_not_impl_any};

type Answer = Result<NonNull<[u8]>, AllocError>;

// Threads: what the child allows, and `Locked` what a child that may be sent allows.
assert_impl_all!(Limit<Global>: Allocator, Send, Sync);
assert_impl_all!(Tracking<&'static Heap>: Allocator, Send, Sync);
assert_impl_all!(Tagged<'static, Global>: Allocator, Send, Sync, Copy);
assert_impl_all!(Failing<Limit<Global>>: Allocator, Send, Sync);
assert_impl_all!(Segregate<Global, &'static Heap, 64>: Allocator, Send, Sync, Copy);
assert_impl_all!(&'static Fallback<Heap, Global>: Allocator, Send, Sync, Copy);
assert_impl_all!(&'static Locked<Arena>: Allocator, Send, Sync, Copy);
assert_impl_all!(Null: Allocator, Send, Sync, Copy);
assert_impl_all!(Panicking: Allocator, Send, Sync, Copy);
assert_not_impl_any!(Limit<LocalHeap<'static>>: Send, Sync);
assert_not_impl_any!(Tracking<&'static Arena>: Send, Sync);
assert_not_impl_any!(Segregate<Global, LocalHeap<'static>, 64>: Send, Sync);
assert_not_impl_any!(Fallback<FixedBuffer<'static>, Global>: Sync);
assert_not_impl_any!(Locked<LocalHeap<'static>>: Send, Sync);

// Books: a clone would have books of its own.
assert_not_impl_any!(Limit<Global>: Clone);
assert_not_impl_any!(Failing<Global>: Clone);
assert_not_impl_any!(Tracking<Global>: Clone);
assert_not_impl_any!(Locked<Global>: Clone);
assert_not_impl_any!(Segregate<Global, Limit<Global>, 64>: Clone);

/// Counts which calls reach the child, and panics when told to.
#[derive(Default)]
struct Probe {
    zeroed: Cell<u32>,
    grown: Cell<u32>,
    grown_zeroed: Cell<u32>,
    shrunk: Cell<u32>,
    panics: Cell<bool>,
}

impl Probe {
    fn count(&self, calls: &Cell<u32>) {
        assert!(!self.panics.get(), "the child panics");
        calls.set(calls.get() + 1);
    }
}

// SAFETY: `Global`'s blocks.
unsafe impl Allocator for Probe {
    fn allocate(&self, layout: Layout) -> Answer {
        self.count(&Cell::default());
        Global.allocate(layout)
    }
    fn allocate_zeroed(&self, layout: Layout) -> Answer {
        self.count(&self.zeroed);
        Global.allocate_zeroed(layout)
    }
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { Global.deallocate(block, layout) }
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        self.count(&self.grown);
        // SAFETY: passed on.
        unsafe { Global.grow(block, old, new) }
    }
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        self.count(&self.grown_zeroed);
        // SAFETY: passed on.
        unsafe { Global.grow_zeroed(block, old, new) }
    }
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        self.count(&self.shrunk);
        // SAFETY: passed on.
        unsafe { Global.shrink(block, old, new) }
    }
}

/// Each method once, on a block of some hundred bytes.
fn each_call(allocator: &impl Allocator) {
    let [small, middle, large] = [100, 200, 300].map(|size| Layout::from_size_align(size, 8).expect("valid"));
    let block = allocator.allocate_zeroed(small).expect("memory").cast();
    // SAFETY: each call takes what the last one gave.
    unsafe {
        let block = allocator.grow(block, small, middle).expect("memory").cast();
        let block = allocator.grow_zeroed(block, middle, large).expect("memory").cast();
        let block = allocator.shrink(block, large, small).expect("memory").cast();
        allocator.deallocate(block, small);
    }
}

fn assert_forwards<A: Allocator>(layer: &A, probe: &Probe) {
    each_call(layer);
    let Probe { zeroed, grown, grown_zeroed, shrunk, .. } = probe;
    assert_eq!([zeroed, grown, grown_zeroed, shrunk].map(Cell::get), [1, 1, 1, 1]);
}

#[test]
fn calls_are_the_childs_own() {
    let forwards = |layer: &dyn Fn(&Probe)| layer(&Probe::default());
    forwards(&|probe| assert_forwards(&Limit::new(probe, 1000), probe));
    forwards(&|probe| assert_forwards(&Failing::never(probe), probe));
    forwards(&|probe| assert_forwards(&Tracking::new(probe), probe));
    forwards(&|probe| assert_forwards(&Tracking::new(probe).tag("tag"), probe));
    forwards(&|probe| assert_forwards(&Segregate::<_, _, 1000>::new(probe, Null), probe));
    forwards(&|probe| assert_forwards(&Segregate::<_, _, 10>::new(Null, probe), probe));
    forwards(&|probe| assert_forwards(&&Fallback::new(FixedBuffer::new(&mut []), probe), probe));
    let locked = Locked::new(Probe::default());
    each_call(&&locked);
    assert_eq!(locked.into_inner().grown_zeroed.get(), 1);
}

/// A child that panics leaves the books as they were, and no lock held.
#[test]
fn a_child_may_panic() {
    fn assert_survives<A: Allocator>(layer: &A, panics: &dyn Fn(bool)) {
        let layout = Layout::new::<[u8; 100]>();
        panics(true);
        catch_unwind(AssertUnwindSafe(|| layer.allocate(layout))).expect_err("a panic");
        panics(false);
        each_call(layer);
    }
    let probe = Probe::default();
    let panics = |on| probe.panics.set(on);
    let limit = Limit::new(&probe, 300);
    assert_survives(&limit, &panics);
    assert_eq!((limit.used(), limit.peak()), (0, 300));
    let tracking = Tracking::new(&probe);
    assert_survives(&tracking, &panics);
    let total = tracking.snapshot().total;
    assert_eq!((total.bytes, total.allocations, total.frees, total.resizes), (0, 1, 1, 3));
    assert_survives(&Tracking::with_list(&probe), &panics);
    assert_survives(&&Locked::new(&probe), &panics);
    assert_survives(&&Fallback::new(FixedBuffer::new(&mut []), &probe), &panics);
}

#[test]
fn blocks_without_bytes_are_always_to_be_had() {
    fn assert_empty_served(layer: &impl Allocator) {
        for align in [1, 8, 4096] {
            let [none, page] = [align, 4096].map(|align| Layout::from_size_align(0, align).expect("valid"));
            // SAFETY: each call takes what the last one gave.
            unsafe {
                let block = layer.allocate(none).expect("nothing").cast::<u8>();
                assert_eq!(block.addr().get() % align, 0);
                let block = layer.grow_zeroed(block, none, page).expect("nothing").cast::<u8>();
                assert_eq!(block.addr().get() % 4096, 0);
                let block = layer.shrink(block, page, none).expect("nothing").cast();
                layer.deallocate(block, none);
            }
        }
    }
    assert_empty_served(&Null);
    assert_empty_served(&Panicking::new("no bytes are asked for"));
    assert_empty_served(&Limit::new(Null, 0));
    assert_empty_served(&Segregate::<_, _, 0>::new(Null, Null));
    assert_empty_served(&&Locked::new(Null));
    assert_empty_served(&&Fallback::new(FixedBuffer::new(&mut []), Null));
    let failing = Failing::from_nth(Null, 0);
    assert_empty_served(&failing);
    assert_eq!(failing.requests(), 0);
    let tracking = Tracking::new(Null);
    assert_empty_served(&tracking);
    assert_eq!(tracking.snapshot().total.allocations, 0);
}

#[test]
#[should_panic(expected = "not on this path: asked for 8 bytes aligned to 8")]
fn panicking_says_why() {
    let _ = Panicking::new("not on this path").allocate(Layout::new::<u64>());
}
