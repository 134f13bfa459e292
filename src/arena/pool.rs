//! One arena per thread.

use core::cell::Cell;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use thread_local::ThreadLocal;

use super::{Arena, ArenaBuilder, ArenaStats};
use crate::Global;
use crate::allocator_api2::alloc::Allocator;

/// One [`Arena`] per thread: what is allocated lives as long as the pool is borrowed, whatever becomes of
/// the thread.
///
/// Results of a parallel region survive it, no lock is taken, and code that runs inside an allocation
/// (a stolen rayon job, say) may allocate from the same arena. Values can cross threads where their types
/// can; the `&Arena` that [`local`](Self::local) returns cannot.
///
/// The arenas of threads that have ended are used again: at once by a new thread in the same place, and by
/// any thread after a [`reset`](Self::reset).
///
/// # Examples
///
/// ```
/// use blockyard::ArenaPool;
/// use rayon::prelude::*;
///
/// let mut pool = ArenaPool::new();
/// for frame in 0..3 {
///     let names: Vec<&str> = (0..1000)
///         .into_par_iter()
///         .map(|n| &*pool.local().alloc_str(&format!("{frame}:{n}")))
///         .collect();
///     assert_eq!(names[999], format!("{frame}:999"));
///     pool.reset();
/// }
/// ```
///
/// An arena stays on its thread:
///
/// ```compile_fail,E0277
/// let pool = blockyard::ArenaPool::new();
/// let arena = pool.local();
/// std::thread::scope(|scope| {
///     scope.spawn(|| arena.alloc(1));
/// });
/// ```
///
/// and what is in it cannot outlive a reset:
///
/// ```compile_fail,E0502
/// let mut pool = blockyard::ArenaPool::new();
/// let number = pool.local().alloc(1);
/// pool.reset();
/// *number += 1;
/// ```
#[doc(alias = "Herd")]
pub struct ArenaPool<A: Allocator + Send = Global, const MIN_ALIGN: usize = 1> {
    /// Differs from that of every other pool, ever, and from its own before the last reset.
    id: u64,
    threads: ThreadLocal<CachePadded<Seat<A, MIN_ALIGN>>>,
    settings: ArenaBuilder<A, MIN_ALIGN>,
}

/// The arenas of the threads that had one number of the `thread_local` crate, one after the other.
///
/// That crate gives a thread's number to the next while destructors of the thread's other thread-locals
/// are still to run, and these may hold a `&'static Arena` of a pool that lives for ever. So a seat
/// remembers whose its arena is, and a thread never gets one that a thread before it may still use.
///
/// (P1) A lane is used by the thread whose [`place`] its owner is, or by nobody. A seat's own fields are
/// used by the thread that has its number, or through `&mut`.
struct Seat<A: Allocator, const MIN_ALIGN: usize> {
    /// The owner of `lane`; [`NOBODY`] at first and after a reset.
    owner: Cell<u64>,
    lane: Cell<Option<NonNull<Lane<A, MIN_ALIGN>>>>,
    /// All of the seat's lanes, from boxes, in a list.
    lanes: Cell<Option<NonNull<Lane<A, MIN_ALIGN>>>>,
}

/// Apart from other threads' lanes in the cache.
#[repr(align(128))]
struct Lane<A: Allocator, const MIN_ALIGN: usize> {
    owner: Cell<u64>,
    next: Option<NonNull<Lane<A, MIN_ALIGN>>>,
    arena: Arena<A, MIN_ALIGN>,
}

/// Differs from every thread's place.
const NOBODY: u64 = 0;

std::thread_local! {
    /// The pool that this thread used last, by number, and this thread's lane in it. (P2) While the number
    /// is the pool's, the lane is this thread's: lanes change hands at a reset, which changes the number,
    /// or when the thread is gone.
    static LAST: Cell<(u64, *const ())> = const { Cell::new((0, ptr::null())) };
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn next_id() -> u64 {
    // ORDER: Relaxed, the number publishes nothing.
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// A number that no other thread has while this one can still run code.
///
/// The address of a thread-local without a destructor: its memory is the thread's own until the thread is
/// gone for good, destructors included, so a thread that has the same address comes after.
#[cfg(target_os = "linux")]
fn place() -> u64 {
    LAST.with(|last| ptr::from_ref(last).addr() as u64)
}

/// A number that no other thread has ever had: elsewhere, thread-locals may be destroyed before the thread
/// has run all of its code.
#[cfg(not(target_os = "linux"))]
fn place() -> u64 {
    std::thread_local!(static HERE: Cell<u64> = const { Cell::new(NOBODY) });
    HERE.with(|here| {
        if here.get() == NOBODY {
            here.set(next_id());
        }
        here.get()
    })
}

// SAFETY: the pointers are to lanes that the seat owns, whose arenas may move between threads where the
// child may; (P1) keeps two threads from using one.
unsafe impl<A: Allocator + Send, const MIN_ALIGN: usize> Send for Seat<A, MIN_ALIGN> {}

impl ArenaPool {
    /// A pool over each thread's block heap.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::ArenaPool::new();
    /// assert_eq!(*pool.local().alloc(7), 7);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::from_builder(Arena::builder())
    }
}

impl Default for ArenaPool {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Allocator + Clone + Send> ArenaPool<A> {
    /// A pool over clones of `child`. See [`ArenaBuilder::build_pool`] for more settings.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::new();
    /// let pool = blockyard::ArenaPool::new_in(&heap);
    /// assert_eq!(*pool.local().alloc(7), 7);
    /// ```
    #[must_use]
    pub fn new_in(child: A) -> Self {
        Self::from_builder(Arena::builder().child(child))
    }
}

impl<A: Allocator + Clone + Send, const MIN_ALIGN: usize> ArenaPool<A, MIN_ALIGN> {
    pub(super) fn from_builder(settings: ArenaBuilder<A, MIN_ALIGN>) -> Self {
        Self { id: next_id(), threads: ThreadLocal::new(), settings }
    }

    /// This thread's arena; it is made when it is first asked for.
    ///
    /// # Cost
    ///
    /// One read of a thread-local and a comparison where the thread used this pool last, two lookups
    /// where it used another: it can be called per item. Where each of many items takes a few nanoseconds,
    /// rayon's `for_each_init` or `map_init` asks once per job.
    ///
    /// # Panics
    ///
    /// When there is no memory for the arena's capacity, if the builder was given one.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::ArenaPool::new();
    /// let made_there = std::thread::scope(|scope| {
    ///     scope.spawn(|| pool.local().alloc_str("lives as long as the pool")).join().unwrap()
    /// });
    /// assert_eq!(made_there, "lives as long as the pool");
    /// ```
    #[inline]
    pub fn local(&self) -> &Arena<A, MIN_ALIGN> {
        let (id, lane) = LAST.get();
        if id != self.id {
            return self.find();
        }
        // SAFETY: (P2) this thread's lane, of this pool's type; lanes live as long as the pool.
        unsafe { &(*lane.cast::<Lane<A, MIN_ALIGN>>()).arena }
    }

    /// `local` for a thread that used another pool last, or none.
    #[inline(never)]
    fn find(&self) -> &Arena<A, MIN_ALIGN> {
        // The closure runs no code of others': the crate would let it make the value twice.
        let seat = self.threads.get_or(|| CachePadded::new(Seat::empty()));
        let lane = match seat.lane.get() {
            Some(lane) if seat.owner.get() == place() => lane,
            _ => self.sit(seat),
        };
        LAST.set((self.id, lane.as_ptr().cast_const().cast()));
        // SAFETY: (P1) this thread's lane; lanes live as long as the pool.
        unsafe { &(*lane.as_ptr()).arena }
    }

    /// Finds or makes a lane for this thread.
    #[cold]
    #[inline(never)]
    fn sit(&self, seat: &Seat<A, MIN_ALIGN>) -> NonNull<Lane<A, MIN_ALIGN>> {
        let here = place();
        // SAFETY: lanes live as long as the pool; of others' lanes only the owner is read, which they
        // do not write.
        let lanes = || core::iter::successors(seat.lanes.get(), |lane| unsafe { (*lane.as_ptr()).next });
        // SAFETY: as above.
        let owned = |by| lanes().find(|lane| unsafe { (*lane.as_ptr()).owner.get() } == by);
        let lane = owned(here).or_else(|| owned(NOBODY)).unwrap_or_else(|| {
            // A child's `clone` may come back to this pool: look at the seat afterwards.
            let arena = self.settings.clone().build();
            let lane = Lane { owner: Cell::new(here), next: seat.lanes.get(), arena };
            let lane = NonNull::from(Box::leak(Box::new(lane)));
            seat.lanes.set(Some(lane));
            lane
        });
        seat.lane.set(Some(lane));
        seat.owner.set(here);
        // SAFETY: (P1) ours, nobody's, or of a thread that is gone for good.
        unsafe { (*lane.as_ptr()).owner.set(here) };
        lane
    }

    /// Resets every thread's arena; each keeps what the builder's [`keep`](ArenaBuilder::keep) says.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut pool = blockyard::ArenaPool::new();
    /// pool.local().alloc([0_u8; 100]);
    /// pool.reset();
    /// assert_eq!(pool.local().stats().used, 0);
    /// ```
    pub fn reset(&mut self) {
        self.id = next_id();
        for seat in &mut self.threads {
            *seat.owner.get_mut() = NOBODY;
            *seat.lane.get_mut() = None;
            seat.for_each(|lane| {
                lane.owner.set(NOBODY);
                lane.arena.reset();
            });
        }
    }

    /// The sum of all threads' arenas. The peak is the sum of their peaks, which they need not have had at
    /// the same time.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut pool = blockyard::ArenaPool::new();
    /// pool.local().alloc([0_u8; 100]);
    /// assert_eq!(pool.stats().used, 100);
    /// ```
    pub fn stats(&mut self) -> ArenaStats {
        let mut sum = ArenaStats::default();
        for seat in &mut self.threads {
            seat.for_each(|lane| {
                let one = lane.arena.stats();
                sum.used += one.used;
                sum.reserved += one.reserved;
                sum.wasted += one.wasted;
                sum.chunks += one.chunks;
                sum.large_blocks += one.large_blocks;
                sum.peak += one.peak;
            });
        }
        sum
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Seat<A, MIN_ALIGN> {
    const fn empty() -> Self {
        Self { owner: Cell::new(NOBODY), lane: Cell::new(None), lanes: Cell::new(None) }
    }

    fn for_each(&mut self, mut f: impl FnMut(&mut Lane<A, MIN_ALIGN>)) {
        let mut next = self.lanes.get();
        while let Some(mut lane) = next {
            // SAFETY: (P1) nothing else borrows the seat, and so no lane.
            let lane = unsafe { lane.as_mut() };
            next = lane.next;
            f(lane);
        }
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Drop for Seat<A, MIN_ALIGN> {
    fn drop(&mut self) {
        while let Some(lane) = self.lanes.get() {
            // SAFETY: (P1) as in `for_each`; the lane came from a box, and leaves the list.
            let lane = unsafe { Box::from_raw(lane.as_ptr()) };
            self.lanes.set(lane.next);
        }
    }
}

impl<A: Allocator + Send, const MIN_ALIGN: usize> fmt::Debug for ArenaPool<A, MIN_ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArenaPool").field("name", &self.settings.name).finish_non_exhaustive()
    }
}
