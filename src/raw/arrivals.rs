//! The way home for blocks of a hardened heap that another thread freed: nothing is written into them.
//!
//! Who frees such a block sets its bit in the chunk's `given` marks, and finds out at once if it was set. Then
//! it counts the block at the chunk; the first one to be counted there tells the owner, by putting the chunk on
//! a list through the chunks' records. The owner takes the whole list, of each chunk first the count and
//! then the bits.
//!
//! A bit can be taken before its block was counted. The block is free then, but *early*: it keeps its chunk from
//! being empty until the count arrives, since whoever sets the bit has yet to touch the chunk's record. The
//! addition, or the exchange that lists the chunk, is the last touch; a chunk is listed from a count of none, and
//! nobody takes the count of a chunk that is not listed.

use core::ptr;

use crate::sync::{AtomicPtr, AtomicUsize, Ordering, Site, at};

/// What of one chunk was freed by other threads and not taken in yet.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// Blocks, in the high bits, and the bytes requested for them.
    count: AtomicUsize,
    next: AtomicPtr<Arrivals>,
}

/// One owner's chunks with arrivals.
#[derive(Debug)]
pub(crate) struct ArrivalList {
    first: AtomicPtr<Arrivals>,
}

const BYTE_BITS: u32 = 40;
const BYTES: usize = (1 << BYTE_BITS) - 1;

impl Arrivals {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { count: AtomicUsize::new(0), next: AtomicPtr::new(ptr::null_mut()) }
    }
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { count: AtomicUsize::new(0), next: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Gives back the block whose bit in `given` is `bit`, and for which `bytes` were requested. False if it
    /// was given before: then nothing has changed.
    ///
    /// # Safety
    /// (I1) The caller gives up the block, which is of `this` chunk; `list` is its owner's.
    pub(crate) unsafe fn give(
        this: *const Self,
        given: *const AtomicUsize,
        bit: usize,
        bytes: usize,
        list: *const ArrivalList,
    ) -> bool {
        // SAFETY: (I2) until its block is counted as back, and if it is the first one until the chunk is taken off
        // the list, the chunk is not empty: so its record and its owner are there.
        unsafe {
            // ORDER: Release, pairs with the Acquire in `take_bits`; publishes what the caller did with the block.
            if (*given).fetch_or(bit, at(Site::BlockGiven, Ordering::Release)) & bit != 0 {
                return false;
            }
            // ORDER: Release, pairs with the Acquire in `take_count`; publishes the bit. Acquire, pairs with the
            // Release there: the owner has read the link before this thread writes it.
            let order = at(Site::Arrival, Ordering::AcqRel);
            if (*this).count.fetch_add(1 << BYTE_BITS | bytes, order) == 0 {
                (*list).push(this);
            }
        }
        true
    }

    /// Whether anything was counted and not taken.
    #[inline(always)]
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    /// Blocks and bytes that were counted, for readers of statistics.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let count = self.count.load(Ordering::Relaxed);
        ((count >> BYTE_BITS) as u64, (count & BYTES) as u64)
    }

    /// The next chunk of a list that was taken; before [`take_count`](Self::take_count), after which the chunk
    /// may be listed again.
    pub(crate) fn next(&self) -> *const Self {
        // ORDER: Relaxed: published with the list.
        self.next.load(Ordering::Relaxed)
    }

    /// Takes blocks and bytes that were counted. Owner only, of a chunk that it took off the list.
    pub(crate) fn take_count(&self) -> (u64, u64) {
        // ORDER: Acquire and Release, as said in `give`.
        let count = self.count.swap(0, Ordering::AcqRel);
        ((count >> BYTE_BITS) as u64, (count & BYTES) as u64)
    }

    /// Takes a word of the chunk's bits, after the count. Owner only.
    pub(crate) fn take_bits(given: &AtomicUsize) -> usize {
        // Most words have none, and an exchange waits for the others' caches.
        if given.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        // ORDER: Acquire, pairs with the Release in `give`.
        given.swap(0, Ordering::Acquire)
    }
}

impl ArrivalList {
    pub(crate) fn new() -> Self {
        Self { first: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether there may be something to take.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.load(Ordering::Relaxed).is_null()
    }

    /// # Safety
    /// The chunk is in no list, and nobody but the caller may put it on one.
    unsafe fn push(&self, chunk: *const Arrivals) {
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            // SAFETY: (I2) the chunk is the caller's to list.
            unsafe { (*chunk).next.store(first, Ordering::Relaxed) };
            // ORDER: Release, pairs with the Acquire in `take`; publishes the link.
            let order = at(Site::ChunkTold, Ordering::Release);
            match self.first.compare_exchange_weak(first, chunk.cast_mut(), order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Takes all chunks; they are linked by [`Arrivals::next`]. Owner only.
    pub(crate) fn take(&self) -> *const Arrivals {
        // ORDER: Acquire, pairs with the Release in `push`. Pushes are read-modify-writes, so the release
        // sequence of each of them reaches this exchange.
        self.first.swap(ptr::null_mut(), Ordering::Acquire)
    }
}
