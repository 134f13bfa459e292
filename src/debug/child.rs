//! The ways to an allocator below: the traits differ.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use super::block;

/// How many ways there are.
pub(super) const WAYS: usize = 3;

/// Gives a block back to the child that `child` points to.
pub(super) type Release = unsafe fn(child: *const (), block: NonNull<u8>, layout: Layout);

/// How blocks come from an `A` and go back. Layouts are never empty here: they are padded.
pub(super) trait Way<A> {
    /// Tells ways apart, below [`WAYS`].
    const NUMBER: u8;
    /// Whether who calls may be unwound through.
    const MAY_UNWIND: bool;

    fn take(child: &A, layout: Layout, zeroed: bool) -> Option<NonNull<u8>>;

    /// # Safety
    /// `block` is a live block for `layout` that [`take`](Self::take) gave, and given up.
    unsafe fn give(child: &A, block: NonNull<u8>, layout: Layout);
}

/// Gives a block for `padded(layout)` back to the `A` that `child` points to.
///
/// # Safety
/// As for [`Way::give`]; `child` points to the `A` that the block is of.
pub(super) unsafe fn release<A, W: Way<A>>(child: *const (), block: NonNull<u8>, layout: Layout) {
    // SAFETY: passed on; the block was padded when it was taken.
    unsafe { W::give(&*child.cast::<A>(), block, block::padded_before(layout)) };
}

/// Through `GlobalAlloc`.
pub(super) struct AsGlobal;

impl<A: GlobalAlloc> Way<A> for AsGlobal {
    const NUMBER: u8 = 0;
    const MAY_UNWIND: bool = false;

    #[inline]
    fn take(child: &A, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        // SAFETY: padded, so not empty.
        NonNull::new(unsafe { if zeroed { child.alloc_zeroed(layout) } else { child.alloc(layout) } })
    }

    #[inline]
    unsafe fn give(child: &A, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { child.dealloc(block.as_ptr(), layout) };
    }
}

/// `implement_way!(name, number, api)`: through the `Allocator` of `api`.
macro_rules! implement_way {
    ($(#[$doc:meta])* $name:ident, $number:literal, $api:ident) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl<A: $api::alloc::Allocator> Way<A> for $name {
            const NUMBER: u8 = $number;
            const MAY_UNWIND: bool = true;

            #[inline(always)]
            fn take(child: &A, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
                let made = if zeroed { child.allocate_zeroed(layout) } else { child.allocate(layout) };
                Some(made.ok()?.cast())
            }

            #[inline(always)]
            unsafe fn give(child: &A, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { child.deallocate(block, layout) };
            }
        }
    };
}

implement_way! {
    /// Through the `Allocator` of allocator-api2 0.2.
    AsAllocator02, 1, allocator_api2_02
}
#[cfg(feature = "allocator-api2-04")]
implement_way! {
    /// Through the `Allocator` of allocator-api2 0.4.
    AsAllocator04, 2, allocator_api2_04
}
