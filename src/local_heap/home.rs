//! How blocks that other threads free come home, and how those of others leave.

use core::ptr;

use super::LocalCore;
use super::span::chunk_of;
use crate::config::{OVERFLOW_LISTS, RETURN_QUEUE_CHAINS};
use crate::heap::unrouted;
use crate::raw::chunk::{Chunk, State};
use crate::raw::free_list::Block;
use crate::raw::return_queue::{Chain, Received};
use crate::threads::binding;

/// Every method with a caller to trust asks the same of it: (I7) to hold this local heap's record.
impl LocalCore {
    /// Looks at the inbox on the way to a new block.
    #[inline]
    pub(super) unsafe fn take_home(&self) {
        if self.has_mail() {
            // SAFETY: (I7) passed on.
            if unsafe { self.drain() } {
                self.make_queue();
            }
        }
    }

    /// Takes in everything that other threads sent home. Returns whether the inbox should be given its
    /// queue: there is none, and something came.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn drain(&self) -> bool {
        if !self.arrived.is_empty() {
            // SAFETY: (I7) passed on.
            unsafe { self.take_arrivals() };
        }
        let mut mixed = [ptr::null_mut(); OVERFLOW_LISTS];
        let (mut lanes, mut bytes) = (0, 0);
        while let Some(received) = self.inbox.receive() {
            // SAFETY: (I1) what the inbox hands out is ours to free.
            unsafe {
                match received {
                    Received::Chain(chain) => self.take_in(&chain),
                    Received::Mixed { head, requested } => {
                        mixed[lanes] = head;
                        lanes += 1;
                        bytes += requested;
                        if lanes == OVERFLOW_LISTS {
                            self.take_in_mixed(mixed, bytes);
                            mixed = [ptr::null_mut(); OVERFLOW_LISTS];
                            (lanes, bytes) = (0, 0);
                        }
                    }
                }
            }
        }
        if lanes != 0 {
            // SAFETY: (I1) as above.
            unsafe { self.take_in_mixed(mixed, bytes) };
        }
        !self.inbox.has_queue() && (lanes != 0)
    }

    /// Gives the inbox its queue, after its first use of the overflow path.
    fn make_queue(&self) {
        // Only for a thread's own local heap. A thread near its end leases another record for every
        // call, those below included: what one of them frees would come home to the next one, which
        // would want its own queue, and so on without end.
        let own = binding(|binding| binding.record.get() == self.record);
        if !own || self.heap().is_dropped() || self.inbox.has_queue() || self.making_queue.replace(true) {
            return;
        }
        // The queue comes from the program's global allocator, which aborts when it cannot serve
        // it, and which may be this local heap. So ask first, for the same layout: the block is
        // still there when the queue asks.
        let slots = core::alloc::Layout::array::<(usize, Chain)>(RETURN_QUEUE_CHAINS);
        if let Ok(layout) = slots {
            // SAFETY: the layout is not empty; a block is freed with the layout it was made with.
            unrouted(|| unsafe {
                // Where it could see that nobody looks, the compiler would leave the pair out.
                let probe = core::hint::black_box(std::alloc::alloc(layout));
                if !probe.is_null() {
                    std::alloc::dealloc(probe, layout);
                    self.inbox.make_queue();
                }
            });
        }
        self.making_queue.set(false);
    }

    /// Splices a chain of our own blocks into their chunk.
    unsafe fn take_in(&self, chain: &Chain) {
        // SAFETY: (I1) the chain is ours; (I4) so is its chunk.
        unsafe {
            let chunk = &*chain.chunk;
            debug_assert!(ptr::eq(chunk.local(), self));
            self.moving(|| {
                chunk.recent.splice(chain.head, chain.tail);
                chunk.countdown.count(u64::from(chain.count), chain.requested);
                self.totals[chunk.class()].received.add(u64::from(chain.count));
                self.received_requested.add(chain.requested);
            });
            if chunk.state() != State::Current {
                // A chain may overshoot the trigger of a full chunk, so look at it in any case.
                self.chunk_event(chunk);
            }
        }
    }

    /// Frees a block of `chunk`, which belongs to another thread's local heap in the same heap.
    ///
    /// # Safety
    /// (I7) The caller holds the record; (I1) it gives up `block`, which is of `chunk`.
    #[inline]
    pub(crate) unsafe fn free_foreign(&self, chunk: *const Chunk, block: *mut u8, size: usize) {
        // SAFETY: passed on.
        unsafe { self.outbox.add(self, chunk, block.cast(), size) };
    }

    /// Counts a chain that leaves for its owner.
    ///
    /// # Safety
    /// (I2) The chain's blocks are live.
    pub(super) unsafe fn count_returned(&self, chain: &Chain) {
        // SAFETY: (I2) passed on: the chunk's record does not change.
        let row = unsafe { (*chain.chunk).class() };
        self.totals[row].returned.add(u64::from(chain.count));
    }

    /// Puts blocks of any of our chunks back, one by one, from several lists in turn: each step waits
    /// for a block to come from another thread's cache, and so they wait together.
    unsafe fn take_in_mixed(&self, mut lists: [*mut Block; OVERFLOW_LISTS], requested: u64) {
        self.moving(|| {
            // The sum is known, not its parts: the first block carries it all.
            let mut left = requested;
            self.received_requested.add(requested);
            let mut more = true;
            while more {
                more = false;
                for head in lists.iter_mut().filter(|head| !head.is_null()) {
                    more = true;
                    // SAFETY: (I1) the blocks are ours to free; (I4) so are their chunks.
                    unsafe {
                        let block = *head;
                        *head = Block::next(block);
                        let chunk = &*chunk_of(block.cast());
                        debug_assert!(ptr::eq(chunk.local(), self));
                        self.totals[chunk.class()].received.add(1);
                        if chunk.push(block, left as usize) {
                            self.chunk_event(chunk);
                        }
                    }
                    left = 0;
                }
            }
        });
    }

    /// Sends home what waits in the outbox.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn flush(&self) {
        if !self.outbox.is_empty() {
            self.outbox.flush(self);
        }
    }

    /// Any thread: blocks are on their way here.
    pub(crate) fn add_posted(&self, class: usize, count: u32) {
        self.posted[class].add_shared(u64::from(count));
    }
    /// Any thread: bytes requested for blocks on their way here.
    pub(crate) fn add_posted_requested(&self, bytes: u64) {
        self.posted_requested.add_shared(bytes);
    }
    pub(crate) fn posted(&self, class: usize) -> u64 {
        self.posted[class].get()
    }
    /// Bytes requested for the blocks in the inbox; wraps.
    pub(crate) fn requested_on_the_way(&self) -> u64 {
        self.posted_requested.get().wrapping_sub(self.received_requested.get())
    }
}
