//! What a hardened heap finds out of a block that it is asked to free or resize.

use core::alloc::Layout;
use core::ptr;

use super::{Hardened, padded, padded_class};
use crate::config::{CANARY_BYTES, MAX_CLASS_SIZE, MAX_SPAN_SIZE, PAGE_SIZE};
use crate::heap::{HeapCore, Level, Misuse, Place, canary_in, canary_of};
use crate::local_heap::span::chunk_of;
use crate::local_heap::{LocalCore, free};
use crate::raw::chunk::{Chunk, State};
use crate::raw::marks::Marks;
use crate::raw::segment::{Kind, Segment};
use crate::size_class::block_size;

impl LocalCore {
    /// A block for `new` with the contents of the block for `old`, which is of a hardened heap; null when out
    /// of memory. It stays where it is if `new` would be served by as large a block.
    ///
    /// # Safety
    /// (I7) The caller holds the record; (I1) as for [`realloc`](Self::realloc).
    #[cold]
    #[inline(never)]
    pub(in crate::local_heap) unsafe fn realloc_hardened(
        &self,
        block: *mut u8,
        old: Layout,
        new: Layout,
    ) -> *mut u8 {
        // SAFETY: (I1) passed on; (I2) the block is live, so its segment is mapped.
        unsafe {
            let over = free::over_aligned(self.heap(), block);
            let segment = over.unwrap_or_else(|| Segment::of(block));
            let heap = &*(*segment).heap.get();
            if block.addr() & (new.align() - 1) == 0 && old.align() == new.align() {
                let (size, place) = (padded(new), check_block(heap, segment, block, Some(old)));
                let large = (new.size() + CANARY_BYTES).next_multiple_of(PAGE_SIZE);
                let same = match place {
                    Place::Class(has) => size <= MAX_CLASS_SIZE && has == block_size(padded_class(size)),
                    Place::Run(has) => size > MAX_CLASS_SIZE && has == large,
                    Place::Mapping(has) => new.size() + CANARY_BYTES > MAX_SPAN_SIZE && has == large,
                    Place::Elsewhere => false,
                };
                if same {
                    self.count_resize(heap, old.size(), new.size());
                    return block;
                }
            }
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, old.size().min(new.size()));
                free::free_layout(|| Some(heap), self.record(), block, old);
            }
            moved
        }
    }
}

/// What a hardened heap can tell of a block that it is asked to free or resize. Ends the process if it cannot be
/// a live block for `layout`.
///
/// # Safety
/// `segment` is a segment of `heap`, which is hardened.
unsafe fn check_block(
    heap: &HeapCore,
    segment: *mut Segment,
    block: *mut u8,
    layout: Option<Layout>,
) -> Place {
    // SAFETY: (I2) the segment is mapped, or nothing about the block would be known.
    unsafe {
        if (*segment).kind() == Kind::Big {
            return heap.check_big(segment, block, layout);
        }
        let chunk = chunk_of(block);
        match (*chunk).state() {
            State::Span => check_run(heap, chunk, block, layout),
            State::Current | State::Available | State::Full => {
                check_cell(heap, chunk, block, layout);
                Place::Class((*chunk).block_size())
            }
            State::Free | State::Cached => heap.report(Misuse::DoubleFree, block, Place::Elsewhere),
            State::Tail | State::Metadata => heap.report(Misuse::InvalidFree, block, Place::Elsewhere),
        }
    }
}

/// The number of a block in its chunk, which is one of blocks.
///
/// # Safety
/// (I2) As for [`check_block`]; the chunk is hardened, and of blocks.
#[inline(always)]
pub(super) unsafe fn check_cell(
    heap: &HeapCore,
    chunk: *const Chunk,
    block: *mut u8,
    layout: Option<Layout>,
) -> usize {
    // SAFETY: (I2) passed on; (I1) a live block is the caller's.
    unsafe {
        let size = (*chunk).block_size();
        let distance = block.addr().wrapping_sub(Segment::chunk_start(chunk).addr());
        let Some(number) = (*chunk).number_at(distance) else {
            heap.report(Misuse::InvalidFree, block, Place::Class(size));
        };
        if !Marks::of_chunk(chunk).is_live(number) {
            heap.report(Misuse::DoubleFree, block, Place::Class(size));
        }
        if layout.is_some_and(|layout| !(*chunk).serves(padded(layout))) {
            heap.report(Misuse::WrongSize, block, Place::Class(size));
        }
        let key = (*Segment::of_chunk(chunk)).canary.get();
        if canary_in(block, size).read() != canary_of(key, block) {
            heap.report(Misuse::Overflow, block, Place::Class(size));
        }
        number
    }
}

unsafe fn check_run(heap: &HeapCore, chunk: *const Chunk, block: *mut u8, layout: Option<Layout>) -> Place {
    // SAFETY: (I2) passed on; (I1) a live block is the caller's.
    unsafe {
        let size = (*chunk).block_size();
        let place = Place::Run(size);
        if block != Segment::chunk_start(chunk) {
            heap.report(Misuse::InvalidFree, block, place);
        }
        if layout.is_some_and(|layout| (layout.size() + CANARY_BYTES).next_multiple_of(PAGE_SIZE) != size) {
            heap.report(Misuse::WrongSize, block, place);
        }
        if !Marks::of_chunk(chunk).is_live(0) {
            heap.report(Misuse::DoubleFree, block, place);
        }
        heap.check_seal(block, size, place);
        place
    }
}

/// Checks a run that is to be freed, and marks it as free: of two threads that do so one is reported.
///
/// # Safety
/// (I1) The caller gives up the run's block; its heap is hardened.
#[cold]
pub(in crate::local_heap) unsafe fn end_run(
    heap: &HeapCore,
    chunk: *const Chunk,
    block: *mut u8,
    layout: Option<Layout>,
) {
    // SAFETY: (I1), (I2) passed on.
    unsafe {
        let place = check_run(heap, chunk, block, layout);
        if !Marks::of_chunk(chunk).end_run() {
            heap.report(Misuse::DoubleFree, block, place);
        }
        if heap.level() == Level::Wipe {
            Hardened::fill(heap.fill_word(), true, block, (*chunk).block_size());
        }
    }
}
