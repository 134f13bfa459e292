//! Arenas with names, as statistics see them.
//!
//! An arena's own fields are its thread's. What others may read it publishes where a name asks for that, and only when
//! it takes another chunk or is reset: never per allocation.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use super::Arena;
use crate::allocator_api2::alloc::Allocator;
use crate::heap::unrouted;
use crate::stats::NamedArenaStats;

/// What an arena has published.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) name: Arc<str>,
    limit: usize,
    used: AtomicUsize,
    reserved: AtomicUsize,
    peak: AtomicUsize,
}

/// Locked to make and drop arenas with names, and to read.
static LISTINGS: Mutex<Vec<Weak<Listing>>> = Mutex::new(Vec::new());

/// A lock that somebody waits for may allocate what it keeps.
fn lock() -> MutexGuard<'static, Vec<Weak<Listing>>> {
    unrouted(|| LISTINGS.lock())
}

impl Listing {
    pub(super) fn new(name: Arc<str>, limit: usize) -> Arc<Self> {
        // For all threads, for as long as the program runs.
        unrouted(|| {
            let zero = || AtomicUsize::new(0);
            let listing = Arc::new(Self { name, limit, used: zero(), reserved: zero(), peak: zero() });
            lock().push(Arc::downgrade(&listing));
            listing
        })
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let mut listings = lock();
        if let Some(at) = listings.iter().position(|listed| core::ptr::eq(listed.as_ptr(), self)) {
            listings.swap_remove(at);
        }
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// Says what there is, if anybody can ask.
    #[inline]
    pub(super) fn publish(&self) {
        if let Some(listing) = &self.listing {
            // ORDER: Relaxed: three numbers of which each is right.
            listing.used.store(self.used(), Ordering::Relaxed);
            listing.reserved.store(self.reserved.get(), Ordering::Relaxed);
            listing.peak.store(self.peak.max(self.round_peak()), Ordering::Relaxed);
        }
    }
}

/// What every arena with a name has published, by name.
pub(crate) fn named_arenas() -> Vec<NamedArenaStats> {
    let listed = unrouted(|| lock().clone());
    let read = |listing: Arc<Listing>| NamedArenaStats {
        name: String::from(&*listing.name),
        limit: (listing.limit != usize::MAX).then_some(listing.limit),
        used: listing.used.load(Ordering::Relaxed),
        reserved: listing.reserved.load(Ordering::Relaxed),
        peak: listing.peak.load(Ordering::Relaxed),
    };
    let mut arenas: Vec<_> = listed.iter().filter_map(Weak::upgrade).map(read).collect();
    arenas.sort_by(|one, other| one.name.cmp(&other.name));
    arenas
}
