//! Big blocks: a mapping each.
//!
//! The mapping is aligned like a segment and starts with a segment head, so a block's owner is
//! found the same way. A freed mapping stays idle for the purge delay, so that a buffer that is
//! replaced over and over does not pay for page faults each time.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use super::HeapCore;
use super::hardening::Level;
use super::misuse::{Misuse, Place};
use super::pool::Pool;
use crate::checkers;
use crate::clock::now_ms;
use crate::config::{CHUNK_SIZE, HUGE_PAGES_BLOCK, PAGE_SIZE, SEGMENT_SIZE};
use crate::local_heap::{BIG_ROW, LocalCore};
use crate::raw::segment::{Kind, Segment};

/// Idle mappings are kept up to this many bytes together: a program that frees its large buffers and asks
/// for them again within the purge delay should not pay for page faults.
const IDLE_BYTES: usize = 512 << 20;

/// Bytes of address space that a process has at most on the usual 64-bit systems. Requests beyond it
/// are refused before they are counted: while the system says no, a peak may be taken on another thread.
const ADDRESS_SPACE: usize = 1 << 47;

/// How a block of some size and alignment lies in its mapping.
#[derive(Clone, Copy)]
struct Plan {
    /// Bytes from the mapping's start to the block.
    offset: usize,
    /// Bytes in the block.
    block_size: usize,
    /// Bytes in the mapping.
    size: usize,
    /// Alignment of the mapping.
    align: usize,
}

impl Plan {
    /// `None` when there can be no such mapping.
    fn new(heap: &HeapCore, size: usize, align: usize) -> Option<Self> {
        let offset = align.max(CHUNK_SIZE);
        let block_size = size.checked_add(heap.margin())?.checked_next_multiple_of(PAGE_SIZE)?;
        let guard = if heap.is_hardened() { PAGE_SIZE } else { 0 };
        let size = block_size.checked_add(offset)?.checked_add(guard)?;
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
            self.pool.lock().link(self, segment);
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

    /// An idle mapping that fits without wasting more than a quarter, or one that was made to fit;
    /// charged. Also tells how many bytes of its block may not be zero.
    fn idle_mapping(&self, plan: Plan) -> Option<(*mut Segment, usize)> {
        let mut pool = self.pool.lock();
        let mut best: *mut Segment = ptr::null_mut();
        // SAFETY: (I5) idle mappings are the pool's, under its lock.
        unsafe {
            let distance = |segment: *mut Segment| (*segment).size.get().abs_diff(plan.size);
            let mut next = pool.idle;
            while !next.is_null() {
                let big = &(*next).big;
                if big.offset.get() == plan.offset
                    && big.align.get() == plan.align
                    && (best.is_null() || distance(next) < distance(best))
                {
                    best = next;
                }
                next = big.next.get();
            }
            if best.is_null() {
                return None;
            }
            let size = (*best).size.get();
            let fits = (plan.size..=plan.size + plan.size / 4).contains(&size);
            if !fits && self.is_hardened() {
                // Its last page is a guard, and a system moves mappings of one kind only.
                return None;
            }
            let charge = if fits { size } else { plan.size };
            if !self.charge(charge) {
                return None;
            }
            pool.remove_idle(best);
            drop(pool);
            if fits {
                return Some((best, plan.block_size));
            }
            // Its pages are worth more than new ones: moving them costs less than faults.
            let moved = self.remap(best, size, plan.size, plan.align);
            if moved.is_null() {
                self.discharge(charge);
                let mut pool = self.pool.lock();
                pool.unlink(self, best);
                pool.put_aside(best);
                return None;
            }
            // What was added reads as zero where fresh memory does.
            let dirty = if self.source().fresh_is_zero() { size.min(plan.size) } else { plan.size };
            Some((moved, dirty - plan.offset))
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
            pool.push_idle(segment);
        }
        let idle_bytes = if self.level() == Level::Wipe { 0 } else { IDLE_BYTES };
        while pool.idle_bytes > idle_bytes {
            // SAFETY: (I5) under the lock; idle bytes are in an idle mapping.
            unsafe { self.retire_oldest(&mut pool) };
        }
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

    unsafe fn remap(&self, segment: *mut Segment, old: usize, new: usize, align: usize) -> *mut Segment {
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

    /// Puts idle mappings that nobody wanted for `delay` milliseconds aside.
    pub(super) fn retire_idle(&self, pool: &mut Pool, delay: u64) {
        if pool.idle_oldest.is_null() {
            return;
        }
        let now = now_ms();
        // SAFETY: (I5) under the lock.
        unsafe {
            while !pool.idle_oldest.is_null()
                && now.saturating_sub((*pool.idle_oldest).big.idle_since.get()) >= delay
            {
                self.retire_oldest(pool);
            }
        }
    }

    unsafe fn retire_oldest(&self, pool: &mut Pool) {
        let oldest = pool.idle_oldest;
        // SAFETY: (I5) idle mappings are the pool's, under its lock.
        unsafe {
            pool.remove_idle(oldest);
            pool.unlink(self, oldest);
            pool.put_aside(oldest);
        }
    }
}

impl Pool {
    unsafe fn push_idle(&mut self, segment: *mut Segment) {
        // SAFETY: (I5) idle mappings are the pool's, under its lock.
        unsafe {
            let big = &(*segment).big;
            big.idle_since.set(now_ms());
            big.prev.set(ptr::null_mut());
            big.next.set(self.idle);
            if self.idle.is_null() {
                self.idle_oldest = segment;
            } else {
                (*self.idle).big.prev.set(segment);
            }
            self.idle_bytes += (*segment).size.get();
        }
        self.idle = segment;
    }

    unsafe fn remove_idle(&mut self, segment: *mut Segment) {
        // SAFETY: (I5) as in `push_idle`.
        unsafe {
            let big = &(*segment).big;
            let (next, prev) = (big.next.get(), big.prev.get());
            if prev.is_null() {
                self.idle = next;
            } else {
                (*prev).big.next.set(next);
            }
            if next.is_null() {
                self.idle_oldest = prev;
            } else {
                (*next).big.prev.set(prev);
            }
            big.idle_since.set(0);
            self.idle_bytes -= (*segment).size.get();
        }
    }
}
