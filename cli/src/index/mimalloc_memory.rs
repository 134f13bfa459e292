//! mimalloc as an [`Allocator`] of allocator-api2, and what it tells about itself.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_int;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use mimalloc::MiMalloc;

unsafe extern "C" {
    /// Frees what mimalloc caches for the calling thread, and its share of what is shared.
    fn mi_collect(force: bool);
    /// mimalloc's version: 30302 is 3.3.2, and in older ones 223 is 2.2.3.
    fn mi_version() -> c_int;
}

/// mimalloc's version, such as `3.3.2`.
pub(super) fn version() -> String {
    // SAFETY: takes nothing and returns a constant.
    let version = unsafe { mi_version() };
    let base = if version >= 10_000 { 100 } else { 10 };
    let (major, minor) = (version / (base * base), version / base % base);
    format!("{major}.{minor}.{}", version % base)
}

/// Gives back what mimalloc holds for the calling thread but does not use.
pub(super) fn collect() {
    // SAFETY: may be called at any time, from any thread.
    unsafe { mi_collect(true) }
}

/// mimalloc as an [`Allocator`], the way allocator-api2 makes one of the system's `malloc`: growing and
/// shrinking go through `realloc`, so it can work in place.
#[derive(Clone, Copy)]
pub(super) struct Mimalloc;

impl Mimalloc {
    #[inline]
    fn block(pointer: *mut u8, bytes: usize) -> Result<NonNull<[u8]>, AllocError> {
        let pointer = NonNull::new(pointer).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(pointer, bytes))
    }

    /// # Safety
    ///
    /// What `Allocator::grow` (`new` at least as large as `old`) or `Allocator::shrink` asks for.
    #[inline]
    unsafe fn resize(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() != 0 && new.size() != 0 && old.align() == new.align() {
            // SAFETY: the block has a size, so it is from `MiMalloc` with layout `old`; the new size is
            // not zero and, rounded up to the alignment, fits a `Layout`.
            let moved = unsafe { MiMalloc.realloc(pointer.as_ptr(), old, new.size()) };
            return Self::block(moved, new.size());
        }
        let block = self.allocate(new)?;
        let bytes = old.size().min(new.size());
        // SAFETY: both blocks have at least `bytes` bytes and a block just allocated overlaps no other;
        // the old one is the caller's to free, with this layout.
        unsafe {
            std::ptr::copy_nonoverlapping(pointer.as_ptr(), block.as_ptr().cast::<u8>(), bytes);
            self.deallocate(pointer, old);
        }
        Ok(block)
    }
}

// SAFETY: blocks come from `MiMalloc`, or are dangling when their size is zero; they stay valid until they
// are freed, on whatever thread, since the allocator has no state of its own and all copies are the same.
unsafe impl Allocator for Mimalloc {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(NonNull::slice_from_raw_parts(layout.dangling_ptr(), 0));
        }
        // SAFETY: the size is not zero.
        Self::block(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return self.allocate(layout);
        }
        // SAFETY: the size is not zero.
        Self::block(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    #[inline]
    unsafe fn deallocate(&self, pointer: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the block has a size, so it is from `MiMalloc`, and the caller frees it once.
            unsafe { MiMalloc.dealloc(pointer.as_ptr(), layout) }
        }
    }

    #[inline]
    unsafe fn grow(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: passed on unchanged.
        unsafe { self.resize(pointer, old, new) }
    }

    #[inline]
    unsafe fn shrink(
        &self,
        pointer: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: passed on unchanged.
        unsafe { self.resize(pointer, old, new) }
    }
}

#[cfg(test)]
mod tests {
    use allocator_api2::vec::Vec;

    use super::*;

    #[test]
    fn the_mimalloc_adapter_keeps_contents() {
        let mut numbers: Vec<u32, _> = Vec::new_in(Mimalloc);
        numbers.extend(0..10_000);
        numbers.truncate(100);
        numbers.shrink_to_fit();
        assert!(numbers.iter().copied().eq(0..100));
        numbers.clear();
        numbers.shrink_to_fit();
        assert_eq!(numbers.capacity(), 0);

        let layout = Layout::new::<[u64; 3]>();
        let aligned = Layout::from_size_align(4096, 256).unwrap();
        let block = Mimalloc.allocate_zeroed(layout).unwrap().cast::<u8>();
        // SAFETY: the block has 24 bytes, then 4096, is freed once, each time with its own layout.
        unsafe {
            assert_eq!(block.cast::<[u64; 3]>().read(), [0; 3]);
            block.write_bytes(7, 24);
            let block = Mimalloc.grow(block, layout, aligned).unwrap().cast::<u8>();
            assert_eq!(block.as_ptr() as usize % 256, 0);
            assert_eq!(block.cast::<[u8; 24]>().read(), [7; 24]);
            Mimalloc.deallocate(block, aligned);
        }
    }

    #[test]
    fn the_version_has_three_parts() {
        assert_eq!(version().split('.').count(), 3);
    }
}
