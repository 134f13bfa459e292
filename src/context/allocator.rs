//! The allocator traits for what passes each call on.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::ambient::OfUser;
use super::frame::Served;
use super::{Current, Temp};
use crate::Global;
use crate::allocator_api2::alloc::{AllocError, Allocator};

/// `pass_on!([generics] type, by)`: the trait for `type`, each method through the macro `by`.
macro_rules! pass_on {
    ([$($generics:tt)*] $type:ty, $by:ident) => {
        // SAFETY: blocks are those of an allocator that keeps the trait's promises, and that lives as long as
        // this value and its clones, which pass calls on to the same one. Moving them does not move it.
        unsafe impl<$($generics)*> Allocator for $type {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                $by!(self, allocate(layout))
            }
            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                $by!(self, allocate_zeroed(layout))
            }
            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { $by!(self, deallocate(block, layout)) }
            }
            #[inline]
            unsafe fn grow(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: passed on.
                unsafe { $by!(self, grow(block, old, new)) }
            }
            #[inline]
            unsafe fn grow_zeroed(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: passed on.
                unsafe { $by!(self, grow_zeroed(block, old, new)) }
            }
            #[inline]
            unsafe fn shrink(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: passed on.
                unsafe { $by!(self, shrink(block, old, new)) }
            }
        }
    };
}

macro_rules! by_user {
    ($this:ident, $method:ident($($argument:ident),+)) => { $this.0.$method($($argument),+) };
}

macro_rules! by_served {
    ($this:ident, $method:ident($($argument:ident),+)) => {
        match $this.served() {
            None | Some(Served::Global) => Global.$method($($argument),+),
            Some(Served::Heap(heap)) => Allocator::$method(&&**heap, $($argument),+),
            Some(Served::Users(users)) => users.$method($($argument),+),
            Some(Served::Arena(lease)) => Allocator::$method(&&***lease, $($argument),+),
        }
    };
}

macro_rules! by_arena {
    ($this:ident, $method:ident($($argument:ident),+)) => { Allocator::$method(&&**$this, $($argument),+) };
}

pass_on!([A: Allocator] OfUser<A>, by_user);
pass_on!([] Current, by_served);
pass_on!([] Temp, by_arena);

/// The trait of allocator-api2 0.4, by that of 0.2.
#[cfg(feature = "allocator-api2-04")]
macro_rules! also_04 {
    ($($type:ty),+) => {$(
        // SAFETY: as for the trait of 0.2, which promises the same.
        unsafe impl allocator_api2_04::alloc::Allocator for $type {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, allocator_api2_04::alloc::AllocError> {
                Allocator::allocate(self, layout).map_err(refused_04)
            }
            #[inline]
            fn allocate_zeroed(
                &self, layout: Layout,
            ) -> Result<NonNull<[u8]>, allocator_api2_04::alloc::AllocError> {
                Allocator::allocate_zeroed(self, layout).map_err(refused_04)
            }
            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { Allocator::deallocate(self, block, layout) }
            }
            #[inline]
            unsafe fn grow(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, allocator_api2_04::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { Allocator::grow(self, block, old, new) }.map_err(refused_04)
            }
            #[inline]
            unsafe fn grow_zeroed(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, allocator_api2_04::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { Allocator::grow_zeroed(self, block, old, new) }.map_err(refused_04)
            }
            #[inline]
            unsafe fn shrink(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, allocator_api2_04::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { Allocator::shrink(self, block, old, new) }.map_err(refused_04)
            }
        }
    )+};
}

#[cfg(feature = "allocator-api2-04")]
fn refused_04(AllocError: AllocError) -> allocator_api2_04::alloc::AllocError {
    allocator_api2_04::alloc::AllocError
}

#[cfg(feature = "allocator-api2-04")]
also_04!(Current, Temp);
