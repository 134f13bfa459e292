//! The `Allocator` trait of allocator-api2 0.4, by that of 0.2.

#[cfg(feature = "allocator-api2-04")]
use core::ptr::NonNull;

#[cfg(feature = "allocator-api2-04")]
use crate::allocator_api2::alloc::AllocError;

/// `also_04!([generics] type where bounds)`: the trait of allocator-api2 0.4, by that of 0.2.
macro_rules! also_04 {
    ([$($generics:tt)*] $type:ty where $($bounds:tt)*) => {
        // SAFETY: as for the trait of 0.2, which promises the same.
        #[cfg(feature = "allocator-api2-04")]
        unsafe impl<$($generics)*> allocator_api2_04::alloc::Allocator for $type where $($bounds)* {
            #[inline]
            fn allocate(&self, layout: Layout) -> $crate::by_02::Answer04 {
                $crate::allocator_api2::alloc::Allocator::allocate(self, layout)
                    .map_err($crate::by_02::refused_04)
            }
            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> $crate::by_02::Answer04 {
                $crate::allocator_api2::alloc::Allocator::allocate_zeroed(self, layout)
                    .map_err($crate::by_02::refused_04)
            }
            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { $crate::allocator_api2::alloc::Allocator::deallocate(self, block, layout) }
            }
            #[inline]
            unsafe fn grow(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> $crate::by_02::Answer04 {
                // SAFETY: passed on.
                unsafe { $crate::allocator_api2::alloc::Allocator::grow(self, block, old, new) }
                    .map_err($crate::by_02::refused_04)
            }
            #[inline]
            unsafe fn grow_zeroed(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> $crate::by_02::Answer04 {
                // SAFETY: passed on.
                unsafe { $crate::allocator_api2::alloc::Allocator::grow_zeroed(self, block, old, new) }
                    .map_err($crate::by_02::refused_04)
            }
            #[inline]
            unsafe fn shrink(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> $crate::by_02::Answer04 {
                // SAFETY: passed on.
                unsafe { $crate::allocator_api2::alloc::Allocator::shrink(self, block, old, new) }
                    .map_err($crate::by_02::refused_04)
            }
        }
    };
}
pub(crate) use also_04;

#[cfg(feature = "allocator-api2-04")]
pub(crate) type Answer04 = Result<NonNull<[u8]>, allocator_api2_04::alloc::AllocError>;

#[cfg(feature = "allocator-api2-04")]
pub(crate) fn refused_04(AllocError: AllocError) -> allocator_api2_04::alloc::AllocError {
    allocator_api2_04::alloc::AllocError
}
