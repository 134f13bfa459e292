//! The allocator traits. The only file that knows about them.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use crate::global::{self, Own};
use crate::{Global, Heap, LocalHeap};

/// What a trait's implementation needs of a handle. Layouts are never zero-sized here; null means out
/// of memory.
trait Handle {
    fn alloc(&self, layout: Layout) -> *mut u8;
    fn alloc_zero(&self, layout: Layout) -> *mut u8;
    /// # Safety
    /// The caller gives up `block`, a live block of this handle's heap for `layout`.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout);
    /// # Safety
    /// As for `dealloc` with `old`, unless null comes back.
    unsafe fn realloc(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8;
}

impl Handle for &Heap {
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        Heap::alloc(self, layout)
    }
    fn alloc_zero(&self, layout: Layout) -> *mut u8 {
        Heap::alloc_zero(self, layout)
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { Heap::dealloc(self, block, layout) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: passed on.
        unsafe { Heap::realloc(self, block, old, new) }
    }
}

impl Handle for LocalHeap<'_> {
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        LocalHeap::alloc(self, layout)
    }
    fn alloc_zero(&self, layout: Layout) -> *mut u8 {
        LocalHeap::alloc_zero(self, layout)
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { LocalHeap::dealloc(self, block, layout) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: passed on.
        unsafe { LocalHeap::realloc(self, block, old, new) }
    }
}

impl Handle for Global {
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        global::alloc::<Own>(layout)
    }
    fn alloc_zero(&self, layout: Layout) -> *mut u8 {
        global::alloc_zero::<Own>(layout)
    }
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { core::alloc::GlobalAlloc::dealloc(self, block, layout) }
    }
    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: passed on.
        unsafe { global::realloc::<Own>(block, old, new) }
    }
}

/// The block for `layout`; a dangling one for no bytes at all.
#[inline(always)]
fn allocate(handle: &impl Handle, layout: Layout) -> Option<NonNull<[u8]>> {
    let block = if layout.size() == 0 { dangling(layout) } else { NonNull::new(handle.alloc(layout))? };
    Some(NonNull::slice_from_raw_parts(block, layout.size()))
}

#[inline(always)]
fn allocate_zeroed(handle: &impl Handle, layout: Layout) -> Option<NonNull<[u8]>> {
    let block = if layout.size() == 0 { dangling(layout) } else { NonNull::new(handle.alloc_zero(layout))? };
    Some(NonNull::slice_from_raw_parts(block, layout.size()))
}

/// # Safety
/// `Allocator::deallocate`'s.
#[inline(always)]
unsafe fn deallocate(handle: &impl Handle, block: NonNull<u8>, layout: Layout) {
    if layout.size() != 0 {
        // SAFETY: the block came from `alloc` or `realloc` of an equal handle.
        unsafe { handle.dealloc(block.as_ptr(), layout) };
    }
}

/// # Safety
/// `Allocator::grow`'s, or `shrink`'s.
#[inline(always)]
unsafe fn reallocate(
    handle: &impl Handle,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    // SAFETY: passed on; the block came from `alloc` or `realloc` of an equal handle.
    unsafe {
        if old.size() == 0 || new.size() == 0 {
            return reallocate_nothing(handle, block, old, new);
        }
        let moved = NonNull::new(handle.realloc(block.as_ptr(), old, new))?;
        Some(NonNull::slice_from_raw_parts(moved, new.size()))
    }
}

/// From no bytes at all, or to none.
///
/// # Safety
/// `Allocator::grow`'s, or `shrink`'s.
#[cold]
#[inline(never)]
unsafe fn reallocate_nothing(
    handle: &impl Handle,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    // SAFETY: passed on. The block is given up before there is another: either it has no bytes and nothing is
    // freed, so that it stays what it was if the other one is refused, or the other has none and is not refused.
    unsafe { deallocate(handle, block, old) };
    allocate(handle, new)
}

/// # Safety
/// `Allocator::grow_zeroed`'s.
unsafe fn grow_zeroed(
    handle: &impl Handle,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    if old.size() == 0 {
        return allocate_zeroed(handle, new);
    }
    // SAFETY: passed on; what lies behind the old size is the new block's.
    unsafe {
        let grown = reallocate(handle, block, old, new)?;
        grown.cast::<u8>().as_ptr().add(old.size()).write_bytes(0, new.size() - old.size());
        Some(grown)
    }
}

fn dangling(layout: Layout) -> NonNull<u8> {
    // SAFETY: an alignment is not 0.
    unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(layout.align())) }
}

macro_rules! implement_allocator {
    ($api:ident for $($handle:ty),+) => {$(
        // SAFETY: blocks fit their layouts and stay valid until they are freed, whatever happens to
        // the handle: a handle borrows its heap or is static, and clones are of the same heap.
        unsafe impl $api::alloc::Allocator for $handle {
            #[inline(always)]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                allocate(self, layout).ok_or($api::alloc::AllocError)
            }
            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                allocate_zeroed(self, layout).ok_or($api::alloc::AllocError)
            }
            #[inline(always)]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                unsafe { deallocate(self, block, layout) }
            }
            #[inline(always)]
            unsafe fn grow(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { reallocate(self, block, old, new) }.ok_or($api::alloc::AllocError)
            }
            #[inline]
            unsafe fn grow_zeroed(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { grow_zeroed(self, block, old, new) }.ok_or($api::alloc::AllocError)
            }
            #[inline(always)]
            unsafe fn shrink(
                &self, block: NonNull<u8>, old: Layout, new: Layout,
            ) -> Result<NonNull<[u8]>, $api::alloc::AllocError> {
                // SAFETY: passed on.
                unsafe { reallocate(self, block, old, new) }.ok_or($api::alloc::AllocError)
            }
        }
    )+};
}

#[cfg(feature = "allocator-api2-02")]
implement_allocator!(allocator_api2_02 for Global, &Heap, LocalHeap<'_>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04 for Global, &Heap, LocalHeap<'_>);
