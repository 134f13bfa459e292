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
use crate::config::{CHAIN_BLOCKS, MIXED_BLOCKS, OUTBOX_BYTES, OUTBOX_OWNERS, OUTBOX_SLOTS, SHORT_CHAIN};
use crate::raw::chunk::Chunk;
use crate::raw::counts::Counter;
use crate::raw::free_list::Block;
use crate::raw::return_queue::Chain;

/// Chains in the making.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// A table addressed by chunk.
    slots: [Slot; OUTBOX_SLOTS],
    /// A table addressed by owner.
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

/// Blocks of any chunks of one owner. They are counted as sent when one of another class follows, so
/// that blocks of one class cost one addition to the owner's counter together.
#[derive(Debug)]
struct Mixed {
    owner: AtomicPtr<LocalCore>,
    head: Cell<*mut Block>,
    tail: Cell<*mut Block>,
    count: Cell<u32>,
    bytes: Cell<usize>,
    /// Class of the last blocks, and how many of them are not counted yet.
    class: AtomicU32,
    uncounted: AtomicU32,
    /// Of all blocks here; counted when they leave.
    requested: Counter,
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
            owner: AtomicPtr::new(ptr::null_mut()),
            head: Cell::new(ptr::null_mut()),
            tail: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
            bytes: Cell::new(0),
            class: AtomicU32::new(0),
            uncounted: AtomicU32::new(0),
            requested: Counter::new(),
        }
    }

    fn owner(&self) -> *const LocalCore {
        self.owner.load(Ordering::Relaxed)
    }

    /// Counts the blocks that are not counted yet as sent.
    ///
    /// # Safety
    /// (I6) There are blocks here, so the owner is alive.
    unsafe fn count_sent(&self) {
        let uncounted = self.uncounted.load(Ordering::Relaxed);
        let class = self.class.load(Ordering::Relaxed) as usize;
        // SAFETY: (I6) passed on.
        unsafe { (*self.owner()).add_posted(class, uncounted) };
        self.uncounted.store(0, Ordering::Relaxed);
    }

    /// Adds a chain of the owner.
    ///
    /// # Safety
    /// (I1) The caller gives up the chain, whose chunk is the owner's.
    unsafe fn add(&self, chain: &Chain, bytes: usize) {
        // SAFETY: (I1) passed on; (I2) the blocks are live, so their chunk's record does not change.
        unsafe {
            let class = (*chain.chunk).class() as u32;
            if self.class.load(Ordering::Relaxed) != class {
                self.count_sent();
                self.class.store(class, Ordering::Relaxed);
            }
            if self.count.get() == 0 {
                self.tail.set(chain.tail);
            }
            Block::set_next(chain.tail, self.head.get());
        }
        self.head.set(chain.head);
        self.count.set(self.count.get() + chain.count);
        self.bytes.set(self.bytes.get() + bytes);
        self.requested.add(chain.requested);
        // ORDER: Release, pairs with the Acquire in `waiting`: who sees the count sees the owner.
        self.uncounted.store(self.uncounted.load(Ordering::Relaxed) + chain.count, Ordering::Release);
    }
}

impl Outbox {
    pub(crate) const fn new() -> Self {
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
    pub(crate) unsafe fn add(&self, sender: &LocalCore, chunk: *const Chunk, block: *mut Block, size: usize) {
        // Records of chunks are 128 bytes apart within a segment, segments 4 MiB.
        let address = chunk.addr();
        let slot = &self.slots[((address >> 7) ^ (address >> 22)) % OUTBOX_SLOTS];
        let count = slot.count.load(Ordering::Relaxed);
        // SAFETY: (I1) passed on.
        unsafe {
            if slot.chunk.load(Ordering::Relaxed).cast_const() != chunk || count == 0 {
                self.add_first(sender, slot, chunk, block, size);
            } else {
                self.append(sender, slot, count, block, size);
            }
        }
    }

    /// Adds a block to a slot's chain of `count` blocks.
    ///
    /// # Safety
    /// (I1) The caller gives up `block`, which is of the slot's chunk.
    #[inline(always)]
    unsafe fn append(&self, sender: &LocalCore, slot: &Slot, count: u32, block: *mut Block, size: usize) {
        // SAFETY: (I1) the block is ours until its chain is posted.
        unsafe { Block::set_next(block, slot.head.get()) };
        slot.head.set(block);
        slot.requested.add(size as u64);
        let count = count + 1;
        // ORDER: Release, pairs with the Acquire in `waiting`: who sees the count sees the chunk.
        slot.count.store(count, Ordering::Release);
        let bytes = self.bytes.get() + slot.block_size.get() as usize;
        self.bytes.set(bytes);
        if count == CHAIN_BLOCKS || bytes > OUTBOX_BYTES {
            self.relieve(sender, slot);
        }
    }

    /// Starts a chain of `chunk` with `block`; the one that was there goes to its owner's.
    ///
    /// # Safety
    /// As for [`add`](Self::add).
    #[inline(never)]
    unsafe fn add_first(
        &self,
        sender: &LocalCore,
        slot: &Slot,
        chunk: *const Chunk,
        block: *mut Block,
        size: usize,
    ) {
        if let Some(chain) = slot.take() {
            self.evict(sender, slot, chain);
        }
        slot.chunk.store(chunk.cast_mut(), Ordering::Relaxed);
        slot.head.set(ptr::null_mut());
        slot.tail.set(block);
        slot.requested.set(0);
        // SAFETY: (I2) a chunk's record is readable while a block of it is live.
        slot.block_size.set(unsafe { (*chunk).block_size() } as u32);
        // SAFETY: (I1) passed on.
        unsafe { self.append(sender, slot, 0, block, size) };
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
            if chain.count > SHORT_CHAIN {
                self.bytes.set(self.bytes.get() - bytes);
                count_posted(&chain);
                return post(chain);
            }
            let owner = (*chain.chunk).local();
            let mixed = self.mixed.iter().find(|mixed| ptr::eq(mixed.owner(), owner));
            let mixed = mixed.unwrap_or_else(|| {
                // Take over the place of some other owner.
                let mixed = &self.mixed[(owner.addr() >> 7) % OUTBOX_OWNERS];
                self.send_mixed(mixed);
                mixed.owner.store(owner.cast_mut(), Ordering::Relaxed);
                mixed
            });
            mixed.add(&chain, bytes);
            if mixed.count.get() >= MIXED_BLOCKS {
                self.send_mixed(mixed);
            }
        }
    }

    fn send_mixed(&self, mixed: &Mixed) {
        let count = mixed.count.replace(0);
        if count != 0 {
            self.bytes.set(self.bytes.get() - mixed.bytes.replace(0));
            let (head, tail) = (mixed.head.replace(ptr::null_mut()), mixed.tail.get());
            let requested = mixed.requested.get();
            mixed.requested.set(0);
            // SAFETY: (I6) the owner is a local heap of the same heap as this one; (I1) the blocks are
            // ours, and its.
            unsafe {
                mixed.count_sent();
                (*mixed.owner()).add_posted_requested(requested);
                let chunk = ptr::null_mut();
                (*mixed.owner()).inbox().post(Chain { chunk, head, tail, count, requested });
            }
        }
    }

    /// Sends everything.
    pub(crate) fn flush(&self, sender: &LocalCore) {
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

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.get() == 0
    }

    /// Owner, class, blocks and requested bytes that are not counted as sent, for statistics. The caller is inside the heap's reader gate.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (*const LocalCore, usize, u32, u64)> {
        let slots = self.slots.iter().filter_map(|slot| {
            // ORDER: Acquire, pairs with the Release in `add`.
            let count = slot.count.load(Ordering::Acquire);
            if count == 0 {
                return None;
            }
            // SAFETY: (I5) a chunk that a slot named while the caller was inside the gate stays
            // mapped until it leaves; its record's words are atomics.
            let chunk = unsafe { slot.chunk.load(Ordering::Relaxed).as_ref()? };
            Some((chunk.local(), chunk.class(), count, slot.requested.get()))
        });
        let mixed = self.mixed.iter().map(|mixed| {
            // ORDER: Acquire, pairs with the Release in `Mixed::add`.
            let uncounted = mixed.uncounted.load(Ordering::Acquire);
            let class = mixed.class.load(Ordering::Relaxed) as usize;
            (mixed.owner(), class, uncounted, mixed.requested.get())
        });
        slots.chain(mixed)
    }
}

/// Counts a chain as on its way to the owner of its chunk.
///
/// # Safety
/// (I2) The chain's blocks are live, and so is their heap.
pub(crate) unsafe fn count_posted(chain: &Chain) {
    // SAFETY: (I2) the chunk's record does not change; (I6) local heaps live as long as the heap.
    unsafe {
        let owner = &*(*chain.chunk).local();
        owner.add_posted((*chain.chunk).class(), chain.count);
        owner.add_posted_requested(chain.requested);
    }
}

/// Sends a chain to the owner of its chunk.
///
/// # Safety
/// (I1) The caller gives up the blocks; the chunk's heap is alive.
pub(crate) unsafe fn post(chain: Chain) {
    // SAFETY: (I2), (I6) as in `count_posted`.
    unsafe { (*(*chain.chunk).local()).inbox().post(chain) };
}
