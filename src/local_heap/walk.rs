//! Which blocks of a chunk are live.

use core::ptr;
use core::sync::atomic::Ordering;

use super::LocalCore;
use crate::raw::chunk::Chunk;
use crate::raw::marks::Marks;
use crate::raw::segment::Segment;

impl LocalCore {
    /// A bit for every block of `chunk`, set where the block is live, and how many are. Blocks that other
    /// threads have freed count as live until [`drain`](Self::drain) has taken them in.
    ///
    /// No bit for blocks that were never carved. A bit is taken away for every block that is on the chunk's
    /// own list, or, where the chunk is current, in the block cache.
    ///
    /// # Safety
    /// (I7) The caller holds the record; (I4) `chunk` is a chunk of blocks, and this local heap's.
    pub(crate) unsafe fn live_blocks(&self, chunk: &Chunk) -> (Box<[u64]>, usize) {
        let (class, carved) = (chunk.class(), chunk.carved.get() as usize);
        let mut live = vec![u64::MAX; carved.div_ceil(64)];
        if carved % 64 != 0 {
            live[carved / 64] = (1 << (carved % 64)) - 1;
        }
        if !self.hardened.is_null() {
            // SAFETY: (I4) ours, so it is mapped.
            let marks = unsafe { Marks::of_chunk(chunk) };
            for (word, bits) in live.iter_mut().enumerate() {
                *bits = marks.live(word).load(Ordering::Relaxed) as u64;
            }
            let count = live.iter().map(|word| word.count_ones() as usize).sum();
            return (live.into(), count);
        }
        let (start, block_size) = (Segment::chunk_start(chunk).addr(), chunk.block_size());
        let is_current = ptr::eq(self.current[class].get(), chunk);
        let cached = is_current.then(|| self.blocks.classes[class].free.iter());
        for block in chunk.recent.iter().chain(cached.into_iter().flatten()) {
            let index = block.addr().wrapping_sub(start) / block_size;
            let bit = 1 << (index % 64);
            // A program that wrote to a block it had freed has broken the list. Show what there is, and end.
            match live.get_mut(index / 64) {
                Some(word) if *word & bit != 0 => *word &= !bit,
                _ => break,
            }
        }
        let count = live.iter().map(|word| word.count_ones() as usize).sum();
        (live.into(), count)
    }
}
