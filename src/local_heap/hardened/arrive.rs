//! Taking in what other threads freed of a hardened heap's chunks.

use core::ptr;
use core::sync::atomic::Ordering;

use crate::heap::{Misuse, Place};
use crate::local_heap::LocalCore;
use crate::local_heap::current::reopen_at;
use crate::raw::arrivals::Arrivals;
use crate::raw::chunk::{Chunk, State};
use crate::raw::marks::{BITS, Marks};
use crate::raw::segment::Segment;

impl LocalCore {
    /// Takes in what other threads freed of our chunks.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(in crate::local_heap) unsafe fn take_arrivals(&self) {
        let mut next = self.arrived.take();
        while !next.is_null() {
            // SAFETY: (I4) what others announce to us are our chunks; one with arrivals not taken yet is not
            // empty, so it stays ours. The pointer was made from one to the chunk's whole record.
            unsafe {
                let chunk = &*next.byte_sub(core::mem::offset_of!(Chunk, arrivals)).cast::<Chunk>();
                debug_assert!(ptr::eq(chunk.local(), self));
                // Before the count is taken: then the chunk may be listed again.
                next = chunk.arrivals.next();
                self.take_arrivals_of(chunk);
                if chunk.state() != State::Current {
                    self.chunk_event(chunk);
                }
            }
        }
    }

    unsafe fn take_arrivals_of(&self, chunk: &Chunk) {
        // SAFETY: (I2) ours, so it is mapped.
        let marks = unsafe { Marks::of_chunk(chunk) };
        self.moving(|| {
            let (count, bytes) = chunk.arrivals.take_count();
            let mut taken = 0;
            for word in 0..Marks::words(chunk.capacity.get()) {
                let bits = Arrivals::take_bits(marks.given(word));
                let live = marks.live(word).load(Ordering::Relaxed);
                if bits & !live != 0 {
                    let number = word * BITS + (bits & !live).trailing_zeros() as usize;
                    let size = chunk.block_size();
                    let block = Segment::chunk_start(chunk).wrapping_add(number * size);
                    self.heap().report(Misuse::DoubleFree, block, Place::Class(size));
                }
                marks.live(word).store(live & !bits, Ordering::Relaxed);
                taken += u64::from(bits.count_ones());
            }
            // Every block that was counted has its bit set, now or when the bits were taken before.
            let early = u64::from(chunk.early.get()) + taken - count;
            chunk.early.set(early as u16);
            chunk.countdown.count(count, bytes);
            self.totals[chunk.class()].received.add(count);
        });
    }

    /// Whether a chunk of ours that is full has free blocks after all.
    pub(in crate::local_heap) fn has_free_blocks(&self, chunk: &Chunk) -> bool {
        if self.hardened.is_null() {
            !chunk.recent.is_empty()
        } else {
            chunk.outstanding() < u64::from(chunk.capacity.get()) + u64::from(chunk.early.get())
        }
    }

    /// Whether a chunk that is left has so few free blocks that it may wait as full.
    pub(in crate::local_heap) fn is_as_good_as_full(&self, chunk: &Chunk) -> bool {
        let few = if self.hardened.is_null() {
            chunk.recent.is_empty()
        } else {
            let taken = chunk.outstanding().saturating_sub(u64::from(chunk.early.get()));
            taken > u64::from(chunk.capacity.get() - reopen_at(chunk))
        };
        few && chunk.carved.get() == chunk.capacity.get()
    }
}
