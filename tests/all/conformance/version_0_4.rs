//! The same laws through the trait of allocator-api2 0.4.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use allocator_api2_04::alloc::Allocator as Allocator04;
use blockyard::allocator_api2::alloc::{AllocError, Allocator};
use blockyard::layers::{Failing, Fallback, Limit, Locked, Null, Segregate, Tracking};
use blockyard::{Arena, FixedBuffer, Global, Heap, context};

use super::suite::{check, check_clones};

type Answer = Result<NonNull<[u8]>, AllocError>;

/// An allocator of 0.4 as one of 0.2.
#[derive(Clone)]
struct Through04<A>(A);

// SAFETY: the traits promise the same.
unsafe impl<A: Allocator04> Allocator for Through04<A> {
    fn allocate(&self, layout: Layout) -> Answer {
        self.0.allocate(layout).map_err(|_| AllocError)
    }
    fn allocate_zeroed(&self, layout: Layout) -> Answer {
        self.0.allocate_zeroed(layout).map_err(|_| AllocError)
    }
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.0.deallocate(block, layout) }
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.0.grow(block, old, new) }.map_err(|_| AllocError)
    }
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.0.grow_zeroed(block, old, new) }.map_err(|_| AllocError)
    }
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.0.shrink(block, old, new) }.map_err(|_| AllocError)
    }
}

fn check_04(allocator: impl Allocator04 + Clone) {
    let allocator = Through04(allocator);
    check(&allocator);
    check_clones(&allocator);
}

#[test]
fn handles() {
    let heap = Heap::new();
    check_04(&heap);
    check_04(heap.local());
    check_04(Global);
    check_04(&Arena::new());
    check_04(context::current());
}

#[test]
fn layers() {
    let budget = Limit::new(Global, 1 << 40);
    let tracking = Tracking::new(Failing::never(&budget));
    check_04(&tracking);
    check_04(tracking.tag("tagged"));
    check_04(Segregate::<_, _, 1000>::new(&budget, Global));
    check_04(&Locked::new(Arena::new()));
    check_04(&Fallback::new(FixedBuffer::new(&mut [MaybeUninit::uninit(); 1000]), &budget));
    assert_eq!((budget.used(), tracking.snapshot().total.live()), (0, 0));
    super::Conformance::new().may_refuse(true).check(&Through04(Null));
}
