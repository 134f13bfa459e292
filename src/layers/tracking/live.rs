//! Each live block, where that was asked for.

use core::alloc::Layout;
use core::hash::{BuildHasher, Hasher};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::collections::HashMap;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

/// How many parts the list has, so that threads seldom wait for each other. No lock is held over a call.
const SHARDS: usize = 32;

/// The live blocks by address. A block is out of the list while the child may free it: its address may be another
/// block's at once.
pub(in crate::layers) struct Live {
    shards: [CachePadded<Mutex<Shard>>; SHARDS],
    /// Relaxed: it orders nothing but itself.
    made: AtomicU64,
}

type Shard = HashMap<usize, Entry, Spread>;

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) layout: Layout,
    pub(super) tag: usize,
    pub(super) number: u64,
}

/// Addresses are spread by a multiplication: they are no attacker's.
#[derive(Clone, Copy, Default)]
struct Spread;

struct Spreading(u64);

impl BuildHasher for Spread {
    type Hasher = Spreading;
    fn build_hasher(&self) -> Spreading {
        Spreading(0)
    }
}

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_usize(usize::from(byte)));
    }
    fn write_usize(&mut self, number: usize) {
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

impl Live {
    pub(super) fn new() -> Self {
        Self { shards: core::array::from_fn(|_| CachePadded::default()), made: AtomicU64::new(0) }
    }

    fn shard(&self, address: usize) -> &Mutex<Shard> {
        let mut spreading = Spreading(0);
        spreading.write_usize(address);
        &self.shards[(spreading.0 >> 59) as usize % SHARDS]
    }

    pub(super) fn add(&self, block: NonNull<u8>, layout: Layout, tag: usize) {
        let number = self.made.fetch_add(1, Relaxed);
        self.put(block.addr().get(), Entry { layout, tag, number });
    }

    fn put(&self, address: usize, entry: Entry) {
        self.shard(address).lock().insert(address, entry);
    }

    /// Takes a block out of the list; back it goes unless it is said to be elsewhere, or gone.
    pub(super) fn take_out(&self, block: NonNull<u8>) -> Out<'_> {
        let address = block.addr().get();
        let entry = self.shard(address).lock().remove(&address);
        Out { live: self, address, entry }
    }

    pub(super) fn read(&self) -> Vec<(usize, Entry)> {
        let mut blocks = Vec::new();
        for shard in &self.shards {
            blocks.extend(shard.lock().iter().map(|(&address, &entry)| (address, entry)));
        }
        blocks.sort_unstable_by_key(|(_, entry)| entry.number);
        blocks
    }
}

/// A block that is out of the list.
pub(super) struct Out<'l> {
    live: &'l Live,
    address: usize,
    entry: Option<Entry>,
}

impl Out<'_> {
    pub(super) fn moved_to(mut self, block: NonNull<u8>, layout: Layout) {
        self.address = block.addr().get();
        self.entry = self.entry.map(|entry| Entry { layout, ..entry });
    }

    pub(super) fn gone(mut self) {
        self.entry = None;
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            self.live.put(self.address, entry);
        }
    }
}
