//! Foreign blocks waiting to go home, grouped by chunk.
//!
//! A thread that frees other threads' blocks collects them in chains, one per chunk, so that the
//! owner's queue carries one message for up to [`CHAIN_BLOCKS`] blocks and the owner takes a chain in
//! with two stores. What waits here is bounded by [`OUTBOX_BYTES`] and never used again by this
//! thread: a block that changed hands would put two threads on one cache line.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::LocalCore;
use crate::config::{CHAIN_BLOCKS, OUTBOX_BYTES, OUTBOX_SLOTS};
use crate::raw::chunk::{Chunk, Counter};
use crate::raw::free_list::Block;
use crate::raw::return_queue::Chain;

/// Chains in the making, in a table addressed by chunk.
#[derive(Debug)]
pub(crate) struct Outbox {
    slots: [Slot; OUTBOX_SLOTS],
    /// Bytes requested for the blocks in the slots. The request, not the block's size: that would
    /// have to be read from the chunk's record, which the owner is writing to.
    bytes: Cell<usize>,
}

/// One chain in the making; readers of statistics look at `chunk` and `count`.
#[derive(Debug)]
struct Slot {
    chunk: AtomicPtr<Chunk>,
    head: Cell<*mut Block>,
    tail: Cell<*mut Block>,
    count: AtomicU32,
    requested: Counter,
}

impl Slot {
    /// Takes the chain out.
    fn take(&self) -> Option<Chain> {
        let count = self.count.load(Ordering::Relaxed);
        if count == 0 {
            return None;
        }
        self.count.store(0, Ordering::Relaxed);
        Some(Chain {
            chunk: self.chunk.load(Ordering::Relaxed),
            head: self.head.get(),
            tail: self.tail.get(),
            count,
            requested: self.requested.get(),
        })
    }
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self {
            slots: [const {
                Slot {
                    chunk: AtomicPtr::new(ptr::null_mut()),
                    head: Cell::new(ptr::null_mut()),
                    tail: Cell::new(ptr::null_mut()),
                    count: AtomicU32::new(0),
                    requested: Counter::new(),
                }
            }; OUTBOX_SLOTS],
            bytes: Cell::new(0),
        }
    }

    /// Adds a block of `chunk`. `post` is given the chains that must leave for it.
    ///
    /// # Safety
    /// (I1) The caller gives up `block`, which is of `chunk`.
    #[inline(always)]
    pub(super) unsafe fn add(
        &self,
        chunk: *const Chunk,
        block: *mut Block,
        size: usize,
        post: impl Fn(Chain),
    ) {
        // Records of chunks are 128 bytes apart within a segment, segments 4 MiB.
        let address = chunk.addr();
        let slot = &self.slots[((address >> 7) ^ (address >> 22)) % OUTBOX_SLOTS];
        let mut count = slot.count.load(Ordering::Relaxed);
        if slot.chunk.load(Ordering::Relaxed).cast_const() != chunk || count == 0 {
            if let Some(chain) = slot.take() {
                self.send(chain, &post);
            }
            count = 0;
            slot.chunk.store(chunk.cast_mut(), Ordering::Relaxed);
            slot.head.set(ptr::null_mut());
            slot.tail.set(block);
            slot.requested.set(0);
        }
        // SAFETY: (I1) the block is ours until its chain is posted.
        unsafe { Block::set_next(block, slot.head.get()) };
        slot.head.set(block);
        slot.requested.add(size as u64);
        count += 1;
        slot.count.store(count, Ordering::Relaxed);
        let bytes = self.bytes.get() + size;
        self.bytes.set(bytes);
        if count == CHAIN_BLOCKS || bytes > OUTBOX_BYTES {
            self.relieve(slot, &post);
        }
    }

    /// Sends the slot that is full, or everything when the budget is spent.
    #[inline(never)]
    fn relieve(&self, slot: &Slot, post: &impl Fn(Chain)) {
        if let Some(chain) = slot.take() {
            self.send(chain, post);
        }
        if self.bytes.get() > OUTBOX_BYTES {
            self.flush(post);
        }
    }

    fn send(&self, chain: Chain, post: &impl Fn(Chain)) {
        self.bytes.set(self.bytes.get() - chain.requested as usize);
        post(chain);
    }

    /// Sends everything.
    pub(super) fn flush(&self, post: &impl Fn(Chain)) {
        for slot in &self.slots {
            if let Some(chain) = slot.take() {
                self.send(chain, post);
            }
        }
        debug_assert_eq!(self.bytes.get(), 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.count.load(Ordering::Relaxed) == 0)
    }

    /// Owner, class, count and requested bytes of each chain in the making, for statistics. The
    /// caller is inside the heap's reader gate.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (*const LocalCore, usize, u32, u64)> {
        self.slots.iter().filter_map(|slot| {
            let count = slot.count.load(Ordering::Relaxed);
            if count == 0 {
                return None;
            }
            // SAFETY: (I5) a chunk that a slot named while the caller was inside the gate stays
            // mapped until it leaves; its record's words are atomics.
            let chunk = unsafe { slot.chunk.load(Ordering::Relaxed).as_ref()? };
            Some((chunk.local(), chunk.class(), count, slot.requested.get()))
        })
    }
}
