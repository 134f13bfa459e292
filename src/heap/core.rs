//! The shared part of a heap.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use super::hardening::{Keys, Level};
use super::heavy_classes::HeavyClasses;
use super::local_table::LocalTable;
use super::pool::Pool;
use super::purger::Purger;
use super::reader_gate::ReaderGate;
use super::references::References;
use super::route::{Excess, OnLimit};
use crate::config::{CHUNK_SIZE, GLOBAL_ID, PAGE_SIZE, PURGE_DELAY_MS};
use crate::local_heap::LocalCore;
use crate::raw::segment::{Kind, Segment};
use crate::source::{Source, System};
use crate::stats::{Gauge, PROCESS};
use crate::sync::Lock;
use crate::threads::{Lease, binding, current_heap, lease_orphans};

/// Everything the threads of a heap share. Reached on slow paths only.
pub(crate) struct HeapCore {
    /// Unique among all heaps of the process, ever; never 0.
    pub(crate) id: u64,
    pub(crate) settings: Settings,
    /// Every segment, for readers inside `gate`; changed under the pool's lock.
    pub(super) segments: AtomicPtr<Segment>,
    pub(super) gate: ReaderGate,
    pub(super) pool: Lock<Pool>,
    pub(super) table: LocalTable,
    /// Bytes of chunks and big mappings in use.
    pub(crate) in_use: Gauge,
    /// Bytes reserved from the source.
    pub(crate) mapped: Gauge,
    /// Bytes ever purged or released.
    pub(crate) given_back: AtomicU64,
    /// What has no memory behind it reads as zero.
    pub(super) clean_is_zero: AtomicBool,
    /// Purging has an effect.
    pub(super) can_purge: AtomicBool,
    /// When the pool was visited last, in milliseconds of the purge clock.
    pub(super) last_visit: AtomicU64,
    /// Ticks of the purge clock so far; wraps.
    pub(super) ticks: AtomicU32,
    /// A tick of the purge clock has somebody look at orphans just now.
    pub(super) emptying: AtomicBool,
    /// `Global`'s allocations were routed here, so blocks may outlive the handle.
    pub(super) routed: AtomicBool,
    pub(super) references: References,
    /// The next heap that nobody needs, in the list of those.
    pub(crate) next_dead: AtomicPtr<HeapCore>,
    pub(super) excess: Excess,
    /// The thread that gives memory back, if there is one.
    pub(super) purger: Mutex<Option<Purger>>,
    pub(crate) heavy: HeavyClasses,
    pub(super) keys: Keys,
}

// SAFETY: the source is `Send + Sync`; segments, pool and local heaps are reached under the rules
// of (I2), (I5) and (I6), which hold across threads.
unsafe impl Send for HeapCore {}
// SAFETY: as for `Send`.
unsafe impl Sync for HeapCore {}

/// The heap behind `Global`.
pub(crate) static GLOBAL: HeapCore = HeapCore::with_parts(
    GLOBAL_ID,
    Settings {
        name: None,
        source: None,
        limit: usize::MAX,
        purge_delay_ms: PURGE_DELAY_MS,
        hard_limit: true,
        on_limit: None,
        level: Level::DEFAULT,
    },
    true,
);

/// What a heap is made from; see `HeapBuilder`.
pub(crate) struct Settings {
    pub(crate) name: Option<Box<str>>,
    pub(crate) source: Option<Box<dyn Source>>,
    /// Bytes of chunks and big mappings in use at most.
    pub(crate) limit: usize,
    pub(crate) purge_delay_ms: u64,
    /// Routed allocations do not exceed the limit either.
    pub(crate) hard_limit: bool,
    pub(crate) on_limit: Option<Box<OnLimit>>,
    pub(crate) level: Level,
}

impl HeapCore {
    const fn with_parts(id: u64, settings: Settings, zeroed: bool) -> Self {
        Self {
            id,
            settings,
            segments: AtomicPtr::new(ptr::null_mut()),
            gate: ReaderGate::new(),
            pool: Lock::new(Pool::new()),
            table: LocalTable::new(),
            in_use: Gauge::new(),
            mapped: Gauge::new(),
            given_back: AtomicU64::new(0),
            clean_is_zero: AtomicBool::new(zeroed),
            can_purge: AtomicBool::new(true),
            last_visit: AtomicU64::new(0),
            ticks: AtomicU32::new(0),
            emptying: AtomicBool::new(false),
            routed: AtomicBool::new(false),
            references: References::new(),
            next_dead: AtomicPtr::new(ptr::null_mut()),
            excess: Excess::new(),
            purger: Mutex::new(None),
            heavy: HeavyClasses::new(),
            keys: Keys::new(),
        }
    }

    pub(crate) fn new(settings: Settings) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(GLOBAL_ID + 1);
        let zeroed = settings.source.as_ref().map_or(System.fresh_is_zero(), |s| s.fresh_is_zero());
        Self::with_parts(NEXT_ID.fetch_add(1, Ordering::Relaxed), settings, zeroed)
    }

    pub(super) fn source(&self) -> &dyn Source {
        self.settings.source.as_deref().unwrap_or(&System)
    }

    /// Counts `bytes` as in use; false when the limit does not allow it. The peaks follow when the
    /// memory is there, in [`raise_peaks`](Self::raise_peaks).
    pub(super) fn charge(&self, bytes: usize) -> bool {
        if !self.in_use.try_add(bytes, self.settings.limit) {
            if !self.limit_is_soft() {
                return false;
            }
            self.in_use.add(bytes);
            self.excess.begin();
        }
        PROCESS.in_use.add(bytes);
        true
    }

    /// Whether what this thread asks for now may exceed the limit.
    pub(super) fn limit_is_soft(&self) -> bool {
        !self.settings.hard_limit && self.is_routed_here()
    }

    pub(super) fn raise_peaks(&self) {
        self.in_use.raise_peak();
        PROCESS.in_use.raise_peak();
    }

    pub(super) fn discharge(&self, bytes: usize) {
        self.in_use.sub(bytes);
        if self.excess.is() && self.in_use.now() <= self.settings.limit {
            self.excess.end();
        }
        PROCESS.in_use.sub(bytes);
    }

    pub(super) fn count_mapped(&self, bytes: usize) {
        self.mapped.add(bytes);
        self.mapped.raise_peak();
        PROCESS.mapped.add(bytes);
        PROCESS.mapped.raise_peak();
    }

    /// `bytes` are no longer mapped; `resident` of them may have had memory behind them.
    pub(super) fn count_unmapped(&self, bytes: usize, resident: usize) {
        self.mapped.sub(bytes);
        PROCESS.mapped.sub(bytes);
        self.given_back.fetch_add(resident as u64, Ordering::Relaxed);
    }

    /// This thread's local heap, made if need be. `None` when out of memory, or when the thread
    /// is past our thread-local destructor: then it takes a lease.
    #[inline(always)]
    pub(crate) fn local(&self) -> Option<*const LocalCore> {
        let (id, local) = current_heap();
        if id == self.id { Some(local) } else { self.local_slow() }
    }

    /// Runs `f` on this thread's local heap, or on one leased for the purpose by a thread that is
    /// past our thread-local destructor. `None` when out of memory.
    pub(crate) fn with_local<R>(&self, f: impl FnOnce(&LocalCore) -> R) -> Option<R> {
        if let Some(local) = self.local() {
            // SAFETY: (I6) local heaps live as long as the heap.
            return Some(f(unsafe { &*local }));
        }
        let lease = Lease::new()?;
        // SAFETY: (I7) the lease holds the record; (I6) as above. Nothing that is free stays with an
        // orphan; of this heap only, for the call may come from another heap's source.
        unsafe {
            let local = &*self.local_for(lease.record())?;
            let result = f(local);
            local.retire();
            Some(result)
        }
    }

    #[cold]
    #[inline(never)]
    fn local_slow(&self) -> Option<*const LocalCore> {
        binding(|binding| {
            let record = binding.bound()?;
            // SAFETY: (I7) the thread's own record.
            let local = unsafe { self.local_for(record) }?;
            binding.heap_id.set(self.id);
            binding.heap_local.set(local);
            Some(local)
        })
    }

    /// Takes in what was sent to up to `limit` local heaps whose threads have ended, and gives back
    /// the chunks that are empty then.
    pub(crate) fn empty_orphans(&self, limit: usize) {
        // SAFETY: (I7) leased.
        lease_orphans(self, limit, |local| unsafe { local.retire() });
    }

    pub(super) fn purge_delay(&self) -> Duration {
        Duration::from_millis(self.settings.purge_delay_ms.max(1))
    }

    /// Starts the thread that gives memory back, unless it runs.
    ///
    /// # Safety
    /// The heap lives until [`stop_purger`](Self::stop_purger) was called, or for ever.
    pub(crate) unsafe fn start_purger(&self) -> std::io::Result<()> {
        let mut purger = self.purger.lock().unwrap_or_else(PoisonError::into_inner);
        if !purger.as_ref().is_some_and(Purger::is_here) {
            // SAFETY: passed on.
            *purger = Some(unsafe { Purger::start(self)? });
        }
        Ok(())
    }

    /// Stops that thread, and waits for its end.
    pub(super) fn stop_purger(&self) {
        drop(self.purger.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Runs `f` on every segment; none of them is unmapped meanwhile.
    pub(crate) fn for_each_segment(&self, mut f: impl FnMut(&Segment)) {
        self.while_mapped(|| {
            // ORDER: Acquire here and below, pairs with the Release in `Pool::link`; publishes the
            // segment's head.
            let mut next = self.segments.load(Ordering::Acquire);
            // SAFETY: (I5) a linked segment stays mapped while a reader is inside the gate.
            while let Some(segment) = unsafe { next.as_ref() } {
                f(segment);
                next = segment.next.load(Ordering::Acquire);
            }
        });
    }

    /// Runs `f` while no segment that is mapped now is unmapped.
    pub(crate) fn while_mapped(&self, f: impl FnOnce()) {
        struct Inside<'a>(&'a ReaderGate);
        impl Drop for Inside<'_> {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        self.gate.enter();
        let _inside = Inside(&self.gate);
        f();
    }

    /// Whether `address` lies in a segment of this heap, past its head.
    pub(crate) fn owns(&self, address: *const u8) -> bool {
        let mut found = false;
        self.for_each_segment(|segment| {
            let start = ptr::from_ref(segment).addr();
            let inside = address.addr().wrapping_sub(start);
            let guard = match segment.kind() {
                _ if !self.is_hardened() => 0,
                Kind::Chunks => CHUNK_SIZE,
                Kind::Big => PAGE_SIZE,
            };
            found |= inside >= segment.head_size() && inside < segment.size.get() - guard;
        });
        found
    }

    /// Releases every segment.
    ///
    /// # Safety
    /// Nobody uses this heap or its blocks any more, and its local heaps are detached.
    pub(crate) unsafe fn release_all(&self) {
        for local in self.locals() {
            // SAFETY: (I6) nobody can post any more.
            unsafe { local.inbox().destroy() };
        }
        // SAFETY: as the caller promises; each segment is read before it is released.
        unsafe {
            let aside = self.pool.lock().take_aside();
            self.release_chain(aside);
            let mut next = self.segments.load(Ordering::Relaxed);
            while let Some(segment) = NonNull::new(next) {
                next = segment.as_ref().next.load(Ordering::Relaxed);
                self.release_segment(segment.as_ptr());
            }
        }
        PROCESS.in_use.sub(self.in_use.now());
        self.in_use.sub(self.in_use.now());
    }
}
