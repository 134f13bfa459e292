//! From a layout to a block, and from one layout to another.

use core::alloc::Layout;
use core::ptr;

use super::free::{free_layout, over_aligned};
use super::span::chunk_of;
use super::{LocalCore, SPAN_ROW};
use crate::config::{CHUNK_SIZE, MAX_CLASS_SIZE, MAX_SPAN_SIZE, PAGE_SIZE, SEGMENT_SIZE};
use crate::heap::HeapCore;
use crate::raw::segment::{Kind, Segment};
use crate::size_class::{block_size, class_of};

/// Bytes that a block must have so that it can be aligned as asked: see `size_class`.
#[inline(always)]
pub(crate) const fn rounded(layout: Layout) -> usize {
    // Cannot overflow: a layout's size rounded up to its alignment fits in an `isize`.
    (layout.size() + layout.align() - 1) & !(layout.align() - 1)
}

impl LocalCore {
    /// A block for `layout`; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[inline(always)]
    pub(crate) unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = rounded(layout);
        // SAFETY: (I7) passed on; the class is one.
        unsafe {
            if size <= MAX_CLASS_SIZE {
                let class = class_of(size);
                let block = self.blocks().alloc(class, layout.size());
                if block.is_null() { self.alloc_slow(class, layout) } else { block }
            } else {
                self.alloc_large(layout, false)
            }
        }
    }

    /// A block for `layout`, its first `layout.size()` bytes zero; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn alloc_zero(&self, layout: Layout) -> *mut u8 {
        let size = rounded(layout);
        // SAFETY: (I7) passed on.
        unsafe {
            if size <= MAX_CLASS_SIZE {
                self.alloc_zeroed(class_of(size), layout)
            } else {
                self.alloc_large(layout, true)
            }
        }
    }

    /// A block that no class serves; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn alloc_large(&self, layout: Layout, zeroed: bool) -> *mut u8 {
        let attempt = || {
            if layout.size() + self.heap().margin() <= MAX_SPAN_SIZE && layout.align() <= CHUNK_SIZE {
                // SAFETY: (I7) passed on.
                unsafe { self.alloc_span(layout.size(), zeroed) }
            } else {
                self.heap().alloc_big(self, layout.size(), layout.align(), zeroed)
            }
        };
        let block = attempt();
        if !block.is_null() {
            return block;
        }
        // SAFETY: (I7) passed on.
        unsafe { self.relieve() };
        attempt()
    }

    /// A block for `new` that starts with what the block for `old` held; null when out of memory,
    /// and then the old block is as it was.
    ///
    /// # Safety
    /// (I7) The caller holds the record; (I1) `block` is a live block for `old` of this heap, which the
    /// caller gives up unless null comes back.
    #[inline(always)]
    pub(crate) unsafe fn realloc(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        let (old_size, new_size) = (rounded(old), rounded(new));
        // SAFETY: (I1), (I7) passed on; (I2) the block is live, so its chunk's record is readable.
        unsafe {
            if old_size.max(new_size) <= MAX_CLASS_SIZE {
                // A block is aligned for `new` unless `new` asks for more than `old` did.
                let aligned = new.align() <= old.align() || block.addr() & (new.align() - 1) == 0;
                // It grows within what it has, and shrinks where no smaller class would do.
                let chunk = chunk_of(block);
                let fits = new_size <= (*chunk).grows_to();
                if aligned && fits && (new_size >= old_size || class_of(new_size) == class_of(old_size)) {
                    self.count_resize_of((*chunk).local(), old.size(), new.size());
                    return Segment::whole(block);
                }
            }
            self.realloc_slow(block, old, new)
        }
    }

    #[inline(never)]
    unsafe fn realloc_slow(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: (I1), (I7) passed on; both blocks are at least as long as what is copied.
        unsafe {
            let heap = match old.align() < SEGMENT_SIZE {
                // Not ours, where `Global` was routed elsewhere when it served the block.
                true => &*(*Segment::of(block)).heap.get(),
                false => self.heap(),
            };
            if heap.is_hardened() {
                return self.realloc_hardened(block, old, new);
            }
            let is_run = rounded(old) > MAX_CLASS_SIZE || (*chunk_of(block)).class() == SPAN_ROW;
            // (The size as it is, here and below: nothing becomes or stays a run for its alignment.)
            if is_run && new.size() > MAX_CLASS_SIZE / 2 {
                let same = self.resize_large(block, old, new);
                if !same.is_null() {
                    return same;
                }
            }
            let size = old.size();
            let by_steps = (size + 1..=size + size / 8).contains(&new.size());
            let by_doubling = (size + size / 2..=size.saturating_mul(4)).contains(&new.size());
            // A hardened heap's blocks are of the class that their layout says.
            let moved = match () {
                () if self.hardened().is_some() => self.alloc(new),
                () if by_steps => self.alloc_with_room(new),
                () if by_doubling && new.size() > MAX_CLASS_SIZE / 2 && rounded(new) <= MAX_CLASS_SIZE => {
                    self.alloc_to_grow(new)
                }
                () => self.alloc(new),
            };
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, old.size().min(new.size()));
                free_layout(|| Some(heap), self.record(), block, old);
            }
            moved
        }
    }

    /// A block for `layout` with room to grow by an eighth where a class serves it: who grows in steps
    /// smaller than that copies half as often (docs/performance.md).
    unsafe fn alloc_with_room(&self, layout: Layout) -> *mut u8 {
        let size = rounded(layout);
        let roomy = (size + size / 8 + layout.align() - 1) & !(layout.align() - 1);
        // SAFETY: (I7) passed on; the class is one.
        unsafe {
            if roomy > MAX_CLASS_SIZE {
                return self.alloc(layout);
            }
            let class = class_of(roomy);
            let block = self.blocks().alloc(class, layout.size());
            if block.is_null() { self.alloc_slow(class, layout) } else { block }
        }
    }

    /// A block for `layout` that can grow where it is: a run of chunks even where a class would do. What was
    /// copied by doublings to more than half the largest class may well double again.
    unsafe fn alloc_to_grow(&self, layout: Layout) -> *mut u8 {
        // SAFETY: (I7) passed on; runs are aligned to chunks, and so is no block of a class to more.
        unsafe {
            let block = self.alloc_span(layout.size(), false);
            if block.is_null() { self.alloc(layout) } else { block }
        }
    }

    /// Resizes a block that no class serves, or a run that grew, without copying; null when that cannot be.
    #[cold]
    #[inline(never)]
    unsafe fn resize_large(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // A block aligned to segments is freed by another way than one that is not, so it keeps its
        // alignment for life.
        let over_aligned_changes = old.align() != new.align() && old.align().max(new.align()) >= SEGMENT_SIZE;
        if over_aligned_changes || block.addr() & (new.align() - 1) != 0 {
            return ptr::null_mut();
        }
        // SAFETY: (I1) passed on; (I2) the block is live.
        unsafe {
            let over = if old.align() >= SEGMENT_SIZE { over_aligned(self.heap(), block) } else { None };
            let segment = over.unwrap_or_else(|| Segment::of(block));
            // Not ours, where `Global` was routed elsewhere when it served the block.
            let heap = &*(*segment).heap.get();
            if (*segment).kind() == Kind::Big {
                if new.size() <= MAX_SPAN_SIZE {
                    return ptr::null_mut();
                }
                let same = heap.resize_big(segment, new.size());
                if !same.is_null() {
                    self.count_resize(heap, old.size(), new.size());
                }
                return same;
            }
            if new.size() > MAX_SPAN_SIZE {
                return ptr::null_mut();
            }
            let chunk = &*chunk_of(block);
            let span = chunk.span.get() as usize;
            let needed = new.size().div_ceil(CHUNK_SIZE);
            // A run that would be half empty moves instead.
            if needed * 2 <= span || (needed > span && !heap.extend_run(chunk, span, needed)) {
                return ptr::null_mut();
            }
            let new_block_size = new.size().next_multiple_of(PAGE_SIZE);
            let change = (new_block_size as u64).wrapping_sub(chunk.block_size() as u64);
            chunk.set_class(chunk.class(), new_block_size);
            (*chunk.local()).totals(SPAN_ROW).block_bytes.add_shared(change);
            self.count_resize(heap, old.size(), new.size());
            Segment::whole(block)
        }
    }

    /// Counts a request that changed size within its block, which is of `heap`.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[inline]
    pub(crate) unsafe fn count_resize(&self, heap: *const HeapCore, old: usize, new: usize) {
        let more = (new as u64).wrapping_sub(old as u64);
        if heap == self.heap {
            self.resized.add(more);
        } else {
            // SAFETY: the block lives, so its heap does.
            unsafe { count_resize_elsewhere(&*heap, more) };
        }
    }

    /// As [`count_resize`](Self::count_resize), for a block of `owner`.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[inline(always)]
    pub(crate) unsafe fn count_resize_of(&self, owner: *const LocalCore, old: usize, new: usize) {
        if ptr::eq(owner, self) {
            self.resized.add((new as u64).wrapping_sub(old as u64));
        } else {
            // SAFETY: (I6) the block lives, so its local heap does; (I7) passed on.
            unsafe { self.count_resize((*owner).heap, old, new) };
        }
    }
}

/// Where `Global` was routed elsewhere when it served the block.
#[cold]
#[inline(never)]
fn count_resize_elsewhere(heap: &HeapCore, more: u64) {
    heap.with_local(|local| local.resized.add(more));
}

const _: () = assert!(block_size(class_of(MAX_CLASS_SIZE)) == MAX_CLASS_SIZE);
