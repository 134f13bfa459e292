//! Mappings of big blocks that nobody uses just then.
//!
//! A mapping stays idle for the purge delay, so that a buffer that is replaced over and over does not pay for page
//! faults each time. One that is too large for the next block is used in two parts where the source allows that, and
//! neighbouring parts of one reservation become one again: else its pages would go back, to be faulted in for a
//! larger block soon after.

use core::ptr::{self, NonNull};

use super::HeapCore;
use super::big::Plan;
use super::hardening::Level;
use super::pool::Pool;
use crate::checkers;
use crate::clock::now_ms;
use crate::config::SEGMENT_SIZE;
use crate::raw::segment::{Kind, Segment};

/// Idle mappings are kept up to this many bytes together: a program that frees its large buffers and asks
/// for them again within the purge delay should not pay for page faults.
const IDLE_BYTES: usize = 512 << 20;

/// The idle mappings of a heap, by when they became idle. Under the pool's lock.
#[derive(Debug)]
pub(super) struct Idle {
    newest: *mut Segment,
    oldest: *mut Segment,
    bytes: usize,
    /// Numbers given to reservations so far.
    reservations: u64,
}

impl Idle {
    pub(super) const fn new() -> Self {
        Self { newest: ptr::null_mut(), oldest: ptr::null_mut(), bytes: 0, reservations: 0 }
    }

    /// A number that no other reservation of this heap has.
    pub(super) fn new_reservation(&mut self) -> u64 {
        self.reservations += 1;
        self.reservations
    }

    /// # Safety
    /// (I5) The mapping is the pool's, and in no list but that of all segments.
    pub(super) unsafe fn push(&mut self, segment: *mut Segment) {
        // SAFETY: (I5) passed on; so are idle mappings.
        unsafe {
            (*segment).big.idle_since.set(now_ms());
            self.tie(segment, self.newest);
            self.tie(ptr::null_mut(), segment);
            self.bytes += (*segment).size.get();
        }
    }

    /// # Safety
    /// (I5) The mapping is idle.
    unsafe fn remove(&mut self, segment: *mut Segment) {
        // SAFETY: (I5) passed on.
        unsafe {
            let big = &(*segment).big;
            self.tie(big.prev.get(), big.next.get());
            big.idle_since.set(0);
            self.bytes -= (*segment).size.get();
        }
    }

    /// Puts a mapping in the place of an idle one.
    ///
    /// # Safety
    /// (I5) `old` is idle, `new` the pool's and in no list but that of all segments.
    unsafe fn replace(&mut self, old: *mut Segment, new: *mut Segment) {
        // SAFETY: (I5) passed on.
        unsafe {
            let (from, to) = (&(*old).big, &(*new).big);
            to.idle_since.set(from.idle_since.replace(0));
            self.tie(from.prev.get(), new);
            self.tie(new, from.next.get());
            self.bytes = self.bytes - (*old).size.get() + (*new).size.get();
        }
    }

    /// Makes two mappings neighbours in the list; null is its end.
    ///
    /// # Safety
    /// (I5) Both are idle, or about to be.
    unsafe fn tie(&mut self, newer: *mut Segment, older: *mut Segment) {
        // SAFETY: (I5) passed on.
        unsafe {
            match newer.as_ref() {
                Some(newer) => newer.big.next.set(older),
                None => self.newest = older,
            }
            match older.as_ref() {
                Some(older) => older.big.prev.set(newer),
                None => self.oldest = newer,
            }
        }
    }

    /// Every idle mapping that begins as the plan wants it.
    fn of_kind(&self, plan: Plan) -> impl Iterator<Item = *mut Segment> {
        self.iter().filter(move |&segment| {
            // SAFETY: (I5) idle mappings are the pool's, under its lock.
            let big = unsafe { &(*segment).big };
            big.offset.get() == plan.offset && big.align.get() == plan.align
        })
    }

    fn iter(&self) -> impl Iterator<Item = *mut Segment> {
        // SAFETY: (I5) as above.
        let next = |&segment: &*mut Segment| non_null(unsafe { (*segment).big.next.get() });
        core::iter::successors(non_null(self.newest), next)
    }

    /// The idle mapping behind another that was reserved with it.
    fn behind(&self, segment: *mut Segment) -> Option<*mut Segment> {
        // SAFETY: (I5) as above.
        unsafe {
            let (end, number) = (segment.addr() + (*segment).size.get(), (*segment).big.reservation.get());
            self.iter().find(|&other| other.addr() == end && (*other).big.reservation.get() == number)
        }
    }

    /// The first of some neighbouring mappings that make the least one of `plan.size` bytes or more, and how many
    /// they are. Quadratic in the number of mappings, of which there are `IDLE_BYTES / MAX_SPAN_SIZE`.
    fn neighbours(&self, plan: Plan) -> Option<(*mut Segment, usize)> {
        let together = |first: *mut Segment| {
            let (mut bytes, mut count) = (0, 0);
            for segment in core::iter::successors(Some(first), |&segment| self.behind(segment)) {
                count += 1;
                // SAFETY: (I5) as above.
                bytes += unsafe { (*segment).size.get() };
                if bytes >= plan.size {
                    return Some((bytes, first, count));
                }
            }
            None
        };
        let (_, first, count) = self.of_kind(plan).filter_map(together).min_by_key(|&(bytes, ..)| bytes)?;
        Some((first, count))
    }
}

fn non_null(segment: *mut Segment) -> Option<*mut Segment> {
    (!segment.is_null()).then_some(segment)
}

impl HeapCore {
    /// An idle mapping for a block, charged, and how many bytes of the block may not be zero. It is not much longer than
    /// needed (a quarter, or as much again where the source splits), or part of a larger one or of several neighbours,
    /// or was made to fit.
    pub(super) fn idle_mapping(&self, plan: Plan) -> Option<(*mut Segment, usize)> {
        let mut pool = self.pool.lock();
        // SAFETY: (I5) idle mappings are the pool's, under its lock.
        unsafe {
            let size = |segment: *mut Segment| (*segment).size.get();
            // The last page of a hardened heap's mapping is a guard.
            let splits = self.source().splits() && plan.align == SEGMENT_SIZE && !self.is_hardened();
            let least = |pool: &Pool| {
                let large = pool.idle.of_kind(plan).filter(|&segment| size(segment) >= plan.size);
                large.min_by_key(|&segment| size(segment))
            };
            let nearest = |pool: &Pool| {
                pool.idle.of_kind(plan).min_by_key(|&segment| size(segment).abs_diff(plan.size))
            };
            let best = if splits {
                least(&pool).or_else(|| self.join(&mut pool, plan)).or_else(|| nearest(&pool))
            } else {
                nearest(&pool)
            }?;
            let whole = size(best);
            let part = plan.size.next_multiple_of(SEGMENT_SIZE);
            // A quarter too much is not worth a system call. What is too short to be split would go back, to be
            // faulted in again soon.
            let roomy = whole > plan.size + plan.size / 4;
            let split = splits && roomy && whole >= part + SEGMENT_SIZE;
            let most = if splits { plan.size * 2 } else { plan.size + plan.size / 4 };
            let fits = split || (plan.size..=most).contains(&whole);
            if !fits && self.is_hardened() {
                // Nor does a system move mappings that are of two kinds.
                return None;
            }
            let charge = if split {
                part
            } else if fits {
                whole
            } else {
                plan.size
            };
            if !self.charge(charge) {
                return None;
            }
            if split && !self.split(&mut pool, best, part) {
                self.discharge(charge);
                return None;
            }
            if !split {
                pool.idle.remove(best);
            }
            drop(pool);
            if fits {
                return Some((best, plan.block_size));
            }
            // Its pages are worth more than new ones: moving them costs less than faults.
            let moved = self.remap(best, whole, plan.size, plan.align);
            if moved.is_null() {
                self.discharge(charge);
                let mut pool = self.pool.lock();
                pool.unlink(self, best);
                pool.put_aside(best);
                return None;
            }
            // What was added reads as zero where fresh memory does.
            let dirty = if self.source().fresh_is_zero() { whole.min(plan.size) } else { plan.size };
            Some((moved, dirty - plan.offset))
        }
    }

    /// Takes the first bytes of an idle mapping; the rest stays idle as one of its own. False where a reader may be
    /// looking at it.
    ///
    /// # Safety
    /// (I5) The mapping is idle in `pool`, which is this heap's, and longer by a segment at least; the source splits.
    unsafe fn split(&self, pool: &mut Pool, segment: *mut Segment, part: usize) -> bool {
        // SAFETY: (I5) passed on. The rest is aligned as a segment and its head lies in it.
        unsafe {
            pool.unlink(self, segment);
            let free = self.gate.is_free();
            if free {
                let big = &(*segment).big;
                let start = NonNull::new_unchecked(segment.cast::<u8>().add(part));
                checkers::show(start.as_ptr(), big.offset.get());
                start.write_bytes(0, size_of::<Segment>());
                let rest = Segment::init(start, self, Kind::Big, (*segment).size.get() - part);
                (*rest).big.offset.set(big.offset.get());
                (*rest).big.align.set(big.align.get());
                (*rest).big.reservation.set(big.reservation.get());
                pool.idle.replace(segment, rest);
                (*segment).size.set(part);
                pool.link(self, rest);
            }
            pool.link(self, segment);
            free
        }
    }

    /// Makes one idle mapping of several, large enough for `plan`.
    ///
    /// # Safety
    /// (I5) The pool is this heap's; its source splits.
    unsafe fn join(&self, pool: &mut Pool, plan: Plan) -> Option<*mut Segment> {
        let (first, count) = pool.idle.neighbours(plan)?;
        // SAFETY: (I5) passed on.
        (1..count).all(|_| unsafe { self.append(pool, first) }).then_some(first)
    }

    /// Makes one idle mapping of `first` and its neighbour, in that one's place: what is left of it when it is
    /// split is of that one. False where a reader may be looking at them.
    ///
    /// # Safety
    /// (I5) As for [`join`](Self::join); `first` is idle.
    unsafe fn append(&self, pool: &mut Pool, first: *mut Segment) -> bool {
        let Some(second) = pool.idle.behind(first) else { return false };
        // SAFETY: (I5) idle mappings are the pool's; they change only unlinked and with no reader inside.
        unsafe {
            pool.unlink(self, first);
            pool.unlink(self, second);
            let free = self.gate.is_free();
            if free {
                let (size, more) = (&(*first).size, (*second).size.get());
                pool.idle.remove(first);
                pool.idle.replace(second, first);
                size.set(size.get() + more);
                pool.idle.bytes += more;
                checkers::hide(second.cast(), (*second).big.offset.get());
            } else {
                pool.link(self, second);
            }
            pool.link(self, first);
            free
        }
    }

    /// Puts idle mappings that nobody wanted for `delay` milliseconds aside.
    pub(super) fn retire_idle(&self, pool: &mut Pool, delay: u64) {
        if pool.idle.oldest.is_null() {
            return;
        }
        let now = now_ms();
        // SAFETY: (I5) under the lock.
        unsafe {
            while !pool.idle.oldest.is_null()
                && now.saturating_sub((*pool.idle.oldest).big.idle_since.get()) >= delay
            {
                self.retire_oldest(pool);
            }
        }
    }

    /// Puts the oldest idle mappings aside where there are too many.
    pub(super) fn bound_idle(&self, pool: &mut Pool) {
        let most = if self.level() == Level::Wipe { 0 } else { IDLE_BYTES };
        while pool.idle.bytes > most {
            // SAFETY: (I5) under the lock; idle bytes are in an idle mapping.
            unsafe { self.retire_oldest(pool) };
        }
    }

    unsafe fn retire_oldest(&self, pool: &mut Pool) {
        let oldest = pool.idle.oldest;
        // SAFETY: (I5) idle mappings are the pool's, under its lock.
        unsafe {
            pool.idle.remove(oldest);
            pool.unlink(self, oldest);
            pool.put_aside(oldest);
        }
    }
}
