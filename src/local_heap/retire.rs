//! How a local heap gives back what is free.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::LocalCore;
use super::counters::{BIG_ROW, SPAN_ROW};
use super::hardened::untagged;
use crate::raw::chunk::{EMPTY, State};
use crate::raw::segment::Kind;
use crate::threads::ThreadRecord;

impl LocalCore {
    /// Gives back every chunk that is empty.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    unsafe fn trim(&self) {
        for class in 0..self.available.len() {
            let current = self.current[class].get();
            // SAFETY: (I4) current and cached chunks are ours; the empty one stays.
            unsafe {
                if current != EMPTY.as_ptr()
                    && (*current).outstanding() == self.blocks.len(class) + self.dealt(class)
                {
                    self.leave_current(class);
                }
            }
        }
        while let Some(chunk) = self.chunks.pop_any() {
            self.heap().give_chunks(chunk, 1);
        }
    }

    /// Gives everything back that is free, for good: the heap's handle is gone, and nobody allocates here
    /// any more. Returns whether anything was sent to others, and whether nothing is left here.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn wind_up(&self) -> (bool, bool) {
        let sends = !self.outbox.is_empty();
        // SAFETY: (I7) passed on.
        unsafe {
            // Not pinned any more, the chunks say themselves when their last block is back.
            (0..self.current.len()).for_each(|class| self.leave_current(class));
            self.retire();
        }
        let runs_are_back = [SPAN_ROW, BIG_ROW].iter().all(|&row| self.totals[row].is_even());
        (sends, self.owned.get() == 0 && runs_are_back)
    }

    /// What a thread does for its local heap before it ends: nothing that is free stays here.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn retire(&self) {
        // SAFETY: (I7) passed on.
        unsafe {
            self.flush();
            self.drain();
            self.trim();
        }
    }

    /// The last resort before an allocation fails: gives back all that this thread, threads that
    /// have ended, and the heap keep free, and looks at full chunks that have a free block after all.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    #[cold]
    pub(crate) unsafe fn relieve(&self) {
        // SAFETY: (I7) passed on; (I4) a chunk of this heap whose owner is our record is ours. (Not by the chunk's own
        // word: that names its last owner still when it is the next one's, who may fill it before we look again.)
        unsafe {
            self.retire();
            let ours = |owner: &AtomicPtr<ThreadRecord>| {
                ptr::eq(untagged(owner.load(Ordering::Relaxed)), self.record)
            };
            self.heap().for_each_segment(|segment| {
                if segment.kind() == Kind::Chunks {
                    let owned = segment.owners.iter().zip(&segment.chunks).filter(|(owner, _)| ours(owner));
                    owned
                        .filter(|(_, chunk)| chunk.state() == State::Full && self.has_free_blocks(chunk))
                        .for_each(|(_, chunk)| self.reopen(chunk));
                }
            });
        }
        self.heap().empty_orphans(usize::MAX);
        self.heap().purge_all();
    }
}

#[cfg(test)]
mod tests {
    use core::alloc::Layout;
    use std::sync::Barrier;

    use super::*;
    use crate::Heap;
    use crate::config::CHUNK_SIZE;

    /// Of a chunk that another thread has just taken over, a thread that has no memory may read the old word for the
    /// owner and the new state. Here the old word is put there.
    #[test]
    fn a_chunk_that_was_ours_is_left_to_its_owner() {
        // A hardened heap has no lists.
        let heap = Heap::builder().hardened(false).build().unwrap();
        let layout = Layout::new::<[u64; 8]>();
        // One more than a chunk holds, so that the first chunk is full, and not current any more.
        let blocks = CHUNK_SIZE / layout.size() + 1;
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let first = heap.alloc(layout);
                (1..blocks).for_each(|_| assert!(!heap.alloc(layout).is_null()));
                // SAFETY: a live block of this thread's, given up.
                unsafe { heap.dealloc(first, layout) };
                barrier.wait();
                barrier.wait();
            });
            barrier.wait();
            let local = heap.core().local().unwrap();
            let mut states = Vec::new();
            heap.core().for_each_segment(|segment| {
                for chunk in segment.chunks.iter().filter(|chunk| chunk.state() == State::Full) {
                    let owner = chunk.local();
                    chunk.set_local(local);
                    // SAFETY: (I7) this thread's own local heap.
                    unsafe { (*local).relieve() };
                    chunk.set_local(owner);
                    states.push((ptr::eq(owner, local), chunk.recent.is_empty(), chunk.state()));
                }
            });
            barrier.wait();
            assert_eq!(states, [(false, false, State::Full)]);
        });
    }
}
