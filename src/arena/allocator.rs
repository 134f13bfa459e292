//! The allocator traits for what gives bytes out in order.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use super::{Arena, Scope};
use crate::allocator_api2::alloc::{AllocError, Allocator};
use crate::checkers;

/// What the traits' implementations need of a handle.
pub(crate) trait Blocks {
    fn take(&self, layout: Layout) -> Option<NonNull<u8>>;

    /// # Safety
    /// (A3) `block` is a live block for `layout` of an equal handle, and given up.
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout);

    /// Where the block can be made larger without another one: its new place.
    ///
    /// # Safety
    /// (A3) As for `give`, where a place comes back; `new.size() >= old.size()`.
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>>;

    /// Where the block can be made smaller without another one, and its bytes used again: its new place.
    ///
    /// # Safety
    /// (A3) As for `give`, where a place comes back; `new.size() <= old.size()`.
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>>;

    /// Whether a block for `old` may be taken for one of a smaller layout without a word to anybody.
    #[inline(always)]
    fn can_stay(&self, _block: NonNull<u8>, _old: Layout) -> bool {
        true
    }

    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Option<NonNull<[u8]>> {
        Some(NonNull::slice_from_raw_parts(self.take(layout)?, layout.size()))
    }

    /// # Safety
    /// `Allocator::grow`'s.
    #[inline]
    unsafe fn reallocate_larger(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: passed on.
        let place = match unsafe { self.grow(block, old, new) } {
            Some(place) => place,
            // SAFETY: passed on.
            None => unsafe { self.move_to_new(block, old, new, old.size()) }?,
        };
        Some(NonNull::slice_from_raw_parts(place, new.size()))
    }

    /// # Safety
    /// `Allocator::grow_zeroed`'s.
    unsafe fn reallocate_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: passed on; what lies behind the old size is the new block's.
        unsafe {
            let grown = self.reallocate_larger(block, old, new)?;
            grown.cast::<u8>().add(old.size()).write_bytes(0, new.size() - old.size());
            Some(grown)
        }
    }

    /// # Safety
    /// `Allocator::shrink`'s.
    #[inline]
    unsafe fn reallocate_smaller(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: passed on.
        let place = match unsafe { self.shrink(block, old, new) } {
            Some(place) => place,
            None if block.addr().get().is_multiple_of(new.align()) && self.can_stay(block, old) => block,
            // SAFETY: passed on.
            None => unsafe { self.move_to_new(block, old, new, new.size()) }?,
        };
        Some(NonNull::slice_from_raw_parts(place, new.size()))
    }

    /// # Safety
    /// (A3) As for `give`, where a place comes back; both layouts have `bytes` bytes.
    unsafe fn move_to_new(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        bytes: usize,
    ) -> Option<NonNull<u8>> {
        let place = self.take(new)?;
        // SAFETY: two live blocks; the old one is given up.
        unsafe {
            ptr::copy_nonoverlapping(block.as_ptr(), place.as_ptr(), bytes);
            self.give(block, old);
        }
        Some(place)
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Blocks for Arena<A, MIN_ALIGN> {
    #[inline(always)]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.place::<AllocError>(layout).ok()
    }

    #[inline(always)]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        checkers::hide(block.as_ptr(), layout.size());
        if self.bump.is_last(block, layout.size()) {
            self.note_low();
            // SAFETY: (A3) the last block of the current chunk, given up.
            unsafe { self.bump.give_back(layout.size()) };
        } else if self.is_last_large(block, layout.size()) {
            // SAFETY: (A3) passed on.
            unsafe { self.give_back_large() };
        }
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        if checkers::is_on() {
            None
        } else if self.bump.is_last(block, old.size()) {
            // SAFETY: (A3) the last block of the current chunk, given up for its new place.
            unsafe { self.bump.grow_last(old, new) }
        } else if self.is_last_large(block, old.size()) {
            // SAFETY: (A3) passed on.
            unsafe { self.grow_large(new) }
        } else {
            None
        }
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        if checkers::is_on() {
            None
        } else if self.bump.is_last(block, old.size()) {
            self.note_low();
            // SAFETY: (A3) as in `grow`.
            unsafe { self.bump.shrink_last(old, new) }
        } else {
            None
        }
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Blocks for Scope<'_, A, MIN_ALIGN> {
    #[inline(always)]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.arena.take(layout)
    }
    #[inline(always)]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.arena.give(block, layout) }
    }
    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        // SAFETY: passed on.
        unsafe { self.arena.grow(block, old, new) }
    }
    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        // SAFETY: passed on.
        unsafe { self.arena.shrink(block, old, new) }
    }
}

/// `implement_allocator!(api; [generics] type)`: the trait of `api` for `&type`, through [`Blocks`].
macro_rules! implement_allocator {
    ($api:ident; [$($generics:tt)*] $type:ty) => {
        // SAFETY: blocks fit their layouts, and their bytes are nobody else's until they are freed, or
        // until a call that takes `&mut` or the value itself, for which no handle may be left. Handles are
        // equal where they refer to the same value, as clones do.
        unsafe impl<$($generics)*> $api::alloc::Allocator for &$type {
            #[inline(always)]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                $crate::arena::Blocks::allocate(*self, layout).ok_or($api::alloc::AllocError)
            }
            #[inline(always)]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { $crate::arena::Blocks::give(*self, block, layout) }
            }
            // Out of line, so that what pushes is small: growth is rare where a container doubles.
            #[inline(never)]
            unsafe fn grow(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { $crate::arena::Blocks::reallocate_larger(*self, block, old, new) }
                    .ok_or($api::alloc::AllocError)
            }
            #[inline]
            unsafe fn grow_zeroed(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { $crate::arena::Blocks::reallocate_zeroed(*self, block, old, new) }
                    .ok_or($api::alloc::AllocError)
            }
            #[inline]
            unsafe fn shrink(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { $crate::arena::Blocks::reallocate_smaller(*self, block, old, new) }
                    .ok_or($api::alloc::AllocError)
            }
        }
    };
}
pub(crate) use implement_allocator;

implement_allocator!(allocator_api2_02; [A: Allocator, const MIN_ALIGN: usize] Arena<A, MIN_ALIGN>);
implement_allocator!(allocator_api2_02; [A: Allocator, const MIN_ALIGN: usize] Scope<'_, A, MIN_ALIGN>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04; [A: Allocator, const MIN_ALIGN: usize] Arena<A, MIN_ALIGN>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04; [A: Allocator, const MIN_ALIGN: usize] Scope<'_, A, MIN_ALIGN>);
