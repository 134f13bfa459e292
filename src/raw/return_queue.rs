//! The way home for blocks freed on another thread.
//!
//! Posters push whole chains; the owner pops them on its slow path. The queue proper is crossbeam's
//! bounded `ArrayQueue`: it allocates only when it is made, and the owner makes it, the first time
//! anything arrives (a heap whose blocks never cross threads never pays for one). Until then, and
//! while it is full, posters link their chain into an atomic list that runs through the blocks
//! themselves: one compare-and-swap, nothing lost, nothing allocated, nobody waited for.
//!
//! `ArrayQueue` is not lock-free in the formal sense: an operation stalled in the middle of a slot
//! makes the next one on that slot wait. The overflow list is.

use core::ptr;

use super::chunk::Chunk;
use super::free_list::Block;
use crate::config::{OVERFLOW_LISTS, RETURN_QUEUE_CHAINS};
use crate::sync::{ArrayQueue, AtomicPtr, AtomicUsize, Ordering, Site, at};

/// Freed blocks, linked from `head` to `tail`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    /// The chunk of all of them; null for blocks of any chunks, whose tail links to null.
    pub(crate) chunk: *mut Chunk,
    pub(crate) head: *mut Block,
    pub(crate) tail: *mut Block,
    pub(crate) count: u32,
    /// Sum of the layouts' sizes, in bytes.
    pub(crate) requested: u64,
}

// SAFETY: a chain is the right to the blocks in it, and to nothing of the chunk but its address;
// both may move to another thread.
unsafe impl Send for Chain {}

/// Many posters, one owner.
#[derive(Debug)]
pub(crate) struct ReturnQueue {
    /// Null until the owner makes it. Written by the owner, once.
    queue: AtomicPtr<ArrayQueue<Chain>>,
    /// Blocks of any chunk of this owner, in several lists, so that the owner can walk them in turn
    /// and wait for several blocks at a time to come from the posters' caches.
    overflow: [AtomicPtr<Block>; OVERFLOW_LISTS],
    /// Requested bytes of the blocks that went through `overflow` and are not yet received.
    overflow_requested: AtomicUsize,
}

/// What [`ReturnQueue::receive`] hands to the owner.
pub(crate) enum Received {
    /// Blocks of one chunk.
    Chain(Chain),
    /// Blocks of any chunks, null-terminated, and the bytes requested for them all.
    Mixed { head: *mut Block, requested: u64 },
}

impl ReturnQueue {
    pub(crate) fn new() -> Self {
        Self {
            queue: AtomicPtr::new(ptr::null_mut()),
            overflow: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            overflow_requested: AtomicUsize::new(0),
        }
    }

    /// Gives a chain to the owner. Never fails, allocates or waits.
    ///
    /// # Safety
    /// The caller gives up the blocks of the chain, which belong to this queue's owner.
    pub(crate) unsafe fn post(&self, chain: Chain) {
        // ORDER: Acquire, pairs with the Release in `ensure_queue`; publishes the queue's slots.
        let queue = self.queue.load(Ordering::Acquire);
        if !queue.is_null() {
            // SAFETY: (I9) a queue lives as long as its local heap, once made.
            if unsafe { &*queue }.push(chain).is_ok() {
                return;
            }
        }
        self.overflow_requested.fetch_add(chain.requested as usize, Ordering::Relaxed);
        let overflow = &self.overflow[(chain.head.addr() >> 12) % OVERFLOW_LISTS];
        // A guess that is right as long as one poster at a time overflows.
        let mut head = ptr::null_mut();
        loop {
            // SAFETY: (I1) the chain is the caller's until the exchange below succeeds.
            unsafe { Block::set_next(chain.tail, head) };
            // ORDER: Release, pairs with the Acquire in `receive`; publishes the links of the
            // chain, what the poster wrote into the blocks, and `overflow_requested`.
            match overflow.compare_exchange_weak(
                head,
                chain.head,
                at(Site::OverflowPost, Ordering::Release),
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether there may be something to receive. A chain posted just now may be missed.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // ORDER: Relaxed is enough for the overflow word: it only decides whether to look again,
        // properly, in `receive`.
        if self.overflow.iter().any(|list| !list.load(Ordering::Relaxed).is_null()) {
            return false;
        }
        // ORDER: Acquire, pairs with the Release in `make_queue`, for callers that are not the owner.
        let queue = self.queue.load(Ordering::Acquire);
        // SAFETY: (I9) as in `post`.
        queue.is_null() || unsafe { &*queue }.is_empty()
    }

    /// Takes the next chain, or everything that took the overflow path. Owner only.
    pub(crate) fn receive(&self) -> Option<Received> {
        let queue = self.queue.load(Ordering::Relaxed);
        if !queue.is_null() {
            // SAFETY: (I9) as in `is_empty`.
            if let Some(chain) = unsafe { &*queue }.pop() {
                return Some(if chain.chunk.is_null() {
                    Received::Mixed { head: chain.head, requested: chain.requested }
                } else {
                    Received::Chain(chain)
                });
            }
        }
        let overflow = self.overflow.iter().find(|list| !list.load(Ordering::Relaxed).is_null())?;
        // ORDER: Acquire, pairs with the Release in `post`; makes the links readable. All
        // exchanges on the word are read-modify-writes, so the release sequence of every poster
        // reaches this swap.
        let head = overflow.swap(ptr::null_mut(), Ordering::Acquire);
        let requested = self.overflow_requested.swap(0, Ordering::Relaxed) as u64;
        Some(Received::Mixed { head, requested })
    }

    /// Whether the queue proper exists.
    pub(crate) fn has_queue(&self) -> bool {
        !self.queue.load(Ordering::Relaxed).is_null()
    }

    /// Makes the queue proper. Owner only, and only while there is none: the call allocates from
    /// the program's global allocator, which may be this very local heap.
    pub(crate) fn make_queue(&self) {
        debug_assert!(!self.has_queue());
        let queue = Box::into_raw(Box::new(ArrayQueue::new(RETURN_QUEUE_CHAINS)));
        // ORDER: Release, pairs with the Acquire in `post`; publishes the queue's slots.
        self.queue.store(queue, at(Site::QueueMade, Ordering::Release));
    }

    /// Goes on as if no queue had been made: it stays, with what is in it.
    #[cfg(all(unix, not(loom)))]
    pub(crate) fn forget_queue(&self) {
        self.queue.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Frees the queue proper.
    ///
    /// # Safety
    /// No poster can reach this queue any more.
    pub(crate) unsafe fn destroy(&self) {
        let queue = self.queue.swap(ptr::null_mut(), Ordering::Relaxed);
        if !queue.is_null() {
            // SAFETY: made by `make_queue` from a box, and nobody else reaches it.
            drop(unsafe { Box::from_raw(queue) });
        }
    }
}
