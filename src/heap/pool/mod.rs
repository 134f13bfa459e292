//! The pool: a heap's free chunks. What becomes of those that stay free is in [`purge`].

mod purge;

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use super::HeapCore;
use super::idle::Idle;
use crate::checkers;
use crate::clock::now_ms;
use crate::config::{
    CHUNK_SIZE, CHUNKS_PER_SEGMENT, HUGE_PAGE, HUGE_PAGES_FROM, LEASES_BEFORE_RESERVE, MARKS_OFFSET,
    PAGE_SIZE, PURGE_BATCH, SEGMENT_SIZE,
};
use crate::raw::chunk::{Chunk, State};
use crate::raw::segment::{Kind, PoolLinks, Segment};

/// Segments looked at for a run of chunks before a new segment is reserved.
const SEGMENTS_SEARCHED: usize = 32;
/// Chunks in the longest run that is looked for to give a shorter one room to grow.
const ROOM_TO_GROW: usize = 32;
/// Segments looked at for a chunk that is still resident, before one without memory will do.
const SEGMENTS_SEARCHED_FOR_ONE: usize = 4;

/// The chunks of a segment's second half. The first has the segment's head: it is no huge page, unless it
/// was to be one before the head was written.
const UPPER_HALF: u64 = !0 << (CHUNKS_PER_SEGMENT / 2);

const _: () = assert!(SEGMENT_SIZE == 2 * HUGE_PAGE);

impl PoolLinks {
    /// Whether all chunks there can be handed out, were not used, and are not on huge pages.
    fn upper_half_is_clean(&self) -> bool {
        let half = UPPER_HALF & self.chunks;
        self.free.clean & !self.dense & half == half
    }
}

/// What chunks are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Blocks of a class that uses little of each chunk.
    Light,
    /// Blocks of any other class.
    Heavy,
    /// Blocks of a class that fills one fresh chunk after the other.
    Dense,
    /// One block that may grow.
    Block,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Segments with free chunks; the one that was given a chunk last in front.
    listed: *mut Segment,
    /// Segments that may have doomed chunks.
    doomed: *mut Segment,
    last_tick: u64,
    last_give: u64,
    /// Chunks that a visit purges, so that the doomed are gone after some.
    batch: u32,
    /// Unlinked segments that a reader may still be looking at.
    aside: *mut Segment,
    /// Memory for records.
    metadata: *mut u8,
    metadata_left: usize,
    pub(super) idle: Idle,
}

// SAFETY: the pointers lead to segments of the pool's heap, whose pool links are touched under the
// pool's lock only.
unsafe impl Send for Pool {}

/// Bits of `span` chunks from `index` on.
fn mask_of(index: usize, span: usize) -> u64 {
    debug_assert!(index + span <= 64 && span < 64);
    ((1 << span) - 1) << index
}

/// Where `span` neighbouring bits are set.
fn run_of(mask: u64, span: usize) -> Option<usize> {
    let starts = (1..span).fold(mask, |starts, k| starts & (mask >> k));
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}

/// The first bit of the first mask that has one.
fn first_of<const N: usize>(masks: [u64; N]) -> Option<usize> {
    masks.into_iter().find(|&mask| mask != 0).map(|mask| mask.trailing_zeros() as usize)
}

/// The pool's view of a segment.
///
/// # Safety
/// (I5) The pool's lock is held for `'a`, and no other reference to these links is alive.
unsafe fn links<'a>(segment: *mut Segment) -> &'a mut PoolLinks {
    // SAFETY: (I5) as the caller promises; the segment is mapped as long as the pool knows it.
    unsafe { &mut *(*segment).pool.get() }
}

impl Pool {
    pub(super) const fn new() -> Self {
        Self {
            listed: ptr::null_mut(),
            doomed: ptr::null_mut(),
            last_tick: 0,
            last_give: 0,
            batch: PURGE_BATCH,
            aside: ptr::null_mut(),
            metadata: ptr::null_mut(),
            metadata_left: 0,
            idle: Idle::new(),
        }
    }

    /// Makes a segment reachable for readers.
    ///
    /// # Safety
    /// (I5) `segment` is a new segment of `heap`, whose lock this is.
    pub(super) unsafe fn link(&mut self, heap: &HeapCore, segment: *mut Segment) {
        let first = heap.segments.load(Ordering::Relaxed);
        // SAFETY: (I5) linked segments are mapped.
        unsafe {
            (*segment).prev.set(ptr::null_mut());
            // ORDER: Release, as below: a reader may be standing on a segment that is linked anew.
            (*segment).next.store(first, Ordering::Release);
            if !first.is_null() {
                (*first).prev.set(segment);
            }
        }
        // ORDER: Release, pairs with the Acquire in `for_each_segment`; publishes the head.
        heap.segments.store(segment, Ordering::Release);
    }

    /// Makes a segment unreachable for readers that come later.
    ///
    /// # Safety
    /// (I5) `segment` is linked in `heap`, whose lock this is.
    pub(super) unsafe fn unlink(&mut self, heap: &HeapCore, segment: *mut Segment) {
        // SAFETY: (I5) linked segments are mapped.
        unsafe {
            let next = (*segment).next.load(Ordering::Relaxed);
            let prev = (*segment).prev.get();
            let place = if prev.is_null() { &heap.segments } else { &(*prev).next };
            // ORDER: Release, so that a reader that takes this shortcut finds the next head.
            place.store(next, Ordering::Release);
            if !next.is_null() {
                (*next).prev.set(prev);
            }
        }
    }

    /// Puts a segment in front of those with free chunks.
    unsafe fn list(&mut self, segment: *mut Segment) {
        if self.listed == segment {
            return;
        }
        // SAFETY: (I5) under the lock, one reference at a time.
        unsafe {
            if links(segment).listed {
                self.unlist(segment);
            }
            links(segment).listed = true;
            links(segment).prev = ptr::null_mut();
            links(segment).next = self.listed;
            if !self.listed.is_null() {
                links(self.listed).prev = segment;
            }
        }
        self.listed = segment;
    }

    unsafe fn unlist(&mut self, segment: *mut Segment) {
        // SAFETY: (I5) as in `list`.
        unsafe {
            let (next, prev) = (links(segment).next, links(segment).prev);
            links(segment).listed = false;
            if prev.is_null() {
                self.listed = next;
            } else {
                links(prev).next = next;
            }
            if !next.is_null() {
                links(next).prev = prev;
            }
        }
    }

    /// Segments with free chunks.
    fn iter(&self) -> impl Iterator<Item = *mut Segment> + use<> {
        let mut next = self.listed;
        core::iter::from_fn(move || {
            let segment = NonNull::new(next)?;
            // SAFETY: (I5) listed segments are mapped; the iterator is used under the lock.
            next = unsafe { links(segment.as_ptr()).next };
            Some(segment.as_ptr())
        })
    }

    /// Where `span` chunks are free. A single one preferably has memory behind it, but not where it is
    /// for a light class: then little.
    fn find(&self, span: usize, purpose: Purpose) -> Option<(*mut Segment, usize)> {
        if span > 1 || purpose == Purpose::Block {
            return self.iter().take(SEGMENTS_SEARCHED).find_map(|segment| {
                // SAFETY: (I5) under the lock.
                let free = unsafe { links(segment) }.free.any();
                // Where most are free behind it, so that the run can grow.
                let room = (span + 1..=ROOM_TO_GROW).rev().step_by(4).find_map(|more| run_of(free, more));
                room.or_else(|| run_of(free, span)).map(|index| (segment, index))
            });
        }
        let mut best: Option<(usize, *mut Segment, usize)> = None;
        for segment in self.iter().take(SEGMENTS_SEARCHED_FOR_ONE) {
            // SAFETY: (I5) under the lock.
            let &mut PoolLinks { free, dense, .. } = unsafe { links(segment) };
            // SAFETY: (I5) as above.
            let free_half = unsafe { links(segment) }.upper_half_is_clean().then_some(CHUNKS_PER_SEGMENT / 2);
            let thick = first_of([free.young, free.old, free.doomed].map(|mask| mask & !free.thin));
            let thin = first_of([free.young, free.old, free.doomed].map(|mask| mask & free.thin));
            let clean = first_of([free.clean & !dense]);
            let dense = first_of([free.clean & dense]);
            let by_rank = match purpose {
                Purpose::Light => [thin, dense, clean, thick],
                Purpose::Heavy | Purpose::Block => [thick, thin, dense, clean],
                Purpose::Dense => [thick, dense, free_half, None],
            };
            let found = by_rank.iter().enumerate().find_map(|(rank, index)| Some((rank, (*index)?)));
            if let Some((rank, index)) = found
                && best.is_none_or(|(least, ..)| rank < least)
            {
                best = Some((rank, segment, index));
                if rank == 0 {
                    break;
                }
            }
        }
        best.map(|(_, segment, index)| (segment, index))
    }

    /// Takes `span` chunks from `index` on. Returns whether none of them has memory behind it;
    /// `None` when the source does not commit them.
    unsafe fn claim(
        &mut self,
        heap: &HeapCore,
        segment: *mut Segment,
        index: usize,
        span: usize,
    ) -> Option<bool> {
        let mask = mask_of(index, span);
        // SAFETY: (I5) under the lock; (I2) the records of the chunks are in the head.
        unsafe {
            let pool = links(segment);
            let mut missing = mask & !pool.committed;
            while missing != 0 {
                let first = missing.trailing_zeros() as usize;
                let count = (missing >> first).trailing_ones() as usize;
                let start = segment.cast::<u8>().add(first * CHUNK_SIZE);
                if !heap.source().commit(NonNull::new_unchecked(start), count * CHUNK_SIZE) {
                    return None;
                }
                pool.committed |= mask_of(first, count);
                missing &= !mask_of(first, count);
            }
            let clean = pool.free.clean & mask == mask;
            pool.free.remove(mask);
            if pool.free.any() == 0 {
                self.unlist(segment);
            }
            let chunks = Segment::run(segment, index, span);
            chunks[0].span.set(span as u8);
            for (offset, chunk) in chunks.iter().enumerate().skip(1) {
                chunk.set_state(State::Tail);
                chunk.offset.set(offset as u8);
                // Its blocks of an earlier life are overwritten now.
                chunk.carved.set(0);
            }
            if span != 1 {
                chunks.iter().for_each(|chunk| chunk.touched.set(u8::MAX));
            }
            Some(clean)
        }
    }

    /// Reserves a segment. False when out of memory.
    fn grow(&mut self, heap: &HeapCore, purpose: Purpose) -> bool {
        let source = heap.source();
        let Some(start) = source.reserve(SEGMENT_SIZE, SEGMENT_SIZE) else {
            return false;
        };
        debug_assert!(start.addr().get().is_multiple_of(SEGMENT_SIZE));
        // SAFETY: just reserved; the head is committed before it is touched.
        unsafe {
            if !source.commit(start, CHUNK_SIZE) {
                source.release(start, SEGMENT_SIZE, SEGMENT_SIZE);
                return false;
            }
            if !source.fresh_is_zero() {
                start.write_bytes(0, size_of::<Segment>());
                if heap.is_hardened() {
                    start.add(MARKS_OFFSET).write_bytes(0, CHUNK_SIZE - MARKS_OFFSET);
                }
            }
            let dense = purpose == Purpose::Dense;
            if dense || heap.in_use.now() >= HUGE_PAGES_FROM {
                source.expect_dense(start, SEGMENT_SIZE);
            }
            let segment = Segment::init(start, heap, Kind::Chunks, SEGMENT_SIZE);
            checkers::hide(start.as_ptr().add(CHUNK_SIZE), SEGMENT_SIZE - CHUNK_SIZE);
            links(segment).free.clean = heap.all_chunks();
            links(segment).committed = !Segment::ALL;
            links(segment).chunks = heap.all_chunks();
            links(segment).dense = if dense { Segment::ALL } else { 0 };
            self.link(heap, segment);
            self.list(segment);
            if self.metadata.is_null() {
                let head = size_of::<Segment>();
                self.metadata = start.as_ptr().add(head);
                self.metadata_left = if heap.is_hardened() { MARKS_OFFSET } else { CHUNK_SIZE } - head;
                links(segment).permanent = true;
            }
            if heap.is_hardened() {
                heap.tell_keys(&*segment);
                // Behind the head's last word, and behind the last chunk that is handed out.
                heap.guard(start.as_ptr().add(CHUNK_SIZE - PAGE_SIZE), PAGE_SIZE);
                heap.guard(start.as_ptr().add(SEGMENT_SIZE - CHUNK_SIZE), CHUNK_SIZE);
            }
        }
        heap.count_mapped(SEGMENT_SIZE);
        true
    }

    /// Makes room for `size` bytes of records.
    ///
    /// # Safety
    /// (I5) The lock of `heap`'s pool is held.
    unsafe fn grow_metadata(&mut self, heap: &HeapCore, size: usize) -> Option<()> {
        let span = size.div_ceil(CHUNK_SIZE);
        if self.find(span, Purpose::Heavy).is_none() && !self.grow(heap, Purpose::Heavy) {
            return None;
        }
        if self.metadata_left >= size {
            // The head of the new segment had room.
            return Some(());
        }
        let (segment, index) = self.find(span, Purpose::Heavy)?;
        // SAFETY: (I5) found under this lock; (I4) the chunks are ours then.
        unsafe {
            self.claim(heap, segment, index, span)?;
            let chunk = &raw const (*segment).chunks[index];
            (*chunk).set_state(State::Metadata);
            (*chunk).carved.set(0);
            links(segment).permanent = true;
            self.metadata = Segment::chunk_start(chunk);
            checkers::show(self.metadata, span * CHUNK_SIZE);
        }
        self.metadata_left = span * CHUNK_SIZE;
        Some(())
    }
}

impl HeapCore {
    /// Takes a run of `span` free chunks; they and their records are the caller's. Also tells
    /// whether they read as zero. `None` when out of memory or at the limit. `send_home` has the caller send
    /// dead threads what is theirs, which may be all that keeps their chunks from being empty.
    pub(crate) fn take_chunks(
        &self,
        span: usize,
        purpose: Purpose,
        send_home: impl FnOnce(),
    ) -> Option<(*const Chunk, bool)> {
        let bytes = span * CHUNK_SIZE;
        if !self.charge(bytes) {
            return None;
        }
        let mut pool = self.pool.lock();
        let mut found = pool.find(span, purpose);
        if found.is_none() {
            // Before asking the system: what dead threads hold empty will do.
            drop(pool);
            send_home();
            self.empty_orphans(LEASES_BEFORE_RESERVE);
            pool = self.pool.lock();
            found = pool.find(span, purpose);
            if found.is_none() && pool.grow(self, purpose) {
                found = pool.find(span, purpose);
            }
            if found.is_none() && purpose == Purpose::Dense {
                found = pool.find(span, Purpose::Heavy);
            }
        }
        // SAFETY: (I5) found under this lock.
        let taken = found.and_then(|(segment, index)| unsafe {
            if purpose == Purpose::Dense {
                self.make_dense(segment, index);
            }
            let clean = pool.claim(self, segment, index, span)?;
            Some((&raw const (*segment).chunks[index], clean && self.clean_is_zero.load(Ordering::Relaxed)))
        });
        self.visit(pool);
        match taken {
            Some(_) => self.raise_peaks(),
            None => self.discharge(bytes),
        }
        taken
    }

    /// Tells the source that the half of a segment that begins with chunk `index` will be used densely, if
    /// it is all clean still.
    ///
    /// # Safety
    /// (I5) Under the pool's lock.
    unsafe fn make_dense(&self, segment: *mut Segment, index: usize) {
        // SAFETY: (I5) as the caller promises; the half is part of the segment, committed or not.
        unsafe {
            let pool = links(segment);
            if index == CHUNKS_PER_SEGMENT / 2 && pool.upper_half_is_clean() {
                pool.dense |= UPPER_HALF;
                let start = segment.cast::<u8>().add(HUGE_PAGE);
                self.source().expect_dense(NonNull::new_unchecked(start), HUGE_PAGE);
            }
        }
    }

    /// Gives a run of chunks back to the pool.
    pub(crate) fn give_chunks(&self, chunk: *const Chunk, span: usize) {
        let now = now_ms();
        let mut pool = self.pool.lock();
        let ticked = pool.tick(self, now);
        pool.last_give = now;
        // SAFETY: (I5) under the lock; (I4) the caller gives the run up.
        unsafe {
            let segment = Segment::of_chunk(chunk);
            let index = Segment::index_of_chunk(chunk);
            for record in Segment::run(segment, index, span) {
                record.set_state(State::Free);
            }
            links(segment).free.young |= mask_of(index, span);
            if span == 1 && (*chunk).is_thin() {
                links(segment).free.thin |= mask_of(index, 1);
            }
            pool.list(segment);
            if links(segment).free.any() == self.all_chunks() && !self.can_purge.load(Ordering::Relaxed) {
                // All that can go back is the whole.
                pool.list_doomed(segment);
            }
        }
        self.discharge(span * CHUNK_SIZE);
        self.after_tick(pool, ticked);
    }

    /// Makes a run longer where it is, if the chunks behind it are free.
    pub(crate) fn extend_run(&self, chunk: *const Chunk, span: usize, new_span: usize) -> bool {
        let more = new_span - span;
        if !self.charge(more * CHUNK_SIZE) {
            return false;
        }
        let mut pool = self.pool.lock();
        let segment = Segment::of_chunk(chunk);
        let index = Segment::index_of_chunk(chunk) + span;
        // SAFETY: (I5) under the lock; (I4) the run is the caller's.
        let done = unsafe {
            index + more <= 64
                && links(segment).free.any() & mask_of(index, more) == mask_of(index, more)
                && pool.claim(self, segment, index, more).is_some()
        };
        if !done {
            self.discharge(more * CHUNK_SIZE);
            return false;
        }
        // SAFETY: (I4) as above.
        unsafe {
            for (offset, tail) in Segment::run(segment, index, more).iter().enumerate() {
                tail.set_state(State::Tail);
                tail.offset.set((span + offset) as u8);
                tail.carved.set(0);
                tail.touched.set(u8::MAX);
            }
            (*chunk).span.set(new_span as u8);
        }
        drop(pool);
        self.raise_peaks();
        true
    }

    /// Zeroed memory for records, which lives as long as the heap; `None` when out of memory.
    pub(super) fn metadata(&self, size: usize) -> Option<NonNull<u8>> {
        let size = size.next_multiple_of(align_of::<Chunk>());
        let mut pool = self.pool.lock();
        if pool.metadata_left < size {
            // SAFETY: (I5) under the lock.
            unsafe { pool.grow_metadata(self, size)? };
        }
        let start = NonNull::new(pool.metadata)?;
        pool.metadata_left -= size;
        // SAFETY: the piece lies in the region, which was given to nobody else.
        unsafe {
            pool.metadata = pool.metadata.add(size);
            start.write_bytes(0, size);
        }
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_where_they_are() {
        assert_eq!(run_of(0b0110_1110, 3), Some(1));
        assert_eq!(run_of(0b0110_1110, 4), None);
        assert_eq!(run_of(Segment::ALL, 16), Some(1));
        assert_eq!(run_of(1 << 63, 1), Some(63));
        assert_eq!(run_of(0, 1), None);
        assert_eq!(mask_of(60, 4), 0xf << 60);
    }
}
