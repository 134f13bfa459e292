//! A heap's local heaps, found by the number of the thread's record.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::HeapCore;
use crate::local_heap::{Hardened, LocalCore};
use crate::sync::Lock;
use crate::threads::ThreadRecord;

/// Entries in the first bucket; each bucket doubles the one before.
const FIRST: usize = 8;
const BUCKETS: usize = 24;

type Entry = AtomicPtr<LocalCore>;

/// Buckets of doubling size that never move, so that looking an entry up needs no lock.
#[derive(Debug)]
pub(crate) struct LocalTable {
    buckets: [AtomicPtr<Entry>; BUCKETS],
    /// Held while a bucket is made.
    growing: Lock<()>,
    /// All local heaps, the newest first.
    newest: AtomicPtr<LocalCore>,
}

/// Bucket of a record's number, and place in it.
fn place(index: usize) -> (usize, usize) {
    let shifted = index + FIRST;
    let bucket = (shifted.ilog2() - FIRST.ilog2()) as usize;
    (bucket, shifted - (FIRST << bucket))
}

impl LocalTable {
    pub(super) const fn new() -> Self {
        Self {
            buckets: [const { AtomicPtr::new(ptr::null_mut()) }; BUCKETS],
            growing: Lock::new(()),
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The local heap of a record, if it has one here.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    unsafe fn get(&self, record: *const ThreadRecord) -> Option<*const LocalCore> {
        // SAFETY: (I7) records are never freed.
        let (bucket, offset) = place(unsafe { (*record).index });
        // ORDER: Acquire, pairs with the Release in `bucket`; publishes the entries' zeroes.
        let entries = self.buckets[bucket].load(Ordering::Acquire);
        if entries.is_null() {
            return None;
        }
        // SAFETY: a bucket has as many entries as `place` addresses. Relaxed: an entry is written
        // by the record's holder only, and holders hand over under the orphan list's lock.
        let local = unsafe { (*entries.add(offset)).load(Ordering::Relaxed) };
        (!local.is_null()).then_some(local.cast_const())
    }

    /// Keeps the table from growing.
    #[cfg(unix)]
    pub(super) fn hold(&self) -> std::sync::MutexGuard<'_, ()> {
        self.growing.lock()
    }

    /// The bucket's entries, made if need be; `None` when out of memory.
    fn bucket(&self, heap: &HeapCore, bucket: usize) -> Option<*mut Entry> {
        let _growing = self.growing.lock();
        let entries = self.buckets[bucket].load(Ordering::Relaxed);
        if !entries.is_null() {
            return Some(entries);
        }
        let made = heap.metadata((FIRST << bucket) * size_of::<Entry>())?.cast::<Entry>().as_ptr();
        // ORDER: Release, pairs with the Acquire in `get`.
        self.buckets[bucket].store(made, Ordering::Release);
        Some(made)
    }

    /// Every local heap of the heap, the newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &LocalCore> {
        // ORDER: Acquire, pairs with the Release in `HeapCore::local_for`; publishes the local
        // heap and the list behind it.
        let mut next = self.newest.load(Ordering::Acquire).cast_const();
        core::iter::from_fn(move || {
            // SAFETY: (I6) local heaps live as long as the heap.
            let local = unsafe { next.as_ref() }?;
            next = local.next_in_heap();
            Some(local)
        })
    }
}

impl HeapCore {
    /// The local heap of `record` in this heap, made if need be; `None` when out of memory.
    ///
    /// # Safety
    /// (I7) The caller holds the record.
    pub(crate) unsafe fn local_for(&self, record: *const ThreadRecord) -> Option<*const LocalCore> {
        // SAFETY: (I7) passed on.
        if let Some(local) = unsafe { self.table.get(record) } {
            return Some(local);
        }
        // SAFETY: (I7) as above.
        let (bucket, offset) = place(unsafe { (*record).index });
        let entries = self.table.bucket(self, bucket)?;
        let more = if self.is_hardened() { size_of::<Hardened>() } else { 0 };
        let local = self.metadata(size_of::<LocalCore>() + more)?.cast::<LocalCore>().as_ptr();
        let mut hardened = ptr::null_mut();
        if self.is_hardened() {
            // The heap has keys since it has a segment.
            // SAFETY: the memory is zeroed and ours, and a local heap's size a multiple of any alignment here.
            unsafe {
                hardened = local.add(1).cast::<Hardened>();
                Hardened::init(hardened, self);
            }
        }
        // SAFETY: the memory is fresh, aligned and ours; the entry is inside its bucket.
        unsafe {
            LocalCore::init(local, self, record, hardened);
            (*local).attach();
            (*entries.add(offset)).store(local, Ordering::Relaxed);
            let mut newest = self.table.newest.load(Ordering::Relaxed);
            loop {
                (*local).set_next_in_heap(newest);
                // ORDER: Release, pairs with the Acquire in `iter`.
                match self.table.newest.compare_exchange_weak(
                    newest,
                    local,
                    Ordering::Release,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        self.hold_for(record);
                        return Some(local);
                    }
                    Err(now) => newest = now,
                }
            }
        }
    }

    /// Every local heap of this heap.
    pub(crate) fn locals(&self) -> impl Iterator<Item = &LocalCore> {
        self.table.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_place() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }
}
