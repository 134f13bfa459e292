//! The books: every live block and every block in quarantine, in a shard for each thread that allocates.
//!
//! A thread enters what it allocates in its own shard, and a block stays there until it leaves the quarantine,
//! whoever frees it. Threads that free their own blocks share nothing but the table of addresses.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::alloc::System;

use super::child::{Release, WAYS};
use super::private::Private;
use super::record::{Entry, Gone, Made, Record};
use super::report::Report;
use super::shadow::Shadow;
pub(super) use super::shard::{Freed, Quick};
use super::shard::{Shard, unknown};
use super::trace::Event;
use crate::allocator_api2::{boxed::Box, vec::Vec};
use crate::sync::barriers_work;
use crate::threads::{Biased, Entered, thread_index};

/// Threads that have a shard of their own at a time. Further ones share the last, which has no owner.
const SHARDS: usize = 256;
const COMMON: usize = SHARDS - 1;

/// One allocator's books. No shard is held over anything but reading and writing of memory.
///
/// (D3) What it points to stays until it is dropped.
pub(super) struct Table {
    /// Made when a thread first allocates.
    shards: [AtomicPtr<Biased<Shard>>; SHARDS],
    shadow: Shadow,
    /// By way: a [`Release`] once a block came that way.
    releases: [AtomicPtr<()>; WAYS],
}

/// Who is at the books. A thread's own shard needs no lock.
#[inline(always)]
fn own_number() -> usize {
    match thread_index() {
        Some(index) if index < COMMON => index,
        _ => COMMON,
    }
}

impl Table {
    /// Empty books; `None` when there is no memory for them.
    pub(super) fn new() -> Option<Box<Self, Private>> {
        // SAFETY: not empty; null pointers are an empty table.
        unsafe {
            let made = System.alloc_zeroed(Layout::new::<Self>()).cast::<Self>();
            (!made.is_null()).then(|| Box::from_raw_in(made, Private))
        }
    }

    /// The number of the calling thread's shard.
    pub(super) fn own_number(&self) -> u16 {
        own_number() as u16
    }

    /// Says how blocks that come by a way go back.
    ///
    /// # Safety
    /// It is always the same for that way.
    #[inline(always)]
    pub(super) unsafe fn set_release(&self, way: u8, release: Release) {
        let known = &self.releases[usize::from(way) % WAYS];
        // ORDER: Relaxed; the function was there before.
        if known.load(Ordering::Relaxed).is_null() {
            known.store(release as *mut (), Ordering::Relaxed);
        }
    }

    /// How blocks that came by that way go back.
    ///
    /// # Safety
    /// A block came that way.
    pub(super) unsafe fn release(&self, way: u8) -> Release {
        let release = self.releases[usize::from(way) % WAYS].load(Ordering::Relaxed);
        // SAFETY: set before the block was entered, which happens before it is taken out.
        unsafe { core::mem::transmute::<*mut (), Release>(release) }
    }

    #[inline(always)]
    fn shard(&self, number: usize) -> Option<&Biased<Shard>> {
        // ORDER: Acquire, pairs with the Release in `make_shard`; publishes the shard.
        // SAFETY: (D3).
        unsafe { self.shards[number % SHARDS].load(Ordering::Acquire).as_ref() }
    }

    #[cold]
    #[inline(never)]
    fn make_shard(&self, number: usize) -> Option<&Biased<Shard>> {
        let shard = Biased::new(Shard::new(number as u16), number != COMMON && barriers_work());
        let made = Box::into_raw(Box::try_new_in(shard, Private).ok()?);
        // ORDER: Release, pairs with the Acquire here and in `shard`.
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        if self.shards[number].compare_exchange(ptr::null_mut(), made, success, failure).is_err() {
            // SAFETY: just boxed, and seen by nobody.
            drop(unsafe { Box::from_raw_in(made, Private) });
        }
        self.shard(number)
    }

    /// Goes to the shard of that number, where `own` is the calling thread's.
    #[inline(always)]
    fn enter(shard: &Biased<Shard>, number: usize, own: usize) -> Entered<'_, Shard> {
        if number == own && own != COMMON {
            // SAFETY: (B1) the number is this thread's, until it ends.
            unsafe { shard.own() }
        } else {
            shard.visit()
        }
    }

    /// Enters a live block. False when there is no memory for that.
    #[inline(always)]
    pub(super) fn insert(&self, made: Made<Event>) -> bool {
        let own = own_number();
        let shard = match self.shard(own) {
            Some(shard) => shard,
            None => match self.make_shard(own) {
                Some(shard) => shard,
                None => return false,
            },
        };
        let before = Self::enter(shard, own, own).with(|shard| shard.insert(&self.shadow, made));
        match before {
            Ok(None) => true,
            Ok(Some(before)) => {
                self.lose(before);
                true
            }
            Err(()) => false,
        }
    }

    /// [`insert`](Self::insert) of a block without a trace where that takes no more than a few instructions.
    /// False otherwise, and nothing has changed.
    #[inline(always)]
    pub(super) fn insert_quickly(&self, made: &Made<u32>) -> bool {
        let Some(own) = thread_index() else { return false };
        if own >= COMMON {
            return false;
        }
        let Some(shard) = self.shard(own) else { return false };
        // SAFETY: (B1) the number is this thread's, until it ends.
        match unsafe { shard.own_at_once() } {
            Some(mut alone) => alone.with(|shard| shard.insert_quickly(&self.shadow, made)),
            None => false,
        }
    }

    /// [`free`](Self::free) where that is what is usual. `None` otherwise, and nothing has changed.
    ///
    /// # Safety
    /// The caller gives up the block at `address`, if there is one.
    #[inline(always)]
    pub(super) unsafe fn free_quickly(
        &self,
        address: usize,
        given: Layout,
        way: u8,
        share: usize,
        by: u32,
    ) -> Option<Quick> {
        let own = thread_index()?;
        if own >= COMMON {
            return None;
        }
        let shard = self.shard(own)?;
        // SAFETY: (B1) the number is this thread's, until it ends. The rest is passed on.
        unsafe {
            shard
                .own_at_once()?
                .with(|shard| shard.free_quickly(&self.shadow, address, given, way, share, by))
        }
    }

    /// Takes the oldest block out of the calling thread's quarantine, where that is what is usual. Whether there are still
    /// more than there may be. `None` otherwise, and nothing has changed.
    pub(super) fn evict_quickly(&self, share: usize) -> Option<(Gone, bool)> {
        let own = thread_index().filter(|&own| own < COMMON)?;
        // SAFETY: (B1) the number is this thread's, until it ends.
        unsafe { self.shard(own)?.own_at_once()?.with(|shard| shard.evict_quickly(&self.shadow, share)) }
    }

    /// The child took a block back without us.
    #[cold]
    #[inline(never)]
    fn lose(&self, record: NonNull<Record>) {
        // SAFETY: (D3); the shard is the record's.
        unsafe {
            if let Some(shard) = self.shard(record.as_ref().shard().into()) {
                shard.visit().with(|shard| shard.lose(record));
            }
        }
    }

    /// The record that may be of the block at `address`, and its shard.
    #[inline(always)]
    fn find(&self, address: usize) -> Option<(NonNull<Record>, usize, &Biased<Shard>)> {
        let record = self.shadow.get(address)?;
        // SAFETY: (D3).
        let number = usize::from(unsafe { record.as_ref() }.shard());
        Some((record, number, self.shard(number)?))
    }

    /// What `f` says of the block at `address`.
    pub(super) fn read<R>(&self, address: usize, f: impl FnOnce(&Entry) -> R) -> Option<R> {
        let (record, number, shard) = self.find(address)?;
        // SAFETY: the shard is the record's.
        Self::enter(shard, number, own_number()).with(|shard| unsafe { shard.read(record, address, f) })
    }

    /// Frees a block, into its shard's quarantine if `share` bytes of that suffice; one block leaves for it
    /// if it `evicts` and there are more. What is wrong with the block is told to `found`.
    ///
    /// # Safety
    /// The caller gives up the block at `address`, if there is one.
    #[inline(always)]
    pub(super) unsafe fn free(
        &self,
        address: usize,
        given: Layout,
        share: usize,
        evicts: bool,
        now: Event,
        found: &mut Vec<Report, Private>,
    ) -> Freed {
        let Some((record, number, shard)) = self.find(address) else {
            found.push(unknown(address, given, now));
            return Freed::Refused;
        };
        // SAFETY: the shard is the record's; the rest is passed on.
        Self::enter(shard, number, own_number()).with(|shard| unsafe {
            shard.free(&self.shadow, record, address, given, share, evicts, now, found)
        })
    }

    /// Takes the oldest block out of the quarantine of the shard of that number, while that has more than
    /// `share` bytes.
    pub(super) fn evict(&self, number: u16, share: usize, found: &mut Vec<Report, Private>) -> Option<Gone> {
        let shard = self.shard(number.into())?;
        Self::enter(shard, number.into(), own_number()).with(|shard| shard.evict(&self.shadow, share, found))
    }

    /// Takes a block out of a quarantine while there is one.
    pub(super) fn evict_any(&self, found: &mut Vec<Report, Private>) -> Option<Gone> {
        let mut shards = (0..SHARDS).filter_map(|number| self.shard(number));
        shards.find_map(|shard| shard.visit().with(|shard| shard.evict(&self.shadow, 0, found)))
    }

    /// What `f` makes of the blocks, all of them.
    pub(super) fn collect(&self, mut f: impl FnMut(&Entry) -> Option<Report>) -> Vec<Report, Private> {
        let mut found = Vec::new_in(Private);
        for shard in (0..SHARDS).filter_map(|number| self.shard(number)) {
            shard.visit().with(|shard| shard.each(|entry| found.extend(f(entry))));
        }
        found
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.shadow.clear_all();
        for shard in &mut self.shards {
            if let Some(shard) = NonNull::new(*shard.get_mut()) {
                // SAFETY: boxed in `make_shard`, and nobody else's any more.
                drop(unsafe { Box::from_raw_in(shard.as_ptr(), Private) });
            }
        }
    }
}
