//! Big blocks: a mapping each.
//!
//! The mapping is aligned like a segment and starts with a segment head, so a block's owner is
//! found the same way. What becomes of a mapping whose block was freed is in `idle`.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use super::HeapCore;
use super::misuse::{Misuse, Place};
use crate::checkers;
use crate::config::{CHUNK_SIZE, HUGE_PAGE, HUGE_PAGES_BLOCK, PAGE_SIZE, SEGMENT_SIZE};
use crate::local_heap::{BIG_ROW, LocalCore};
use crate::raw::segment::{Kind, Segment};

/// Bytes of address space that a process has at most on the usual 64-bit systems. Requests beyond it
/// are refused before they are counted: while the system says no, a peak may be taken on another thread.
const ADDRESS_SPACE: usize = 1 << 47;

/// How a block of some size and alignment lies in its mapping.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Bytes from the mapping's start to the block.
    pub(super) offset: usize,
    /// Bytes in the block.
    pub(super) block_size: usize,
    /// Bytes in the mapping.
    pub(super) size: usize,
    /// Alignment of the mapping.
    pub(super) align: usize,
}

impl Plan {
    /// `None` when there can be no such mapping.
    fn new(heap: &HeapCore, size: usize, align: usize) -> Option<Self> {
        let offset = align.max(CHUNK_SIZE);
        let block_size = size.checked_add(heap.margin())?.checked_next_multiple_of(PAGE_SIZE)?;
        let guard = if heap.is_hardened() { PAGE_SIZE } else { 0 };
        let mut size = block_size.checked_add(offset)?.checked_add(guard)?;
        // One page fault for a huge page costs less than 256 for the pages of half of one.
        if block_size >= HUGE_PAGES_BLOCK && guard == 0 && size % HUGE_PAGE > HUGE_PAGE / 2 {
            size = size.checked_next_multiple_of(HUGE_PAGE)?;
        }
        (size <= ADDRESS_SPACE).then_some(Self { offset, block_size, size, align: align.max(SEGMENT_SIZE) })
    }
}

impl HeapCore {
    /// A block with a mapping of its own; null when out of memory.
    pub(crate) fn alloc_big(&self, local: &LocalCore, size: usize, align: usize, zeroed: bool) -> *mut u8 {
        let Some(plan) = Plan::new(self, size, align) else {
            return ptr::null_mut();
        };
        let Some((segment, dirty)) = self.idle_mapping(plan).or_else(|| self.new_mapping(plan)) else {
            return ptr::null_mut();
        };
        self.raise_peaks();
        // SAFETY: the mapping is ours; the block lies in it.
        unsafe {
            let big = &(*segment).big;
            big.set_local(local);
            big.block_size.set(plan.block_size as u64);
            let totals = local.totals(BIG_ROW);
            totals.allocated.add(1);
            totals.requested.add(size as u64);
            totals.block_bytes.add_shared(plan.block_size as u64);
            let block = segment.cast::<u8>().add(plan.offset);
            if zeroed {
                block.write_bytes(0, size.min(dirty));
            }
            self.seal(block, plan.block_size);
            block
        }
    }

    /// A new mapping, charged, and how many bytes of its block may not be zero.
    fn new_mapping(&self, plan: Plan) -> Option<(*mut Segment, usize)> {
        // First the source, then the charge: a request that no source can meet must not show in the
        // peaks that other threads raise meanwhile. But nothing is reserved that the limit rules out.
        if plan.size > self.settings.limit.saturating_sub(self.in_use.now()) && !self.limit_is_soft() {
            return None;
        }
        let source = self.source();
        let start = source.reserve(plan.size, plan.align)?;
        // SAFETY: just reserved; the head is committed before it is touched, and shorter than the
        // offset.
        unsafe {
            let charged = self.charge(plan.size);
            if !charged || !source.commit(start, plan.size) {
                if charged {
                    self.discharge(plan.size);
                }
                source.release(start, plan.size, plan.align);
                return None;
            }
            if !source.fresh_is_zero() {
                start.write_bytes(0, size_of::<Segment>());
            }
            let segment = Segment::init(start, self, Kind::Big, plan.size);
            (*segment).big.offset.set(plan.offset);
            (*segment).big.align.set(plan.align);
            checkers::hide(segment.cast::<u8>().add(plan.offset), plan.size - plan.offset);
            let mut pool = self.pool.lock();
            (*segment).big.reservation.set(pool.idle.new_reservation());
            pool.link(self, segment);
            drop(pool);
            self.count_mapped(plan.size);
            if plan.block_size >= HUGE_PAGES_BLOCK {
                source.expect_dense(start, plan.size);
            }
            if self.is_hardened() {
                self.guard(start.as_ptr().add(plan.offset - PAGE_SIZE), PAGE_SIZE);
                self.guard(start.as_ptr().add(plan.size - PAGE_SIZE), PAGE_SIZE);
            }
            Some((segment, if source.fresh_is_zero() { 0 } else { plan.block_size }))
        }
    }

    /// Frees a big block, on any thread.
    ///
    /// # Safety
    /// (I1) The caller gives up the segment's block.
    pub(crate) unsafe fn free_big(&self, segment: *mut Segment, size: Option<usize>) {
        // SAFETY: (I1) passed on; the segment is the block's.
        unsafe { self.while_held((*segment).big.local(), || self.free_mapping(segment, size)) };
    }

    /// # Safety
    /// As for [`free_big`](Self::free_big); the heap is held.
    unsafe fn free_mapping(&self, segment: *mut Segment, size: Option<usize>) {
        let mut pool = self.pool.lock();
        // SAFETY: (I6) the local heap lives as long as the heap; (I5) the mapping is the pool's now.
        unsafe {
            let block_size = (*segment).big.block_size.get();
            let local = (*segment).big.local();
            if local.is_null() {
                // Another thread frees it too, and came first.
                let block = segment.cast::<u8>().add((*segment).big.offset.get());
                self.report(Misuse::DoubleFree, block, Place::Mapping(block_size as usize));
            }
            let requested = size.unwrap_or(block_size as usize - self.margin());
            (*local).totals(BIG_ROW).count_freed(requested, block_size);
            (*segment).big.set_local(ptr::null());
            self.discharge((*segment).size.get());
            pool.idle.push(segment);
        }
        self.bound_idle(&mut pool);
        self.visit(pool);
    }

    /// What is known of a block of a hardened heap in a mapping of its own. Ends the process if it cannot be a
    /// live block for `layout`.
    ///
    /// # Safety
    /// (I2) `segment` is mapped, one of this heap, and of kind [`Kind::Big`].
    pub(crate) unsafe fn check_big(
        &self,
        segment: *mut Segment,
        block: *mut u8,
        layout: Option<Layout>,
    ) -> Place {
        // SAFETY: (I2) passed on; (I1) a live block is the caller's.
        unsafe {
            let big = &(*segment).big;
            let size = big.block_size.get() as usize;
            let place = Place::Mapping(size);
            if block.addr() != segment.addr() + big.offset.get() {
                self.report(Misuse::InvalidFree, block, place);
            }
            if big.local().is_null() {
                self.report(Misuse::DoubleFree, block, place);
            }
            let needed = |layout: Layout| (layout.size() + self.margin()).next_multiple_of(PAGE_SIZE);
            if layout.is_some_and(|layout| needed(layout) != size) {
                self.report(Misuse::WrongSize, block, place);
            }
            self.check_seal(block, size, place);
            place
        }
    }

    /// Grows or shrinks a big block, in place or by moving its pages; null when the caller must
    /// copy.
    ///
    /// # Safety
    /// (I1) The caller owns the segment's block, and gives the old address up if another comes back.
    pub(crate) unsafe fn resize_big(&self, segment: *mut Segment, new_size: usize) -> *mut u8 {
        // SAFETY: (I1) the block is the caller's, so its mapping stays; (I5) list work under the
        // lock; (I6) for the local heap.
        unsafe {
            let big = &(*segment).big;
            let old_block = big.block_size.get();
            let totals = (*big.local()).totals(BIG_ROW);
            let (offset, align, old) = (big.offset.get(), big.align.get(), (*segment).size.get());
            let Some(plan) = Plan::new(self, new_size, offset.min(align)) else {
                return ptr::null_mut();
            };
            if plan.offset != offset {
                return ptr::null_mut();
            }
            let mut segment = segment;
            if plan.size > old || plan.size < old / 2 {
                if plan.size > old && !self.charge(plan.size - old) {
                    return ptr::null_mut();
                }
                let moved = self.remap(segment, old, plan.size, align);
                if moved.is_null() {
                    if plan.size > old {
                        self.discharge(plan.size - old);
                    }
                    return ptr::null_mut();
                }
                if plan.size < old {
                    self.discharge(old - plan.size);
                }
                self.raise_peaks();
                segment = moved;
            }
            (*segment).big.block_size.set(plan.block_size as u64);
            totals.block_bytes.add_shared((plan.block_size as u64).wrapping_sub(old_block));
            segment.cast::<u8>().add(offset)
        }
    }

    /// Makes a mapping longer or shorter, in place or by moving its pages; null when it stays as it was.
    ///
    /// # Safety
    /// (I1) The mapping is the caller's, and in no list but that of all segments.
    pub(super) unsafe fn remap(
        &self,
        segment: *mut Segment,
        old: usize,
        new: usize,
        align: usize,
    ) -> *mut Segment {
        let mut pool = self.pool.lock();
        // SAFETY: (I5) unlinked before it moves, and only if no reader is inside.
        unsafe {
            pool.unlink(self, segment);
            let offset = (*segment).big.offset.get();
            checkers::give_back(segment.cast::<u8>().add(offset), old - offset);
            let moved = if self.gate.is_free() {
                self.source().remap(NonNull::new_unchecked(segment.cast()), old, new, align)
            } else {
                None
            };
            let place = moved.map_or(segment, |start| start.cast::<Segment>().as_ptr());
            // An idle one: under a checker no block is resized where it is.
            let now = if moved.is_some() { new } else { old };
            checkers::hide(place.cast::<u8>().add(offset), now - offset);
            if moved.is_some() {
                // For `Segment::of`.
                _ = place.expose_provenance();
                (*place).size.set(new);
                if place != segment || new > old {
                    (*place).big.reservation.set(pool.idle.new_reservation());
                }
                if new > old {
                    self.count_mapped(new - old);
                } else {
                    self.count_unmapped(old - new, old - new);
                }
            }
            pool.link(self, place);
            if moved.is_some() { place } else { ptr::null_mut() }
        }
    }
}
