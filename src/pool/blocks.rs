//! Pools of blocks whose size is known at run time only.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use super::slots::Slots;
use super::{PoolBuilder, PoolError};
use crate::heap::LocalHeap;
use crate::stats::HeapStats;

/// A pool of blocks of one layout, given at run time: for columns, components and other data without a type.
///
/// The untyped twin of [`Pool`](super::Pool): the heap behind it is its own, any thread takes blocks and
/// gives them back, and dropping the pool releases all of them at once.
///
/// # Examples
///
/// ```
/// use std::alloc::Layout;
/// use blockyard::BlockPool;
///
/// let pool = BlockPool::new(Layout::new::<[f32; 4]>());
/// let zeroes = pool.alloc_zeroed()?;
/// let copy = pool.duplicate(&1.5_f32.to_ne_bytes())?;
/// // SAFETY: both blocks are this pool's, initialised as far as they are read, and given back once.
/// unsafe {
///     assert_eq!(zeroes.cast::<[f32; 4]>().read(), [0.0; 4]);
///     assert_eq!(copy.cast::<f32>().read(), 1.5);
///     pool.free(zeroes);
///     pool.free(copy);
/// }
/// assert_eq!(pool.live(), 0);
/// # Ok::<(), blockyard::PoolError>(())
/// ```
pub struct BlockPool {
    slots: Slots,
    /// At least one byte.
    layout: Layout,
}

impl fmt::Debug for BlockPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slots.debug(f, "BlockPool")
    }
}

/// A block starts with `bytes`.
///
/// # Panics
/// When there are more than the layout has.
fn copied(
    layout: Layout,
    bytes: &[u8],
    alloc: impl FnOnce() -> Result<NonNull<u8>, PoolError>,
) -> Result<NonNull<u8>, PoolError> {
    let (len, size) = (bytes.len(), layout.size());
    assert!(len <= size, "{len} bytes to duplicate do not fit into a block of {size}");
    let block = alloc()?;
    // SAFETY: the block is new, nobody else's, and at least as long.
    unsafe { block.copy_from_nonoverlapping(NonNull::from(bytes).cast(), len) };
    Ok(block)
}

impl BlockPool {
    /// A pool of blocks for `layout`, without name or capacity. A layout of no bytes stands for one byte.
    ///
    /// # Panics
    ///
    /// When there is no memory for the pool's record; `BlockPool::builder(layout).build()` is the fallible
    /// twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<u64>());
    /// assert_eq!(pool.live(), 0);
    /// ```
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        match Self::builder(layout).build() {
            Ok(pool) => pool,
            Err(error) => panic!("blockyard::BlockPool::new: {error}"),
        }
    }

    /// Name, capacity, preheating and source of a pool to be made.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::alloc::Layout;
    /// use blockyard::BlockPool;
    ///
    /// let layout = Layout::from_size_align(48, 16).unwrap();
    /// let pool = BlockPool::builder(layout).name("transforms").capacity(64).build()?;
    /// assert_eq!(pool.layout(), layout);
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn builder(layout: Layout) -> PoolBuilder<Self> {
        let at_least_one = Layout::from_size_align(layout.size().max(1), layout.align());
        PoolBuilder::with_layout(at_least_one.unwrap_or(layout))
    }

    pub(super) fn from_slots(slots: Slots, layout: Layout) -> Self {
        Self { slots, layout }
    }

    /// A block, its bytes uninitialised. It stays until it is [freed](Self::free) or the pool is dropped.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<u64>());
    /// let block = pool.alloc()?;
    /// // SAFETY: this pool's block, given back once.
    /// unsafe { pool.free(block) };
    /// # Ok::<(), blockyard::PoolError>(())
    /// ```
    #[doc(alias = "balloc")]
    #[inline]
    pub fn alloc(&self) -> Result<NonNull<u8>, PoolError> {
        self.slots.take(|heap| heap.alloc(self.layout))
    }

    /// A block whose bytes are zero. Memory fresh from the system is not cleared again where the block has 1
    /// KiB or more.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<u64>());
    /// // SAFETY: a live block of eight bytes.
    /// assert_eq!(unsafe { pool.alloc_zeroed()?.cast::<u64>().read() }, 0);
    /// # Ok::<(), blockyard::PoolError>(())
    /// ```
    #[doc(alias = "bcalloc")]
    #[inline]
    pub fn alloc_zeroed(&self) -> Result<NonNull<u8>, PoolError> {
        self.slots.take(|heap| heap.alloc_zero(self.layout))
    }

    /// A block that starts with `bytes`; what is left of it is uninitialised.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    ///
    /// # Panics
    ///
    /// When `bytes` are more than the layout has.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<[u8; 4]>());
    /// // SAFETY: a live block, initialised by the copy.
    /// assert_eq!(unsafe { pool.duplicate(b"yard")?.cast::<[u8; 4]>().read() }, *b"yard");
    /// # Ok::<(), blockyard::PoolError>(())
    /// ```
    #[doc(alias = "bdup")]
    pub fn duplicate(&self, bytes: &[u8]) -> Result<NonNull<u8>, PoolError> {
        copied(self.layout, bytes, || self.alloc())
    }

    /// Gives a block back, on any thread.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this pool and is not used afterwards.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<u64>());
    /// let block = pool.alloc()?;
    /// // SAFETY: this pool's block, given back once.
    /// unsafe { pool.free(block) };
    /// assert_eq!(pool.live(), 0);
    /// # Ok::<(), blockyard::PoolError>(())
    /// ```
    #[doc(alias = "bfree")]
    #[inline]
    pub unsafe fn free(&self, block: NonNull<u8>) {
        // SAFETY: (I1) passed on; every block of the pool has its layout.
        self.slots.give(|heap| unsafe { heap.dealloc(block.as_ptr(), self.layout) });
    }

    /// This thread's handle, which looks no thread up, or `None` when there is no memory for the thread's
    /// part of the pool. See [`Heap::local`](crate::Heap::local).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<u64>());
    /// let local = pool.try_local().expect("there is memory");
    /// let block = local.alloc()?;
    /// // SAFETY: the pool's block, given back once.
    /// unsafe { local.free(block) };
    /// # Ok::<(), blockyard::PoolError>(())
    /// ```
    #[must_use]
    pub fn try_local(&self) -> Option<LocalBlockPool<'_>> {
        Some(LocalBlockPool { pool: self, heap: self.slots.heap().try_local()? })
    }

    /// This thread's handle, which looks no thread up.
    ///
    /// # Panics
    ///
    /// When there is no memory for the thread's part of the pool; [`try_local`](Self::try_local) is the
    /// fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<u64>());
    /// pool.local().alloc()?;
    /// # Ok::<(), blockyard::PoolError>(())
    /// ```
    #[must_use]
    pub fn local(&self) -> LocalBlockPool<'_> {
        LocalBlockPool { pool: self, heap: self.slots.heap().local() }
    }

    /// What the blocks are for: at least one byte.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// The name given to the builder.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.slots.heap().name()
    }

    /// The most blocks there can be at once, if there is a bound.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.slots.capacity()
    }

    /// How many blocks are taken. See [`Pool::live`](super::Pool::live).
    #[must_use]
    pub fn live(&self) -> usize {
        self.slots.live()
    }

    /// One reading of the heap behind the pool: its row in [`stats`](crate::stats()).
    #[must_use]
    pub fn stats(&self) -> HeapStats {
        self.slots.heap().stats()
    }

    /// Gives memory that no block is in back to the system; returns how many bytes. See
    /// [`Heap::collect`](crate::Heap::collect).
    pub fn collect(&self) -> usize {
        self.slots.heap().collect()
    }
}

/// One thread's handle to a [`BlockPool`]. See [`BlockPool::local`].
///
/// # Examples
///
/// ```
/// let pool = blockyard::BlockPool::new(std::alloc::Layout::new::<u64>());
/// let local = pool.local();
/// let block = local.duplicate(&7_u64.to_ne_bytes())?;
/// // SAFETY: the pool's block, initialised by the copy and given back once.
/// unsafe {
///     assert_eq!(block.cast::<u64>().read(), 7);
///     local.free(block);
/// }
/// # Ok::<(), blockyard::PoolError>(())
/// ```
#[derive(Clone)]
pub struct LocalBlockPool<'p> {
    pool: &'p BlockPool,
    heap: LocalHeap<'p>,
}

impl fmt::Debug for LocalBlockPool<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.slots.debug(f, "LocalBlockPool")
    }
}

impl LocalBlockPool<'_> {
    /// A block, its bytes uninitialised.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    #[inline]
    pub fn alloc(&self) -> Result<NonNull<u8>, PoolError> {
        self.pool.slots.take(|_| self.heap.alloc(self.pool.layout))
    }

    /// A block whose bytes are zero.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    #[inline]
    pub fn alloc_zeroed(&self) -> Result<NonNull<u8>, PoolError> {
        self.pool.slots.take(|_| self.heap.alloc_zero(self.pool.layout))
    }

    /// A block that starts with `bytes`; what is left of it is uninitialised.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    ///
    /// # Panics
    ///
    /// When `bytes` are more than the layout has.
    pub fn duplicate(&self, bytes: &[u8]) -> Result<NonNull<u8>, PoolError> {
        copied(self.pool.layout, bytes, || self.alloc())
    }

    /// Gives a block back, of whichever thread.
    ///
    /// # Safety
    ///
    /// `block` is a live block of the pool and is not used afterwards.
    #[inline]
    pub unsafe fn free(&self, block: NonNull<u8>) {
        // SAFETY: (I1) passed on; every block of the pool has its layout.
        self.pool.slots.give(|_| unsafe { self.heap.dealloc(block.as_ptr(), self.pool.layout) });
    }
}
