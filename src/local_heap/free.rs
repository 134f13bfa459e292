//! Freeing a block: the owner is found from the block's address, whatever heap it is of.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::Ordering;

use super::hardened::{end_run, free_hardened, free_own, is_none_or_tagged, is_tagged, tagged};
use super::outbox::{count_posted, post};
use super::span::{chunk_of, free_span};
use crate::config::SEGMENT_SIZE;
use crate::heap::{GLOBAL, HeapCore, Misuse, Place};
use crate::raw::chunk::{Chunk, State};
use crate::raw::return_queue::Chain;
use crate::raw::segment::{Kind, Segment};
use crate::threads::{ThreadRecord, UNBOUND};

/// Frees a block that was requested with `layout`, of an alignment below [`SEGMENT_SIZE`].
/// `record` is the one the calling thread holds, or one that nobody does. `heap` gives the one that was asked,
/// `None` for `Global`: then the block may be of a heap that was routed into. It is asked off the fast path only,
/// which does without the load.
///
/// # Safety
/// (I1) The caller gives up `block`, a live block of some heap.
#[inline(always)]
pub(crate) unsafe fn free<'h>(
    heap: impl FnOnce() -> Option<&'h HeapCore>,
    record: *const ThreadRecord,
    block: *mut u8,
    layout: Layout,
) {
    let segment = Segment::of(block);
    let index = Segment::index_of(block);
    // SAFETY: (I2) a live block lies in a segment whose head is readable; (I4) what this thread's
    // record owns is this thread's.
    unsafe {
        // ORDER: Relaxed. An owner is stored before the chunk's first block is handed out and
        // stays until the last one is back, so whoever gave us the block also gave us this word.
        let owner = (*segment).owners[index].load(Ordering::Relaxed).cast_const();
        let chunk = &raw const (*segment).chunks[index];
        if owner == record {
            if (*chunk).push(Segment::whole(block).cast(), layout.size()) {
                (*(*chunk).local()).chunk_event(&*chunk);
            }
        } else {
            free_other(block, layout, heap(), record, owner);
        }
    }
}

/// Frees a block that is not in the first chunk of a run that `record` owns.
///
/// # Safety
/// As for [`free`].
#[inline(never)]
unsafe fn free_other(
    block: *mut u8,
    layout: Layout,
    heap: Option<&HeapCore>,
    record: *const ThreadRecord,
    owner: *const ThreadRecord,
) {
    let segment = Segment::of(block);
    // SAFETY: (I2) as in `free`.
    unsafe {
        if is_none_or_tagged(owner) {
            if owner == tagged(record) {
                return free_own(block, layout, heap);
            }
            return free_special(block, layout, heap, record, owner);
        }
        check_heap(heap, segment, block);
        // Reads of the chunk's own record are left to the owner: it is writing there.
        let chunk = &raw const (*segment).chunks[Segment::index_of(block)];
        free_foreign(record, &*(*segment).heap.get(), chunk, block, layout.size());
    }
}

/// Frees a block in a chunk of a hardened heap, or in one that has no owner of its own.
///
/// # Safety
/// As for [`free`].
#[inline(never)]
pub(super) unsafe fn free_special(
    block: *mut u8,
    layout: Layout,
    heap: Option<&HeapCore>,
    record: *const ThreadRecord,
    owner: *const ThreadRecord,
) {
    let segment = Segment::of(block);
    // SAFETY: (I2) as in `free`; (I1) passed on.
    unsafe {
        if owner.is_null() {
            return free_odd(heap, record, block, Some(layout));
        }
        check_heap(heap, segment, block);
        let chunk = &raw const (*segment).chunks[Segment::index_of(block)];
        free_hardened(record, owner, chunk, block, Some(layout));
    }
}

/// Ends the process if `heap` is hardened and `segment`, which may be no segment at all, is none of its own.
/// `Global` is asked for blocks of heaps that were routed into too, so there nothing can be said.
///
/// # Safety
/// What would be the segment's head is readable.
#[inline(always)]
unsafe fn check_heap(heap: Option<&HeapCore>, segment: *mut Segment, block: *mut u8) {
    // SAFETY: as the caller promises.
    let found = unsafe { (*segment).heap.get() };
    if let Some(heap) = heap
        && !ptr::eq(heap, found)
        && heap.is_hardened()
    {
        heap.report(Misuse::InvalidFree, block, Place::Elsewhere);
    }
}

/// Frees a block whose chunk has no owner of its own: in the tail of a run, a run itself, or big.
///
/// # Safety
/// As for [`free`], for any alignment if `size` is `None` or the block is not over-aligned.
#[cold]
#[inline(never)]
unsafe fn free_odd(
    heap: Option<&HeapCore>,
    record: *const ThreadRecord,
    block: *mut u8,
    layout: Option<Layout>,
) {
    let segment = Segment::of(block);
    // SAFETY: (I2) as in `free`; (I1) passed on.
    unsafe {
        check_heap(heap, segment, block);
        let size = layout.map(|layout| layout.size());
        let heap = &*(*segment).heap.get();
        if (*segment).kind() == Kind::Big {
            if heap.is_hardened() {
                heap.check_big(segment, block, layout);
            }
            return heap.free_big(segment, size);
        }
        let chunk = chunk_of(block);
        if (*chunk).state() == State::Span {
            if heap.is_hardened() {
                end_run(heap, chunk, block, layout);
            }
            return free_span(chunk, size);
        }
        let size = size.unwrap_or_else(|| (*chunk).block_size());
        let owner = (*segment).owners[Segment::index_of_chunk(chunk)].load(Ordering::Relaxed);
        if heap.is_hardened() {
            if !is_tagged(owner) {
                // A chunk that is nobody's.
                let misuse = if (*chunk).state() == State::Metadata || Segment::index_of(block) == 0 {
                    Misuse::InvalidFree
                } else {
                    Misuse::DoubleFree
                };
                heap.report(misuse, block, Place::Elsewhere);
            }
            free_hardened(record, owner, chunk, block, layout);
        } else if owner.cast_const() == record {
            if (*chunk).push(Segment::whole(block).cast(), size) {
                (*(*chunk).local()).chunk_event(&*chunk);
            }
        } else {
            free_foreign(record, heap, chunk, block, size);
        }
    }
}

/// Frees a block of another thread's chunk, through this thread's outbox if it has one.
///
/// # Safety
/// As for [`free`]; the block is of `chunk`, and that of `heap`.
#[inline(always)]
unsafe fn free_foreign(
    record: *const ThreadRecord,
    heap: &HeapCore,
    chunk: *const Chunk,
    block: *mut u8,
    size: usize,
) {
    // SAFETY: (I7) the record is this thread's, with its local heaps; (I1) passed on.
    unsafe {
        if record != UNBOUND
            && let Some(local) = (*record).outbox(heap.id)
            && !heap.is_dropped()
        {
            (*local).free_foreign(chunk, Segment::whole(block), size);
        } else {
            free_foreign_slow(record, heap, chunk, block, size);
        }
    }
}

/// As [`free_foreign`], where the outbox is still to be found or made.
#[cold]
#[inline(never)]
unsafe fn free_foreign_slow(
    record: *const ThreadRecord,
    heap: &HeapCore,
    chunk: *const Chunk,
    block: *mut u8,
    size: usize,
) {
    let local = match () {
        () if ptr::eq(heap, &GLOBAL) => crate::global::own(),
        // Nobody would send what is put into an outbox there.
        () if heap.is_dropped() => None,
        () => heap.local(),
    };
    match local {
        // SAFETY: (I7) this thread's own local heap; (I1) passed on.
        Some(local) => unsafe {
            if (*local).record() == record {
                (*record).set_outbox(heap.id, local);
            }
            (*local).free_foreign(chunk, Segment::whole(block), size);
        },
        // SAFETY: (I1) passed on. A thread past our destructor, or one for which there is no
        // memory: no outbox, every block goes home by itself.
        None => unsafe {
            let head = Segment::whole(block).cast();
            let chain = Chain { chunk: chunk.cast_mut(), head, tail: head, count: 1, requested: size as u64 };
            heap.while_held((*chunk).local(), || {
                count_posted(&chain);
                post(chain);
            });
        },
    }
}

/// Frees a block of which neither size nor alignment is known.
///
/// # Safety
/// (I1) The caller gives up `block`, a live block of `heap`.
pub(crate) unsafe fn free_unsized(heap: &HeapCore, record: *const ThreadRecord, block: *mut u8) {
    // SAFETY: (I1) passed on.
    unsafe {
        match over_aligned(heap, block) {
            Some(segment) => {
                if heap.is_hardened() {
                    heap.check_big(segment, block, None);
                }
                heap.free_big(segment, None);
            }
            None => free_odd_or_own(heap, record, block),
        }
    }
}

unsafe fn free_odd_or_own(heap: &HeapCore, record: *const ThreadRecord, block: *mut u8) {
    // SAFETY: (I2) as in `free`: the block is live, so its chunk's record does not change.
    unsafe {
        let segment = Segment::of(block);
        let owner = (*segment).owners[Segment::index_of(block)].load(Ordering::Relaxed);
        if owner.is_null() {
            free_odd(Some(heap), record, block, None);
        } else if is_tagged(owner) {
            check_heap(Some(heap), segment, block);
            let chunk = &raw const (*segment).chunks[Segment::index_of(block)];
            free_hardened(record, owner, chunk, block, None);
        } else {
            // Only the size of it counts.
            let layout = Layout::from_size_align_unchecked((*chunk_of(block)).block_size(), 1);
            free(|| Some(heap), record, block, layout);
        }
    }
}

/// Frees a block whose alignment is at least [`SEGMENT_SIZE`].
///
/// # Safety
/// (I1) The caller gives up `block`, a live block of `heap`.
#[cold]
unsafe fn free_over_aligned(heap: &HeapCore, block: *mut u8, layout: Layout) {
    // SAFETY: (I1) passed on.
    unsafe {
        if let Some(segment) = over_aligned(heap, block) {
            if heap.is_hardened() {
                heap.check_big(segment, block, Some(layout));
            }
            heap.free_big(segment, Some(layout.size()));
        } else if heap.is_hardened() {
            heap.report(Misuse::InvalidFree, block, Place::Elsewhere);
        }
    }
}

/// The segment of a block that is aligned to [`SEGMENT_SIZE`]: no other block starts where a
/// segment could. It is found by search, so that no other free pays for it.
pub(crate) fn over_aligned(heap: &HeapCore, block: *mut u8) -> Option<*mut Segment> {
    if !block.addr().is_multiple_of(SEGMENT_SIZE) {
        return None;
    }
    let mut found = None;
    heap.for_each_segment(|segment| {
        let start = ptr::from_ref(segment).addr();
        if segment.kind() == Kind::Big && start + segment.big.offset.get() == block.addr() {
            found = Some(ptr::from_ref(segment).cast_mut());
        }
    });
    found
}

/// Bytes that the caller may use at `block`.
///
/// # Safety
/// `block` is a live block of `heap`.
pub(crate) unsafe fn usable_size(heap: &HeapCore, block: *mut u8) -> usize {
    // SAFETY: (I2) as in `free`.
    unsafe {
        if let Some(segment) = over_aligned(heap, block) {
            return (*segment).big.block_size.get() as usize - heap.margin();
        }
        let segment = Segment::of(block);
        let size = if (*segment).kind() == Kind::Big {
            (*segment).big.block_size.get() as usize
        } else {
            (*chunk_of(block)).block_size()
        };
        size - heap.margin()
    }
}

/// Frees a block of any alignment.
///
/// # Safety
/// As for [`free`]; the block is of `heap` and was requested with `layout`.
#[inline(always)]
pub(crate) unsafe fn free_layout<'h>(
    heap: impl FnOnce() -> Option<&'h HeapCore>,
    record: *const ThreadRecord,
    block: *mut u8,
    layout: Layout,
) {
    // SAFETY: (I1) passed on.
    unsafe {
        if layout.align() < SEGMENT_SIZE {
            free(heap, record, block, layout);
        } else {
            free_over_aligned(heap().unwrap_or(&GLOBAL), block, layout);
        }
    }
}
