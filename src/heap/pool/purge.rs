//! When the memory of free chunks goes back.
//!
//! A segment's free chunks are four sets of bits by age: young, old, doomed, clean. A clock ticks
//! once per purge delay, on whatever visit comes then: old chunks are doomed, young ones become old.
//! So a chunk is purged between one and two delays after it was freed, and a chunk that is taken
//! again before that never is. A visit purges a bounded number of doomed chunks, outside the lock.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;
use std::sync::MutexGuard;

use super::{Pool, links, mask_of};
use crate::checkers;
use crate::clock::now_ms;
use crate::config::{
    CHUNK_SIZE, LEASES_BEFORE_RESERVE, PURGE_BATCH, SEGMENT_SIZE, TICK_BATCHES, VISITS_PER_TICK,
};
use crate::heap::HeapCore;
use crate::raw::segment::{Kind, Segment};
use crate::source::Purged;

impl Pool {
    /// Once per delay, the chunks freed longer than a delay ago are doomed. Returns whether it was time.
    pub(super) fn tick(&mut self, heap: &HeapCore, now: u64) -> bool {
        let delay = heap.settings.purge_delay_ms;
        if now.saturating_sub(self.last_tick) < delay {
            return false;
        }
        self.last_tick = now;
        heap.ticks.fetch_add(1, Ordering::Relaxed);
        let quiet = now.saturating_sub(self.last_give) >= delay;
        self.age(quiet);
        true
    }

    /// Moves every free chunk one age on, or straight to its doom.
    fn age(&mut self, all: bool) {
        let mut doomed = 0;
        for segment in self.iter() {
            // SAFETY: (I5) under the lock.
            let free = &mut unsafe { links(segment) }.free;
            free.doomed |= if all { free.old | free.young } else { free.old };
            free.old = if all { 0 } else { free.young };
            free.young = 0;
            if free.doomed != 0 {
                doomed += free.doomed.count_ones();
                // SAFETY: (I5) under the lock.
                unsafe { self.list_doomed(segment) };
            }
        }
        self.batch = doomed.div_ceil(VISITS_PER_TICK).max(PURGE_BATCH);
    }

    pub(super) unsafe fn list_doomed(&mut self, segment: *mut Segment) {
        // SAFETY: (I5) under the lock.
        let links = unsafe { links(segment) };
        if !links.doomed_listed {
            links.doomed_listed = true;
            links.next_doomed = self.doomed;
            self.doomed = segment;
        }
    }

    unsafe fn pop_doomed(&mut self) -> Option<*mut Segment> {
        let segment = NonNull::new(self.doomed)?.as_ptr();
        // SAFETY: (I5) under the lock; a segment that is listed here is not released.
        let links = unsafe { links(segment) };
        links.doomed_listed = false;
        self.doomed = links.next_doomed;
        Some(segment)
    }

    /// Puts a segment that nobody needs any more aside, out of everything.
    unsafe fn retire(&mut self, heap: &HeapCore, segment: *mut Segment) {
        // SAFETY: (I5) under the lock.
        unsafe {
            self.unlist(segment);
            self.unlink(heap, segment);
            self.put_aside(segment);
        }
    }

    /// Keeps an unlinked segment until no reader can be looking at it.
    pub(in crate::heap) unsafe fn put_aside(&mut self, segment: *mut Segment) {
        // SAFETY: (I5) ours alone but for readers, who do not look at pool links.
        unsafe { links(segment).next = self.aside };
        self.aside = segment;
    }

    /// Hands out what was put aside. The caller knows that no reader is inside the gate.
    pub(in crate::heap) fn take_aside(&mut self) -> *mut Segment {
        core::mem::replace(&mut self.aside, ptr::null_mut())
    }
}

impl HeapCore {
    /// Runs the purge clock, as every visit to the pool does.
    pub(in crate::heap) fn visit<'a>(&'a self, mut pool: MutexGuard<'a, Pool>) {
        let now = now_ms();
        self.last_visit.store(now, Ordering::Relaxed);
        let ticked = pool.tick(self, now);
        self.after_tick(pool, ticked);
    }

    /// A visit for its own sake, if there was none lately: what threads that need no chunks pay so that
    /// what others have freed goes back. Tells how many ticks of the purge clock there were.
    pub(crate) fn visit_if_due(&self) -> u32 {
        let pause = self.settings.purge_delay_ms / u64::from(VISITS_PER_TICK);
        if now_ms().saturating_sub(self.last_visit.load(Ordering::Relaxed)) > pause {
            self.visit(self.pool.lock());
        }
        self.ticks.load(Ordering::Relaxed)
    }

    /// A visit by the thread that is there for it: it stalls nobody, and leaves nothing for later.
    pub(in crate::heap) fn visit_as_purger(&self, orphans: usize) {
        self.empty_orphans(orphans);
        let mut pool = self.pool.lock();
        pool.tick(self, now_ms());
        while !pool.doomed.is_null() {
            let batch = pool.batch;
            self.purge(pool, batch);
            pool = self.pool.lock();
        }
        // Idle mappings, and segments that a reader was looking at.
        self.purge(pool, PURGE_BATCH);
    }

    /// The work of a visit, and the larger share of it that falls to the visit that comes on a tick.
    pub(super) fn after_tick<'a>(&'a self, pool: MutexGuard<'a, Pool>, ticked: bool) {
        let batch = if ticked { pool.batch.max(PURGE_BATCH * TICK_BATCHES) } else { pool.batch };
        self.purge(pool, batch);
        // What was sent to threads that have ended. Their chunks come to the pool, and may find that it
        // is time again: one level of that is enough.
        if ticked && !self.emptying.swap(true, Ordering::Relaxed) {
            self.empty_orphans(LEASES_BEFORE_RESERVE);
            self.emptying.store(false, Ordering::Relaxed);
        }
    }

    /// Gives doomed memory back, up to `at_most` chunks of it, outside the lock.
    pub(in crate::heap) fn purge<'a>(&'a self, mut pool: MutexGuard<'a, Pool>, at_most: u32) {
        let delay = if at_most == u32::MAX { 0 } else { self.settings.purge_delay_ms };
        self.retire_idle(&mut pool, delay);
        let can_purge = self.can_purge.load(Ordering::Relaxed);
        let mut left = at_most;
        while left > 0 {
            // SAFETY: (I5) under the lock, but while the source purges: then the chunks are nobody's
            // but ours, and a segment with a chunk in use is not released.
            unsafe {
                let Some(segment) = pool.pop_doomed() else {
                    break;
                };
                let free = links(segment).free;
                let permanent = links(segment).permanent;
                if free.any() == self.all_chunks() && free.young | free.old == 0 && !permanent {
                    pool.retire(self, segment);
                    left = left.saturating_sub(PURGE_BATCH);
                    continue;
                }
                if free.doomed == 0 || !can_purge {
                    continue;
                }
                let index = free.doomed.trailing_zeros();
                let span = (free.doomed >> index).trailing_ones().min(left);
                left -= span;
                let mask = mask_of(index as usize, span as usize);
                links(segment).free.remove(mask);
                if links(segment).free.any() == 0 {
                    pool.unlist(segment);
                }
                drop(pool);
                let start = segment.cast::<u8>().add(index as usize * CHUNK_SIZE);
                let bytes = span as usize * CHUNK_SIZE;
                let purged = self.source().purge(NonNull::new_unchecked(start), bytes);
                self.count_purged(purged, bytes);
                pool = self.pool.lock();
                if purged == Purged::Kept {
                    links(segment).free.old |= mask;
                } else {
                    // With the contents went the links of the free blocks.
                    let chunks = Segment::run(segment, index as usize, span as usize);
                    for chunk in chunks {
                        chunk.carved.set(0);
                        chunk.touched.set(0);
                    }
                    links(segment).free.clean |= mask;
                    links(segment).dense &= !mask;
                }
                if !links(segment).listed {
                    pool.list(segment);
                }
                // There may be more to do here, or nothing left to keep it for.
                if purged != Purged::Kept {
                    pool.list_doomed(segment);
                }
            }
        }
        let aside =
            if !pool.aside.is_null() && self.gate.is_free() { pool.take_aside() } else { ptr::null_mut() };
        drop(pool);
        // SAFETY: (I5) unlinked, and no reader was inside after that.
        unsafe { self.release_chain(aside) };
    }

    /// Releases a chain of segments that were put aside.
    ///
    /// # Safety
    /// (I5) No reader was inside the gate after the segments were unlinked.
    pub(in crate::heap) unsafe fn release_chain(&self, mut aside: *mut Segment) {
        while let Some(segment) = NonNull::new(aside) {
            // SAFETY: (I5) passed on; the link is read before the segment goes.
            unsafe {
                aside = links(segment.as_ptr()).next;
                self.release_segment(segment.as_ptr());
            }
        }
    }

    fn count_purged(&self, purged: Purged, bytes: usize) {
        match purged {
            Purged::Kept => self.can_purge.store(false, Ordering::Relaxed),
            Purged::Unspecified => self.clean_is_zero.store(false, Ordering::Relaxed),
            Purged::Zeroed => {}
        }
        if purged != Purged::Kept {
            self.given_back.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Gives everything that is free back to the source now.
    pub(crate) fn purge_all(&self) {
        let mut pool = self.pool.lock();
        pool.age(true);
        self.purge(pool, u32::MAX);
    }

    /// Gives a segment back to the source.
    ///
    /// # Safety
    /// (I5) Nobody can reach the segment any more.
    pub(in crate::heap) unsafe fn release_segment(&self, segment: *mut Segment) {
        // SAFETY: (I5) passed on; the head is read before it goes.
        unsafe {
            let size = (*segment).size.get();
            let (align, resident) = match (*segment).kind() {
                Kind::Chunks => {
                    let guards = Segment::ALL & !self.all_chunks();
                    let clean = (links(segment).free.clean | guards).count_ones() as usize;
                    (SEGMENT_SIZE, size - clean * CHUNK_SIZE)
                }
                Kind::Big => ((*segment).big.align.get(), size),
            };
            self.count_unmapped(size, resident);
            checkers::give_back(segment.cast(), size);
            self.source().release(NonNull::new_unchecked(segment.cast()), size, align);
        }
    }
}
