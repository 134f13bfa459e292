//! How a pool is made.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use super::{BlockPool, Pool, Slots};
use crate::heap::{BuildError, Heap, HeapBuilder};
use crate::source::Source;

/// Settings of a [`Pool`] or a [`BlockPool`] to be made; see [`Pool::builder`] and [`BlockPool::builder`].
///
/// # Examples
///
/// ```
/// use blockyard::Pool;
///
/// let pool = Pool::builder().name("bullets").preheat(256).capacity(256).build()?;
/// let bullet = pool.alloc([0.0_f32; 6]);
/// assert_eq!((pool.live(), pool.capacity()), (1, Some(256)));
/// # Ok::<(), blockyard::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct PoolBuilder<P> {
    heap: HeapBuilder,
    layout: Layout,
    preheat: usize,
    capacity: usize,
    _makes: PhantomData<fn() -> P>,
}

impl<P> fmt::Debug for PoolBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("heap", &self.heap)
            .field("layout", &self.layout)
            .field("preheat", &self.preheat)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl<P> PoolBuilder<P> {
    /// For blocks of `layout`, which has at least one byte.
    pub(super) fn with_layout(layout: Layout) -> Self {
        Self { heap: Heap::builder(), layout, preheat: 0, capacity: usize::MAX, _makes: PhantomData }
    }

    /// Names the pool in errors and in [`stats`](crate::stats()). The default is no name.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.heap = self.heap.name(name);
        self
    }

    /// Bounds how many blocks are taken at once, exactly, whichever threads take and give them; the pool
    /// refuses more. The default is no bound.
    ///
    /// Bounded is the number of blocks, not the memory: each thread that uses the pool has chunks of its own
    /// (64 KiB each, resident where used).
    #[doc(alias = "growable")]
    pub fn capacity(mut self, blocks: usize) -> Self {
        self.capacity = blocks;
        self
    }

    /// Makes memory for this many blocks resident when the pool is built, so that no page fault and no call
    /// to the system falls on the first allocations. The default is 0.
    ///
    /// A pool that is preheated keeps free memory until [`collect`](Pool::collect) is called. The memory is
    /// there for any thread, in chunks of 64 KiB: where many threads share it, each leaves some of its last
    /// chunk unused.
    pub fn preheat(mut self, blocks: usize) -> Self {
        self.preheat = blocks;
        self
    }

    /// Takes memory from `source`. The default is [`System`](crate::source::System).
    pub fn source(mut self, source: impl Source + 'static) -> Self {
        self.heap = self.heap.source(source);
        self
    }

    fn slots(self) -> Result<Slots, BuildError> {
        let heap = if self.preheat == 0 { self.heap } else { self.heap.purge_delay(Duration::MAX) };
        let slots = Slots::new(heap.build()?, self.capacity);
        if self.preheat != 0 && !slots.preheat(self.layout, self.preheat) {
            return Err(BuildError::OutOfMemory);
        }
        Ok(slots)
    }
}

impl<T> PoolBuilder<Pool<T>> {
    /// Makes the pool.
    ///
    /// # Errors
    ///
    /// [`BuildError::OutOfMemory`] when there is no memory for the pool's record (some 700 bytes) or for what
    /// is to be [preheated](Self::preheat).
    pub fn build(self) -> Result<Pool<T>, BuildError> {
        self.slots().map(Pool::from_slots)
    }
}

impl PoolBuilder<BlockPool> {
    /// Makes the pool.
    ///
    /// # Errors
    ///
    /// [`BuildError::OutOfMemory`] when there is no memory for the pool's record (some 700 bytes) or for what
    /// is to be [preheated](Self::preheat).
    pub fn build(self) -> Result<BlockPool, BuildError> {
        let layout = self.layout;
        self.slots().map(|slots| BlockPool::from_slots(slots, layout))
    }
}
