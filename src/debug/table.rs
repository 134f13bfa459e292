//! The books: every live block and every block in quarantine, in shards by address.

use core::alloc::Layout;
use core::ptr::NonNull;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::block;
use super::private::Private;
use super::report::{Misuse, Report};
use super::trace::Event;
use crate::allocator_api2::vec::Vec;
use crate::sync::Lock;

/// Shards, each with a lock and a quarantine of its own: with 8 threads one operation in four meets another
/// one.
pub(super) const SHARDS: usize = 32;

/// Gives a block back to the child that `child` points to.
pub(super) type Release = unsafe fn(child: *const (), block: NonNull<u8>, layout: Layout);

/// What is known of a block. (D1) Its memory, `padded(layout)`, is the child's block as long as it has an
/// entry.
pub(super) struct Entry {
    pub(super) block: NonNull<u8>,
    pub(super) layout: Layout,
    pub(super) allocated: Event,
    /// (D2) Set when the block is freed, and poisoned, and in its shard's queue.
    pub(super) freed: Option<Event>,
    pub(super) release: Release,
    pub(super) epoch: u32,
    /// Allocated for a report: nobody's leak.
    pub(super) is_ours: bool,
}

// SAFETY: `block` is the field that is not; an entry says where a block is, and any thread that may use the
// allocator may free it.
unsafe impl Send for Entry {}

impl Entry {
    fn address(&self) -> usize {
        self.block.addr().get()
    }

    pub(super) fn report(&self, misuse: Misuse, noticed: Option<Event>) -> Report {
        Report {
            misuse,
            allocator: "",
            address: self.address(),
            layout: self.layout,
            allocated: Some(self.allocated.clone()),
            freed: self.freed.clone(),
            noticed,
        }
    }

    /// What is wrong with the block's memory.
    pub(super) fn damage(&self) -> Option<Misuse> {
        // SAFETY: (D1); `take` guarded the block, and (D2) one that is freed was poisoned.
        unsafe {
            if self.freed.is_some() {
                let offset = block::written_after_free(self.block, self.layout)?;
                Some(Misuse::UseAfterFree { offset })
            } else {
                let offset = block::overwritten(self.block, self.layout)?;
                Some(Misuse::Overflow { offset })
            }
        }
    }
}

/// Addresses in the order of their frees.
struct Queue {
    addresses: Vec<usize, Private>,
    /// Those before are gone.
    first: usize,
}

impl Queue {
    fn front(&self) -> Option<usize> {
        self.addresses.get(self.first).copied()
    }

    fn pop(&mut self) {
        self.first += 1;
    }

    /// False when there is no memory to remember it.
    fn push(&mut self, address: usize) -> bool {
        if self.first * 2 >= self.addresses.len() {
            self.addresses.drain(..self.first);
            self.first = 0;
        }
        let has_room = self.addresses.try_reserve(1).is_ok();
        if has_room {
            self.addresses.push(address);
        }
        has_room
    }
}

struct Shard {
    entries: HashTable<Entry, Private>,
    queue: Queue,
    /// Bytes in quarantine.
    held: usize,
}

impl Shard {
    fn remove(&mut self, address: usize) -> Option<Entry> {
        let found = self.entries.find_entry(hash(address), |entry| entry.address() == address);
        found.ok().map(|found| found.remove().0)
    }

    /// Takes the oldest block out of the quarantine while that has more than `share` bytes.
    #[inline]
    fn evict(&mut self, share: usize) -> Option<Entry> {
        if self.held <= share {
            return None;
        }
        let address = self.queue.front()?;
        self.queue.pop();
        let entry = self.remove(address)?;
        self.held -= block::footprint(entry.layout);
        Some(entry)
    }
}

/// What became of a block that was to be freed.
pub(super) enum Freed {
    /// It waits in the quarantine, and the caller releases what left that for it.
    Held(Option<Entry>),
    /// The caller has it and releases it.
    Released(Entry),
    /// Nothing happened to it.
    Refused,
}

/// One allocator's books. Locks are held over nothing but reading and writing of memory.
pub(super) struct Table {
    shards: [CachePadded<Lock<Shard>>; SHARDS],
}

/// Addresses differ in few bits: multiplied by the golden ratio, the high ones differ.
#[inline]
fn hash(address: usize) -> u64 {
    let mixed = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

#[inline]
fn shard_of(address: usize) -> usize {
    (hash(address) >> 48) as usize % SHARDS
}

impl Table {
    pub(super) fn new() -> Self {
        let shard = || Shard {
            entries: HashTable::new_in(Private),
            queue: Queue { addresses: Vec::new_in(Private), first: 0 },
            held: 0,
        };
        Self { shards: core::array::from_fn(|_| CachePadded::new(Lock::new(shard()))) }
    }

    /// Enters a live block. False when there is no memory for that.
    #[inline]
    pub(super) fn insert(&self, entry: Entry) -> bool {
        let (address, of) = (entry.address(), |entry: &Entry| hash(entry.address()));
        let mut shard = self.shards[shard_of(address)].lock();
        if shard.entries.try_reserve(1, of).is_err() {
            return false;
        }
        match shard.entries.entry(hash(address), |known| known.address() == address, of) {
            // The child took the block back without us.
            Place::Occupied(mut known) => *known.get_mut() = entry,
            Place::Vacant(place) => {
                place.insert(entry);
            }
        }
        true
    }

    /// What `f` says of the entry of `address`.
    pub(super) fn read<R>(&self, address: usize, f: impl FnOnce(&Entry) -> R) -> Option<R> {
        let shard = self.shards[shard_of(address)].lock();
        shard.entries.find(hash(address), |entry| entry.address() == address).map(f)
    }

    /// Frees a block, into its shard's quarantine if `share` bytes of that suffice; one block leaves for it
    /// if it `evicts` and there are more. What is wrong with the block is told to `found`.
    #[inline]
    pub(super) fn free(
        &self,
        address: usize,
        given: Layout,
        share: usize,
        evicts: bool,
        now: Event,
        found: &mut Vec<Report, Private>,
    ) -> Freed {
        let mut shard = self.shards[shard_of(address)].lock();
        let Shard { entries, queue, held } = &mut *shard;
        let Some(entry) = entries.find_mut(hash(address), |entry| entry.address() == address) else {
            drop(shard);
            found.push(unknown(address, given, now));
            return Freed::Refused;
        };
        if entry.freed.is_some() {
            found.push(entry.report(Misuse::DoubleFree, Some(now)));
            return Freed::Refused;
        }
        if let Some(misuse) = entry.damage() {
            found.push(entry.report(misuse, Some(now.clone())));
        }
        if given != entry.layout {
            found.push(entry.report(Misuse::LayoutMismatch { given }, Some(now.clone())));
        }
        let size = block::footprint(entry.layout);
        if size > share || !queue.push(address) {
            return match shard.remove(address) {
                Some(entry) => Freed::Released(entry),
                None => Freed::Refused,
            };
        }
        // SAFETY: (D1), and the caller has given the block up.
        unsafe { block::poison(entry.block, entry.layout) };
        entry.freed = Some(now);
        *held += size;
        Freed::Held(if evicts { shard.evict(share) } else { None })
    }

    /// Takes the oldest block out of the quarantine of the shard of `address` while that has more than
    /// `share` bytes.
    pub(super) fn evict(&self, address: usize, share: usize) -> Option<Entry> {
        self.shards[shard_of(address)].lock().evict(share)
    }

    /// Takes a block out of the quarantine while there is one.
    pub(super) fn evict_any(&self) -> Option<Entry> {
        self.shards.iter().find_map(|shard| shard.lock().evict(0))
    }

    /// What `f` makes of the entries, all of them.
    pub(super) fn collect(&self, mut f: impl FnMut(&Entry) -> Option<Report>) -> Vec<Report, Private> {
        let mut found = Vec::new_in(Private);
        for shard in &self.shards {
            found.extend(shard.lock().entries.iter().filter_map(&mut f));
        }
        found
    }
}

/// A free of something that has no entry.
fn unknown(address: usize, layout: Layout, now: Event) -> Report {
    Report {
        misuse: Misuse::InvalidFree,
        allocator: "",
        address,
        layout,
        allocated: None,
        freed: None,
        noticed: Some(now),
    }
}
