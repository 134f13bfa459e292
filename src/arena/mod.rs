//! Arenas: bump space with bulk free.
//!
//! # The life of one allocation
//!
//! `alloc` asks [`Bump::take`] for a place below the finger in the current chunk: a subtraction, a
//! comparison, an `and`, a store. Where it does not fit, `place_slow` takes the next chunk (a kept one,
//! or one from the child), and asks again; a request for more than a quarter of the next chunk becomes
//! a *large block*, a chunk of its own that leaves the current chunk alone. `reset` moves the
//! finger up again; where there is more than one chunk, all go to the list of kept ones, and `restart`
//! makes one of them.
//!
//! # Invariants
//!
//! | | what | what breaks | what enforces it |
//! |---|---|---|---|
//! | A1 | the bytes between start and finger are nobody's, and in one chunk | two users of one byte | only `Bump` moves the finger, by whole blocks |
//! | A2 | a chunk is in one list of one arena, and alive | use after free | chunks go back in `Drop`, in `reset(&mut self)`, or from the lists of kept ones |
//! | A3 | no reference to anything in an arena is alive when its finger moves up past it | a dangling reference | `reset` and `scope` take `&mut self`; `give` is given the block up |
//! | A4 | nothing of the arena is borrowed while other code runs: values' constructors, iterators, the child | a re-entrant call sees a half-made state | cells hold copies; the lists are whole whenever the child is called |

mod allocator;
mod boxed;
mod builder;
mod bump;
mod chunk;
mod copy;
mod error;
mod keep;
mod large;
mod listing;
mod place;
mod pool;
mod refusal;
mod reset;
mod scope;
mod scope_values;
mod slow;
mod stats;
mod values;

use core::cell::Cell;
use core::fmt;
use core::ptr::NonNull;
use std::sync::Arc;

pub(crate) use self::allocator::{Blocks, implement_allocator};
pub(crate) use self::bump::Bump;
use self::chunk::ChunkList;
pub(crate) use self::error::expect;
use self::listing::Listing;
pub(crate) use self::listing::named_arenas;
pub use self::{
    boxed::ArenaBox, builder::ArenaBuilder, error::ArenaError, keep::Keep, pool::ArenaPool, scope::Scope,
    stats::ArenaStats,
};
use crate::Global;
use crate::allocator_api2::alloc::Allocator;

/// Memory that is given out by moving a pointer and taken back all at once.
///
/// Values are not dropped: [`alloc`](Self::alloc) is for what needs no `Drop`, and
/// [`alloc_box`](Self::alloc_box) makes a box that drops its value. `&Arena` is an
/// [`Allocator`](crate::allocator_api2::alloc::Allocator), so containers can live in an arena; the block
/// allocated last grows, shrinks and is freed in place.
///
/// Memory comes in chunks from the child allocator `A`, by default [`Global`]: from this thread's block
/// heap, where the chunks of the arena before are still warm. Chunks double from 4 KiB to 1 MiB. A
/// request for more than a quarter of the next chunk goes straight to the child and is freed with the
/// arena. Every block is aligned to `MIN_ALIGN` at least, a power of two up to 64.
///
/// An arena is `Send` and not `Sync`: for many threads there is [`ArenaPool`].
///
/// # Cost
///
/// An allocation that fits into the current chunk is some eight instructions. An arena that is empty has
/// no memory; it is some 170 bytes itself.
///
/// # Examples
///
/// ```
/// use blockyard::{Arena, allocator_api2::vec::Vec};
///
/// let mut arena = Arena::new();
/// for frame in 0..3 {
///     let name = arena.alloc_str("hull");
///     let mut visible = Vec::new_in(&arena);
///     visible.extend((0..100).filter(|n| n % (frame + 2) == 0));
///     assert!(!name.is_empty() && !visible.is_empty());
///     drop(visible);
///     arena.reset();
/// }
/// ```
///
/// What is in an arena cannot outlive it, or a reset:
///
/// ```compile_fail,E0502
/// let mut arena = blockyard::Arena::new();
/// let number = arena.alloc(1);
/// arena.reset();
/// *number += 1;
/// ```
#[repr(C)]
pub struct Arena<A: Allocator = Global, const MIN_ALIGN: usize = 1> {
    /// In the newest of `chunks`; empty where there is none.
    bump: Bump<MIN_ALIGN>,
    /// In use, newest first.
    chunks: ChunkList,
    /// Kept, largest first.
    spares: ChunkList,
    /// Blocks of their own, in use, newest first.
    larges: ChunkList,
    /// The same, kept, largest first.
    spare_larges: ChunkList,
    /// Bytes of all four lists' chunks.
    reserved: Cell<usize>,
    /// Bytes given out in all of `chunks` but the newest, and in `larges`.
    used_before: Cell<usize>,
    /// Bytes left in all of `chunks` but the newest.
    wasted: Cell<usize>,
    /// The address of the finger at its lowest in the current chunk, since it was there or `used_before`
    /// changed; where that is below where it is.
    low: Cell<usize>,
    /// The most that was in use at once since the last reset, where it is more than what `low` says.
    round_peak: Cell<usize>,
    /// The same, ever.
    peak: usize,
    /// For [`Keep::RecentPeak`].
    recent_peak: usize,
    limit: usize,
    keep: Keep,
    /// Of an arena with a name.
    listing: Option<Arc<Listing>>,
    child: A,
}

// SAFETY: the cells' pointers are to chunks that the arena owns, whose blocks nobody uses when an arena
// that is not borrowed is moved; the child moves along, and may be used on the new thread.
unsafe impl<A: Allocator + Send, const MIN_ALIGN: usize> Send for Arena<A, MIN_ALIGN> {}

impl Arena {
    /// An arena over this thread's block heap, without name or limit. It takes no memory before it is
    /// used.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// assert_eq!(arena.stats().reserved, 0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(Global)
    }

    /// An arena with room for `bytes` bytes in its first chunk.
    ///
    /// # Panics
    ///
    /// When there is no memory; [`try_with_capacity`](Self::try_with_capacity) is the fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::with_capacity(100_000);
    /// arena.alloc_slice_copy(&[1_u8; 100_000]);
    /// assert_eq!(arena.stats().chunks, 1);
    /// ```
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        expect(Self::try_with_capacity(bytes))
    }

    /// An arena with room for `bytes` bytes in its first chunk.
    ///
    /// # Errors
    ///
    /// When there is no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(blockyard::Arena::try_with_capacity(usize::MAX).is_err());
    /// ```
    pub fn try_with_capacity(bytes: usize) -> Result<Self, ArenaError> {
        Self::builder().capacity(bytes).try_build()
    }

    /// Name, limit, child, alignment and what a reset keeps, of an arena to be made.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::builder().name("parser").limit(1 << 20).build();
    /// ```
    pub const fn builder() -> ArenaBuilder {
        ArenaBuilder::new()
    }
}

impl<A: Allocator> Arena<A> {
    /// An arena over `child`.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::new();
    /// let arena = blockyard::Arena::new_in(heap.local());
    /// assert_eq!(*arena.alloc(7), 7);
    /// assert_eq!(heap.stats().blocks.live(), 1); // the first chunk
    /// ```
    #[must_use]
    pub const fn new_in(child: A) -> Self {
        Self::from_settings_in(usize::MAX, Keep::All, None, child)
    }

    /// An arena over `child` with room for `bytes` bytes in its first chunk.
    ///
    /// # Panics
    ///
    /// When the child has no memory; [`try_with_capacity_in`](Self::try_with_capacity_in) is the
    /// fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::new();
    /// let arena = blockyard::Arena::with_capacity_in(1000, &heap);
    /// assert!(arena.stats().reserved >= 1000);
    /// ```
    #[must_use]
    pub fn with_capacity_in(bytes: usize, child: A) -> Self {
        expect(Self::try_with_capacity_in(bytes, child))
    }

    /// An arena over `child` with room for `bytes` bytes in its first chunk.
    ///
    /// # Errors
    ///
    /// When the child has no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::builder().limit(1 << 20).build()?;
    /// assert!(blockyard::Arena::try_with_capacity_in(2 << 20, &heap).is_err());
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn try_with_capacity_in(bytes: usize, child: A) -> Result<Self, ArenaError> {
        Arena::builder().capacity(bytes).child(child).try_build()
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// Divides the base and the end of every chunk.
    const GRANULE: usize = {
        assert!(MIN_ALIGN.is_power_of_two() && MIN_ALIGN <= 64, "MIN_ALIGN is a power of two up to 64");
        if MIN_ALIGN > 16 { MIN_ALIGN } else { 16 }
    };

    #[inline]
    fn from_settings(settings: ArenaBuilder<A, MIN_ALIGN>) -> Self {
        let ArenaBuilder { name, limit, keep, child, .. } = settings;
        Self::from_settings_in(limit, keep, name.map(|name| Listing::new(name, limit)), child)
    }

    #[inline]
    const fn from_settings_in(limit: usize, keep: Keep, listing: Option<Arc<Listing>>, child: A) -> Self {
        const { assert!(Self::GRANULE >= 16) };
        Self {
            bump: Bump::empty(),
            chunks: ChunkList::new(),
            spares: ChunkList::new(),
            larges: ChunkList::new(),
            spare_larges: ChunkList::new(),
            reserved: Cell::new(0),
            used_before: Cell::new(0),
            wasted: Cell::new(0),
            low: Cell::new(usize::MAX),
            round_peak: Cell::new(0),
            peak: 0,
            recent_peak: 0,
            limit,
            keep,
            listing,
            child,
        }
    }

    /// The name given to the builder.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::Arena::new().name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.listing.as_deref().map(|listing| &*listing.name)
    }

    fn shared_name(&self) -> Option<Arc<str>> {
        self.listing.as_deref().map(|listing| listing.name.clone())
    }

    /// The most that the arena takes from its child, in bytes, if there is a bound.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::Arena::new().limit(), None);
    /// ```
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        (self.limit != usize::MAX).then_some(self.limit)
    }

    /// The child allocator.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(*blockyard::Arena::new().child(), blockyard::Global);
    /// ```
    #[must_use]
    pub fn child(&self) -> &A {
        &self.child
    }

    /// What the arena holds now. Takes time in the number of chunks.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// arena.alloc([0_u64; 8]);
    /// assert_eq!(arena.stats().used, 64);
    /// assert_eq!(arena.stats().reserved, 4096);
    /// ```
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        ArenaStats {
            used: self.used(),
            reserved: self.reserved.get(),
            wasted: self.wasted.get(),
            chunks: self.chunks.iter().count() + self.spares.iter().count(),
            large_blocks: self.larges.iter().count() + self.spare_larges.iter().count(),
            peak: self.peak.max(self.round_peak()),
        }
    }

    /// Bytes given out.
    #[inline]
    fn used(&self) -> usize {
        self.used_before.get() + self.used_in_current()
    }

    #[inline]
    fn used_in_current(&self) -> usize {
        self.chunks.head().map_or(0, |chunk| chunk.end().addr().get() - self.bump.finger().addr().get())
    }

    /// The most that was in use at once since the last reset.
    #[inline]
    fn round_peak(&self) -> usize {
        let lowest = self.low.get().min(self.bump.finger().addr().get());
        let current = self.chunks.head().map_or(0, |chunk| chunk.end().addr().get() - lowest);
        self.round_peak.get().max(self.used_before.get() + current)
    }

    /// To be called before the finger moves up.
    #[inline(always)]
    fn note_low(&self) {
        self.low.set(self.low.get().min(self.bump.finger().addr().get()));
    }

    /// To be called before `used_before` changes, or the current chunk.
    fn note_peak(&self) {
        self.round_peak.set(self.round_peak());
        self.low.set(usize::MAX);
    }

    /// (A1) for a chunk that nothing is in.
    fn bump_from(&self, chunk: chunk::Chunk) {
        // SAFETY: (A2) the chunk is alive, and nobody uses any of it; its end is a multiple of the granule.
        unsafe { self.bump.set(chunk.base(), chunk.end()) };
        chunk.hide();
    }

    /// `drop` of an arena that has more than chunks in use.
    #[cold]
    #[inline(never)]
    fn release_others(&mut self) {
        for list in [&self.larges, &self.spares, &self.spare_larges] {
            while let Some(chunk) = list.pop() {
                // SAFETY: (A2) in no list any more; (A3) nothing borrows the arena.
                unsafe { self.release(chunk) };
            }
        }
    }

    /// A place that nothing is in, for no bytes.
    fn nowhere(align: usize) -> NonNull<u8> {
        // An alignment is not 0.
        NonNull::without_provenance(core::num::NonZero::new(align.max(MIN_ALIGN)).expect("not 0"))
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> fmt::Debug for Arena<A, MIN_ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("name", &self.name())
            .field("limit", &self.limit())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Drop for Arena<A, MIN_ALIGN> {
    #[inline]
    fn drop(&mut self) {
        while let Some(chunk) = self.chunks.pop() {
            // SAFETY: (A2) in no list any more; (A3) nothing borrows the arena.
            unsafe { self.release(chunk) };
        }
        if !(self.larges.is_empty() & self.spares.is_empty() & self.spare_larges.is_empty()) {
            self.release_others();
        }
    }
}
