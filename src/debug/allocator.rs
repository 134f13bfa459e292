//! The allocator traits.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use super::Debug;
#[cfg(feature = "allocator-api2-04")]
use super::child::AsAllocator04;
use super::child::{AsAllocator02, AsGlobal};

/// `implement_allocator!(api, way)`: the trait of `api`, through `way`.
macro_rules! implement_allocator {
    ($api:ident, $way:ident) => {
        // SAFETY: blocks are the child's, longer than asked for, and stay until they are freed, whatever
        // happens to the handle; all handles to one allocator are equal.
        unsafe impl<A: $api::alloc::Allocator> $api::alloc::Allocator for &Debug<A> {
            #[inline(always)]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                slice(self.take::<$way>(layout, false), layout).ok_or($api::alloc::AllocError)
            }
            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                slice(self.take::<$way>(layout, true), layout).ok_or($api::alloc::AllocError)
            }
            #[inline(always)]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { self.give::<$way>(block, layout) }
            }
            unsafe fn grow(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                let moved = unsafe { self.resize::<$way>(block, old, new, false) };
                slice(moved, new).ok_or($api::alloc::AllocError)
            }
            unsafe fn grow_zeroed(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                let moved = unsafe { self.resize::<$way>(block, old, new, true) };
                slice(moved, new).ok_or($api::alloc::AllocError)
            }
            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                let moved = unsafe { self.resize::<$way>(block, old, new, false) };
                slice(moved, new).ok_or($api::alloc::AllocError)
            }
        }
    };
}

implement_allocator!(allocator_api2_02, AsAllocator02);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04, AsAllocator04);

#[inline]
fn slice(block: Option<NonNull<u8>>, layout: Layout) -> Option<NonNull<[u8]>> {
    Some(NonNull::slice_from_raw_parts(block?, layout.size()))
}

fn or_null(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}

// SAFETY: blocks are the child's, longer than asked for, and nobody else's until they are freed; what unwinds
// here ends the process.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Debug<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        or_null(self.take::<AsGlobal>(layout, false))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        or_null(self.take::<AsGlobal>(layout, true))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: passed on.
            unsafe { self.give::<AsGlobal>(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size is a valid one for this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let Some(block) = NonNull::new(block) else { return ptr::null_mut() };
        // SAFETY: passed on.
        or_null(unsafe { self.resize::<AsGlobal>(block, layout, new, false) })
    }
}
