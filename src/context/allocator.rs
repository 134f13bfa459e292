//! The allocator traits for what passes each call on.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::ambient::OfUser;
use super::frame::Served;
use super::{Current, Temp};
use crate::Global;
use crate::allocator_api2::alloc::{AllocError, Allocator};
use crate::by_02::also_04;

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

also_04!([] Current where);
also_04!([] Temp where);
