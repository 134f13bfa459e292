//! Freeing a hardened heap's blocks.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::Ordering;

use super::check::check_cell;
use super::{Hardened, padded, tagged, untagged};
use crate::config::{CANARY_BYTES, CHUNK_SIZE};
use crate::heap::{GLOBAL, HeapCore, Level, Misuse, Place, canary_in, canary_of};
use crate::local_heap::free::free_special;
use crate::raw::arrivals::{ArrivalList, Arrivals};
use crate::raw::chunk::Chunk;
use crate::raw::marks::{BITS, Marks};
use crate::raw::segment::Segment;
use crate::threads::{ThreadRecord, UNBOUND};

/// Frees a block of one of this thread's own chunks of a hardened heap, where all is as it should be. Else
/// [`free_special`] finds out what is not.
///
/// # Safety
/// As for [`free_special`]; the chunk's owner is the hardened one of the record that this thread holds.
// As `alloc_hardened`, it calls nothing but at its ends.
#[inline(never)]
pub(in crate::local_heap) unsafe fn free_own(block: *mut u8, layout: Layout, asked: Option<&HeapCore>) {
    // SAFETY: (I2) the chunk has an owner, so its segment is mapped; (I1) passed on. (I4) What this thread's record
    // owns is this thread's.
    unsafe {
        let (segment, index) = (Segment::of(block), Segment::index_of(block));
        if asked.is_some_and(|asked| !ptr::eq(asked, (*segment).heap.get())) {
            return free_own_slowly(block, layout, asked);
        }
        let chunk = &(&(*segment).chunks)[index];
        // An owner stands with the first chunk of a run only, so this is the distance from its start.
        let Some(number) = chunk.quick_number_at(block.addr() & (CHUNK_SIZE - 1)) else {
            return free_own_slowly(block, layout, asked);
        };
        let live = Marks::live_word(segment, index, number / BITS);
        // ORDER: Relaxed: only the owner writes there.
        let bits = live.load(Ordering::Relaxed);
        let others = bits & !(1 << (number % BITS));
        let canary = canary_in(block, chunk.block_size());
        if bits == others
            || chunk.arrivals.any()
            || !chunk.serves(padded(layout))
            || canary.read() != canary_of((*segment).canary.get(), block)
        {
            return free_own_slowly(block, layout, asked);
        }
        Hardened::fill((*segment).fill.get(), false, block, 0);
        live.store(others, Ordering::Relaxed);
        if chunk.countdown.count(1, layout.size() as u64) {
            (*chunk.local()).chunk_event(chunk);
        }
    }
}

/// # Safety
/// As for [`free_own`].
#[cold]
#[inline(never)]
unsafe fn free_own_slowly(block: *mut u8, layout: Layout, asked: Option<&HeapCore>) {
    // SAFETY: passed on.
    unsafe {
        let owner = (*Segment::of(block)).owners[Segment::index_of(block)].load(Ordering::Relaxed);
        free_special(block, layout, asked, untagged(owner), owner);
    }
}

/// Frees a block of a hardened chunk of blocks.
///
/// # Safety
/// (I1) The caller gives up `block`, which lies in the run of `chunk`, whose owner is that of `owner`.
#[inline(never)]
pub(in crate::local_heap) unsafe fn free_hardened(
    record: *const ThreadRecord,
    owner: *const ThreadRecord,
    chunk: *const Chunk,
    block: *mut u8,
    layout: Option<Layout>,
) {
    // SAFETY: (I2) the chunk has an owner, so its segment is mapped; (I1) passed on. (I4) What this thread's record
    // owns is this thread's.
    unsafe {
        let segment = Segment::of_chunk(chunk);
        let heap = &*(*segment).heap.get();
        let number = check_cell(heap, chunk, block, layout);
        let size = (*chunk).block_size();
        Hardened::fill((*segment).fill.get(), heap.level() == Level::Wipe, block, size);
        let requested = layout.map_or(size - CANARY_BYTES, |layout| layout.size());
        if owner == tagged(record) {
            Marks::of_chunk(chunk).set_live(number, false);
            if (*chunk).countdown.count(1, requested as u64) {
                (*(*chunk).local()).chunk_event(&*chunk);
            }
        } else {
            send_home(record, heap, chunk, number, block, requested);
        }
    }
}

/// Gives a block to its owner, another thread.
unsafe fn send_home(
    record: *const ThreadRecord,
    heap: &HeapCore,
    chunk: *const Chunk,
    number: usize,
    block: *mut u8,
    requested: usize,
) {
    // SAFETY: (I7) a record that is not the one for none is this thread's.
    let known = if record == UNBOUND { None } else { unsafe { (*record).outbox(heap.id) } };
    let sender = match known {
        _ if heap.is_dropped() => None,
        Some(local) => Some(local),
        None if ptr::eq(heap, &GLOBAL) => crate::global::own(),
        None => heap.local(),
    };
    // SAFETY: (I7) this thread's own local heap; (I1), (I2) passed on: the block is live until it is given. (I6) So is
    // its owner, and the heap while it is held.
    unsafe {
        if let Some(sender) = sender {
            if known.is_none() && (*sender).record() == record {
                (*record).set_outbox(heap.id, sender);
            }
            (*sender).totals[(*chunk).class()].returned.add(1);
        }
        let (owner, size) = ((*chunk).local(), (*chunk).block_size());
        let marks = Marks::of_chunk(chunk);
        let given = marks.given(number / BITS);
        heap.while_held(owner, || {
            let (arrivals, list): (_, &ArrivalList) = (&raw const (*chunk).arrivals, &(&*owner).arrived);
            if !Arrivals::give(arrivals, given, 1 << (number % BITS), requested, list) {
                heap.report(Misuse::DoubleFree, block, Place::Class(size));
            }
        });
    }
}
