//! Foreign blocks waiting to go home.
//!
//! A thread that frees other threads' blocks collects them in chains, one per chunk, so that the
//! owner's queue carries one message for up to [`CHAIN_BLOCKS`] blocks and the owner takes a chain in
//! with two stores. Blocks that come in no such order, a few of each chunk, are collected per owner
//! instead: their chains go home together, and the owner sorts them. What waits here is bounded by
//! [`OUTBOX_BYTES`] and never used again by this thread: a block that changed hands would put two
//! threads on one cache line.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::LocalCore;
use super::slow::{count_posted, post};
use crate::config::{CHAIN_BLOCKS, MIXED_BLOCKS, OUTBOX_BYTES, OUTBOX_OWNERS, OUTBOX_SLOTS, SHORT_CHAIN};
use crate::raw::chunk::{Chunk, Counter};
use crate::raw::free_list::Block;
use crate::raw::return_queue::Chain;

/// Chains in the making.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// A table addressed by chunk.
    slots: [Slot; OUTBOX_SLOTS],
    /// A table addressed by owner. What is in it counts as sent.
    mixed: [Mixed; OUTBOX_OWNERS],
    /// Bytes of blocks in both.
    bytes: Cell<usize>,
}

/// A chain of one chunk; readers of statistics look at `chunk`, `count` and `requested`.
#[derive(Debug)]
struct Slot {
    chunk: AtomicPtr<Chunk>,
    head: Cell<*mut Block>,
    tail: Cell<*mut Block>,
    count: AtomicU32,
    /// Bytes of a block of `chunk`, read once per chain: the owner writes to where it stands.
    block_size: Cell<u32>,
    requested: Counter,
}

/// Blocks of any chunks of one owner.
#[derive(Debug)]
struct Mixed {
    owner: Cell<*const LocalCore>,
    head: Cell<*mut Block>,
    tail: Cell<*mut Block>,
    count: Cell<u32>,
    bytes: Cell<usize>,
    requested: Cell<u64>,
}

impl Slot {
    const fn new() -> Self {
        Self {
            chunk: AtomicPtr::new(ptr::null_mut()),
            head: Cell::new(ptr::null_mut()),
            tail: Cell::new(ptr::null_mut()),
            count: AtomicU32::new(0),
            block_size: Cell::new(0),
            requested: Counter::new(),
        }
    }

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

    fn bytes(&self, chain: &Chain) -> usize {
        self.block_size.get() as usize * chain.count as usize
    }
}

impl Mixed {
    const fn new() -> Self {
        Self {
            owner: Cell::new(ptr::null()),
            head: Cell::new(ptr::null_mut()),
            tail: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
            bytes: Cell::new(0),
            requested: Cell::new(0),
        }
    }
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; OUTBOX_SLOTS],
            mixed: [const { Mixed::new() }; OUTBOX_OWNERS],
            bytes: Cell::new(0),
        }
    }

    /// Adds a block of `chunk`. `sender` counts what it sends.
    ///
    /// # Safety
    /// (I1) The caller gives up `block`, which is of `chunk`.
    #[inline(always)]
    pub(super) unsafe fn add(&self, sender: &LocalCore, chunk: *const Chunk, block: *mut Block, size: usize) {
        // Records of chunks are 128 bytes apart within a segment, segments 4 MiB.
        let address = chunk.addr();
        let slot = &self.slots[((address >> 7) ^ (address >> 22)) % OUTBOX_SLOTS];
        let mut count = slot.count.load(Ordering::Relaxed);
        if slot.chunk.load(Ordering::Relaxed).cast_const() != chunk || count == 0 {
            self.start(sender, slot, chunk, block);
            count = 0;
        }
        // SAFETY: (I1) the block is ours until its chain is posted.
        unsafe { Block::set_next(block, slot.head.get()) };
        slot.head.set(block);
        slot.requested.add(size as u64);
        count += 1;
        // ORDER: Release, pairs with the Acquire in `waiting`: who sees the count sees the chunk.
        slot.count.store(count, Ordering::Release);
        let bytes = self.bytes.get() + slot.block_size.get() as usize;
        self.bytes.set(bytes);
        if count == CHAIN_BLOCKS || bytes > OUTBOX_BYTES {
            self.relieve(sender, slot);
        }
    }

    /// Starts a chain of `chunk` that ends with `block`; the one that was there goes to its owner's.
    #[inline(never)]
    fn start(&self, sender: &LocalCore, slot: &Slot, chunk: *const Chunk, block: *mut Block) {
        if let Some(chain) = slot.take() {
            self.evict(sender, slot, chain);
        }
        slot.chunk.store(chunk.cast_mut(), Ordering::Relaxed);
        slot.head.set(ptr::null_mut());
        slot.tail.set(block);
        slot.requested.set(0);
        // SAFETY: (I2) a chunk's record is readable while a block of it is live.
        slot.block_size.set(unsafe { (*chunk).block_size() } as u32);
    }

    /// Sends the slot that is full, or everything when the budget is spent.
    #[inline(never)]
    fn relieve(&self, sender: &LocalCore, slot: &Slot) {
        if self.bytes.get() > OUTBOX_BYTES {
            self.flush(sender);
        } else if let Some(chain) = slot.take() {
            self.evict(sender, slot, chain);
        }
    }

    /// Sends a chain that was taken out of `slot`, or puts it with others of its owner if it is short.
    fn evict(&self, sender: &LocalCore, slot: &Slot, chain: Chain) {
        let bytes = slot.bytes(&chain);
        // SAFETY: (I2), (I6) the chunk's blocks are live, so its record and its owner are there; (I1)
        // the chain is ours.
        unsafe {
            sender.count_returned(&chain);
            count_posted(&chain);
            if chain.count > SHORT_CHAIN {
                self.bytes.set(self.bytes.get() - bytes);
                return post(chain);
            }
            let owner = (*chain.chunk).local();
            let mixed = self.mixed.iter().find(|mixed| ptr::eq(mixed.owner.get(), owner));
            let mixed = mixed.unwrap_or_else(|| {
                // Take over the place of some other owner.
                let mixed = &self.mixed[(owner.addr() >> 7) % OUTBOX_OWNERS];
                self.send_mixed(mixed);
                mixed.owner.set(owner);
                mixed
            });
            if mixed.count.get() == 0 {
                mixed.tail.set(chain.tail);
            }
            Block::set_next(chain.tail, mixed.head.get());
            mixed.head.set(chain.head);
            mixed.count.set(mixed.count.get() + chain.count);
            mixed.bytes.set(mixed.bytes.get() + bytes);
            mixed.requested.set(mixed.requested.get() + chain.requested);
            if mixed.count.get() >= MIXED_BLOCKS {
                self.send_mixed(mixed);
            }
        }
    }

    fn send_mixed(&self, mixed: &Mixed) {
        if mixed.count.replace(0) != 0 {
            self.bytes.set(self.bytes.get() - mixed.bytes.replace(0));
            let head = mixed.head.replace(ptr::null_mut());
            // SAFETY: (I6) the owner is a local heap of the same heap as this one; (I1) the blocks are
            // ours, and its.
            unsafe {
                (*mixed.owner.get()).inbox().post_mixed(head, mixed.tail.get(), mixed.requested.replace(0))
            };
        }
    }

    /// Sends everything.
    pub(super) fn flush(&self, sender: &LocalCore) {
        for slot in &self.slots {
            if let Some(chain) = slot.take() {
                self.evict(sender, slot, chain);
            }
        }
        for mixed in &self.mixed {
            self.send_mixed(mixed);
        }
        debug_assert_eq!(self.bytes.get(), 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.get() == 0
    }

    /// Owner, class, count and requested bytes of each chain that is not counted as sent, for
    /// statistics. The caller is inside the heap's reader gate.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (*const LocalCore, usize, u32, u64)> {
        self.slots.iter().filter_map(|slot| {
            // ORDER: Acquire, pairs with the Release in `add`.
            let count = slot.count.load(Ordering::Acquire);
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
