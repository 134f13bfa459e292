//! The ways to an allocator below: the traits differ.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use super::block;

/// How blocks come from an `A` and go back. Layouts are never empty here: they are padded.
pub(super) trait Way<A> {
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
    if let Some(padded) = block::padded(layout) {
        // SAFETY: passed on.
        unsafe { W::give(&*child.cast::<A>(), block, padded) };
    }
}

/// Through `GlobalAlloc`.
pub(super) struct AsGlobal;

impl<A: GlobalAlloc> Way<A> for AsGlobal {
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

/// `implement_way!(name, api)`: through the `Allocator` of `api`.
macro_rules! implement_way {
    ($(#[$doc:meta])* $name:ident, $api:ident) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl<A: $api::alloc::Allocator> Way<A> for $name {
            const MAY_UNWIND: bool = true;

            #[inline]
            fn take(child: &A, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
                let made = if zeroed { child.allocate_zeroed(layout) } else { child.allocate(layout) };
                Some(made.ok()?.cast())
            }

            #[inline]
            unsafe fn give(child: &A, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { child.deallocate(block, layout) };
            }
        }
    };
}

implement_way! {
    /// Through the `Allocator` of allocator-api2 0.2.
    AsAllocator02, allocator_api2_02
}
#[cfg(feature = "allocator-api2-04")]
implement_way! {
    /// Through the `Allocator` of allocator-api2 0.4.
    AsAllocator04, allocator_api2_04
}
