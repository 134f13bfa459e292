//! Blocks that are runs of whole chunks.

use core::ptr;

use super::LocalCore;
use super::counters::SPAN_ROW;
use crate::config::{CHUNK_SIZE, PAGE_SIZE};
use crate::heap::Purpose;
use crate::raw::chunk::{Chunk, State};
use crate::raw::marks::Marks;
use crate::raw::segment::Segment;

impl LocalCore {
    /// A block that is a run of whole chunks; null when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn alloc_span(&self, size: usize, zeroed: bool) -> *mut u8 {
        let with_margin = size + self.heap().margin();
        let span = with_margin.div_ceil(CHUNK_SIZE);
        // SAFETY: (I7) passed on.
        let taken = self.heap().take_chunks(span, Purpose::Block, || unsafe { self.flush() });
        let Some((chunk, clean)) = taken else {
            return ptr::null_mut();
        };
        let block_size = with_margin.next_multiple_of(PAGE_SIZE);
        // SAFETY: (I4) the chunks are ours; (I3) the block lies in them.
        unsafe {
            let record = &*chunk;
            match self.hardened() {
                None => record.set_class(SPAN_ROW, block_size),
                Some(_) => record.set_hardened_class(SPAN_ROW, block_size, 0, false),
            }
            record.touched.set(u8::MAX);
            record.set_local(self);
            record.set_state(State::Span);
            let totals = &self.totals[SPAN_ROW];
            totals.allocated.add(1);
            totals.requested.add(size as u64);
            totals.block_bytes.add_shared(block_size as u64);
            let block = Segment::chunk_start(chunk);
            if zeroed && !clean {
                block.write_bytes(0, size);
            }
            if self.hardened().is_some() {
                Marks::of_chunk(chunk).set_live(0, true);
                self.heap().seal(block, block_size);
            }
            block
        }
    }
}

/// The record of the run that `block` lies in.
///
/// # Safety
/// `block` is a live block in a segment of chunks.
#[inline]
pub(crate) unsafe fn chunk_of(block: *mut u8) -> *const Chunk {
    // SAFETY: (I2) a live block's segment head is readable; a tail knows its distance.
    unsafe {
        let segment = Segment::of(block);
        let index = Segment::index_of(block);
        let chunk = &raw const (*segment).chunks[index];
        if (*chunk).state() == State::Tail { chunk.sub((*chunk).offset.get() as usize) } else { chunk }
    }
}

/// Frees a run of whole chunks, on any thread.
///
/// # Safety
/// (I1) The caller gives up the run's block.
pub(crate) unsafe fn free_span(chunk: *const Chunk, size: Option<usize>) {
    // SAFETY: (I2), (I6) the block is live until now, so record and local heap are there.
    unsafe {
        let record = &*chunk;
        let local = &*record.local();
        let (heap, block_size) = (local.heap(), record.block_size());
        heap.while_held(local, || {
            let requested = size.unwrap_or(block_size - heap.margin());
            local.totals[SPAN_ROW].count_freed(requested, block_size as u64);
            heap.give_chunks(chunk, record.span.get() as usize);
        });
    }
}
