//! How an arena is made.

use std::sync::Arc;

use super::{Arena, ArenaError, ArenaPool, Keep};
use crate::Global;
use crate::allocator_api2::alloc::Allocator;

/// Settings of an [`Arena`] to be made, or of the arenas of an [`ArenaPool`]; see [`Arena::builder`].
///
/// # Examples
///
/// ```
/// use blockyard::{Arena, Heap, Keep};
///
/// let heap = Heap::new();
/// let arena = Arena::builder()
///     .name("frame")
///     .limit(8 << 20)
///     .keep(Keep::RecentPeak)
///     .min_align::<16>()
///     .child(&heap)
///     .build();
/// assert_eq!(arena.name(), Some("frame"));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ArenaBuilder<A = Global, const MIN_ALIGN: usize = 1> {
    pub(super) name: Option<Arc<str>>,
    pub(super) limit: usize,
    pub(super) keep: Keep,
    capacity: usize,
    pub(super) child: A,
}

impl ArenaBuilder {
    pub(super) const fn new() -> Self {
        Self { name: None, limit: usize::MAX, keep: Keep::All, capacity: 0, child: Global }
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> ArenaBuilder<A, MIN_ALIGN> {
    /// Names the arena in errors and in [`stats`](crate::stats()), where every arena with a name has a row. To
    /// make or drop one takes a lock. The default is no name.
    #[inline]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Bounds what the arena takes from its child, in bytes: chunks (at least 4 KiB, unless less is left)
    /// and large blocks, each with a footer of 64 bytes. The default is no bound.
    #[inline]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// What [`Arena::reset`] keeps. The default is [`Keep::All`].
    #[inline]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Takes memory for this many bytes at once when the arena is made. The default is 0: the arena takes
    /// its first chunk when it is first used.
    #[inline]
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }

    /// The alignment that every block has at least: a power of two up to 64, which is checked when the
    /// program is compiled. The default is 1.
    ///
    /// With 8 or 16, blocks of that alignment take one instruction less; smaller ones are rounded up.
    #[inline]
    pub fn min_align<const TO: usize>(self) -> ArenaBuilder<A, TO> {
        let Self { name, limit, keep, capacity, child } = self;
        ArenaBuilder { name, limit, keep, capacity, child }
    }

    /// Takes chunks from `child`. The default is [`Global`]: this thread's block heap.
    #[inline]
    pub fn child<B: Allocator>(self, child: B) -> ArenaBuilder<B, MIN_ALIGN> {
        let Self { name, limit, keep, capacity, .. } = self;
        ArenaBuilder { name, limit, keep, capacity, child }
    }

    /// Makes the arena.
    ///
    /// # Panics
    ///
    /// When the child has no memory for [`capacity`](Self::capacity), or the limit is below it.
    #[inline]
    pub fn build(self) -> Arena<A, MIN_ALIGN> {
        super::error::expect(self.try_build())
    }

    /// Makes the arena.
    ///
    /// # Errors
    ///
    /// When the child has no memory for [`capacity`](Self::capacity), or the limit is below it. Without a
    /// capacity this cannot fail.
    #[inline]
    pub fn try_build(self) -> Result<Arena<A, MIN_ALIGN>, ArenaError> {
        let capacity = self.capacity;
        let arena = Arena::from_settings(self);
        if capacity != 0 {
            arena.reserve(capacity)?;
        }
        Ok(arena)
    }

    /// Makes a pool whose arenas, one per thread, have these settings: the limit and the capacity are
    /// each arena's own.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Arena::builder().limit(1 << 20).build_pool();
    /// assert_eq!(pool.local().limit(), Some(1 << 20));
    /// ```
    pub fn build_pool(self) -> ArenaPool<A, MIN_ALIGN>
    where
        A: Clone + Send,
    {
        ArenaPool::from_builder(self)
    }
}
