//! A place for a block, as most workloads keep them.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr;

use super::{layout, opaque};
use crate::bench::contender::{Contender, ThreadAlloc};

/// Empty, or holds a block of `C` together with the layout to free it with.
///
/// A slot remembers its contender as a type, and there is one instance of each contender in a process, so
/// what goes in with [`fill`](Self::fill) comes out through the right allocator. Dropping a full slot leaks.
pub(crate) struct Slot<C> {
    block: *mut u8,
    size: u32,
    align: u32,
    contender: PhantomData<fn() -> C>,
}

// SAFETY: the block is the slot's own, and blocks of a contender may be used and freed on any thread
// (`ThreadAlloc`; rows for `Reach::OneSize` use no slots).
unsafe impl<C> Send for Slot<C> {}

impl<C: Contender> Slot<C> {
    pub(crate) const EMPTY: Self = Self { block: ptr::null_mut(), size: 0, align: 0, contender: PhantomData };

    /// `count` empty slots.
    pub(crate) fn array(count: usize) -> Box<[Self]> {
        (0..count).map(|_| Self::EMPTY).collect()
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.block.is_null()
    }

    /// Allocates `size` bytes into an empty slot and writes the first word.
    #[inline(always)]
    pub(crate) fn fill(&mut self, local: &C::Local, size: usize) {
        self.fill_aligned(local, size, 8);
    }

    /// As [`fill`](Self::fill), with an alignment of its own: a power of two. `size` is at least 8.
    #[inline(always)]
    pub(crate) fn fill_aligned(&mut self, local: &C::Local, size: usize, align: usize) {
        debug_assert!(self.is_empty() && size >= 8 && align.is_power_of_two());
        // SAFETY: the alignment is a power of two; sizes of the suite are far below the limit of a layout.
        let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
        // SAFETY: the size is above zero.
        let block = opaque(unsafe { local.alloc(layout) });
        if block.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the block is at least 8 bytes long.
        unsafe { block.cast::<u64>().write_unaligned(size as u64) };
        self.block = block;
        self.size = size as u32;
        self.align = align as u32;
    }

    /// Frees the block, if there is one.
    #[inline(always)]
    pub(crate) fn clear(&mut self, local: &C::Local) {
        if self.is_empty() {
            return;
        }
        // SAFETY: `fill_aligned` made this layout.
        let layout = unsafe { Layout::from_size_align_unchecked(self.size as usize, self.align as usize) };
        // SAFETY: the slot holds a live block of this contender with this layout, and forgets it here.
        unsafe { local.dealloc(self.block, layout) };
        self.block = ptr::null_mut();
    }

    /// Frees the block of a full slot, whose size the compiler knows.
    #[inline(always)]
    pub(crate) fn clear_sized<const SIZE: usize>(&mut self, local: &C::Local) {
        assert!(self.size as usize == SIZE && self.align == 8 && !self.is_empty());
        // SAFETY: the slot holds a live block of this contender, with this layout as was just checked, and
        // forgets it here.
        unsafe { local.dealloc(self.block, layout(SIZE)) };
        self.block = ptr::null_mut();
    }

    /// Frees the block, if there is one, and allocates `size` bytes in its place.
    #[inline(always)]
    pub(crate) fn replace(&mut self, local: &C::Local, size: usize) {
        self.clear(local);
        self.fill(local, size);
    }

    /// Moves the block out.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::EMPTY)
    }

    /// The block's bytes; none for an empty slot.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        if self.is_empty() {
            return &mut [];
        }
        // SAFETY: the block is `size` bytes long and the slot's own. The workloads that call this have
        // written all of it, or write before they read.
        unsafe { std::slice::from_raw_parts_mut(self.block, self.size as usize) }
    }

    /// Allocates `size` zeroed bytes into an empty slot. There is no stamp.
    pub(crate) fn fill_zeroed(&mut self, local: &C::Local, size: usize) {
        debug_assert!(self.is_empty());
        let layout = layout(size);
        // SAFETY: the size is above zero.
        let block = opaque(unsafe { local.alloc_zeroed(layout) });
        if block.is_null() {
            handle_alloc_error(layout);
        }
        self.block = block;
        self.size = size as u32;
        self.align = layout.align() as u32;
    }

    /// Writes one byte in every page of a zeroed block; whether all of them were zero.
    pub(crate) fn touch_zeroed_pages(&mut self) -> bool {
        let mut zero = true;
        for page in self.bytes().chunks_mut(4 << 10) {
            zero &= std::mem::replace(&mut page[0], 1) == 0;
        }
        zero
    }

    /// The word that `fill` wrote: the block's size. Zero for an empty slot.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        // SAFETY: the first 8 bytes of a filled block are written.
        unsafe { self.block.cast::<u64>().read_unaligned() }
    }

    /// Whether the first word is still what `fill` wrote.
    #[inline(always)]
    pub(crate) fn is_intact(&self) -> bool {
        self.is_empty() || self.stamp() == u64::from(self.size)
    }

    /// Frees every block of `slots`.
    pub(crate) fn clear_all(slots: &mut [Self], local: &C::Local) {
        for slot in slots {
            slot.clear(local);
        }
    }
}
