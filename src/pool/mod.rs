//! Pools: blocks of one size from a heap of their own.
//!
//! [`Slots`] is the heap and the count of what is out, [`Pool`] and [`PoolBox`] are that for values of one
//! type, [`BlockPool`] for blocks whose size is known at run time only. `LocalPool` and `LocalBlockPool` are
//! one thread's handles.

mod blocks;
mod boxed;
mod builder;
mod error;
mod local;
mod slots;

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

pub use self::blocks::{BlockPool, LocalBlockPool};
pub use self::boxed::PoolBox;
pub use self::builder::PoolBuilder;
pub use self::error::{PoolError, PoolRefused};
pub use self::local::LocalPool;
use self::slots::Slots;
use crate::stats::HeapStats;

/// The block of a value: it has at least one byte, so that values of no bytes have addresses of their own and
/// are counted.
const fn layout_of<T>() -> Layout {
    let size = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
    match Layout::from_size_align(size, align_of::<T>()) {
        Ok(layout) => layout,
        Err(_) => panic!("a type's alignment is a valid one for a byte"),
    }
}

/// A pool of values of one type: each thread takes blocks from chunks of its own, and any thread gives them
/// back.
///
/// The blocks come from a [`Heap`](crate::Heap) that is the pool's alone, so values of other types never
/// share its memory, the pool has a row in [`stats`](crate::stats()), and dropping the pool releases its
/// memory at once. [`alloc`](Self::alloc) gives a [`PoolBox`] that owns its value and gives the block back.
///
/// # Cost
///
/// The size class is known when the program is compiled: [`alloc`](Self::alloc) and the box's drop are some
/// ten instructions each and a thread-local read; [`local`](Self::local) saves the read of `alloc`. With a
/// [capacity](PoolBuilder::capacity) both change a count that all threads share, two atomic operations for
/// each value. A block is as large as its size class: up to 12.5 % more than the value above 128 bytes, the
/// next multiple of 8 below; a value of no bytes takes 8.
///
/// # Examples
///
/// ```
/// use blockyard::{Pool, PoolBox};
///
/// struct Particle {
///     position: [f32; 3],
/// }
///
/// let particles = Pool::new();
/// let mut sparks: Vec<PoolBox<'_, Particle>> =
///     (0..100).map(|n| particles.alloc(Particle { position: [n as f32, 0.0, 0.0] })).collect();
/// std::thread::scope(|scope| {
///     let burnt_out = sparks.split_off(50);
///     scope.spawn(move || drop(burnt_out)); // taken here, given back there
/// });
/// assert_eq!(particles.live(), 50);
/// assert_eq!(sparks[7].position[0], 7.0);
/// ```
///
/// A pool cannot go while a value of it lives:
///
/// ```compile_fail,E0505
/// let pool = blockyard::Pool::new();
/// let number = pool.alloc(7);
/// drop(pool);
/// println!("{number}");
/// ```
#[doc(alias = "MemoryPool")]
pub struct Pool<T> {
    slots: Slots,
    /// The pool makes values and has none.
    _makes: PhantomData<fn() -> T>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slots.debug(f, "Pool")
    }
}

impl<T> Pool<T> {
    /// A pool without name or capacity, which asks the system for memory when it is first used.
    ///
    /// # Panics
    ///
    /// When there is no memory for the pool's record; `Pool::builder().build()` is the fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::new();
    /// assert_eq!(*pool.alloc(7), 7);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        match Self::builder().build() {
            Ok(pool) => pool,
            Err(error) => panic!("blockyard::Pool::new: {error}"),
        }
    }

    /// Name, capacity, preheating and source of a pool to be made.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::Pool;
    ///
    /// let pool = Pool::<[f32; 4]>::builder().name("vectors").capacity(1000).preheat(1000).build()?;
    /// assert_eq!(pool.capacity(), Some(1000));
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn builder() -> PoolBuilder<Self> {
        PoolBuilder::with_layout(layout_of::<T>())
    }

    fn from_slots(slots: Slots) -> Self {
        Self { slots, _makes: PhantomData }
    }

    /// Moves `value` into a block of the pool.
    ///
    /// # Panics
    ///
    /// When the pool is full or out of memory; [`try_alloc`](Self::try_alloc) is the fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::new();
    /// let mut name = pool.alloc(String::from("block"));
    /// name.push_str("yard");
    /// assert_eq!(*name, "blockyard");
    /// ```
    #[inline]
    #[must_use = "the value is dropped where the box is not kept"]
    pub fn alloc(&self, value: T) -> PoolBox<'_, T> {
        PoolBox::write(self.alloc_uninit(), value)
    }

    /// Moves `value` into a block of the pool.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory; the error has the value.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::builder().capacity(1).build()?;
    /// let first = pool.try_alloc(1).expect("there is room for one");
    /// let refused = pool.try_alloc(2).unwrap_err();
    /// assert_eq!(refused.error().capacity(), Some(1));
    /// assert_eq!(refused.into_value(), 2);
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<PoolBox<'_, T>, PoolRefused<T>> {
        match self.try_alloc_uninit() {
            Ok(place) => Ok(PoolBox::write(place, value)),
            Err(error) => Err(PoolRefused::new(value, error)),
        }
    }

    /// Calls `make` for a value and puts it into a block that was taken before. If `make` panics the block is
    /// given back.
    ///
    /// # Panics
    ///
    /// When the pool is full or out of memory, and where `make` does.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::new();
    /// assert_eq!(pool.alloc_with(|| [7; 4096])[4095], 7);
    /// ```
    #[inline]
    #[must_use = "the value is dropped where the box is not kept"]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> PoolBox<'_, T> {
        let place = self.alloc_uninit();
        PoolBox::write(place, make())
    }

    /// A block for a value to be written later.
    ///
    /// # Panics
    ///
    /// When the pool is full or out of memory; [`try_alloc_uninit`](Self::try_alloc_uninit) is the fallible
    /// twin.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Pool, PoolBox};
    ///
    /// let pool = Pool::new();
    /// assert_eq!(*PoolBox::write(pool.alloc_uninit(), 7), 7);
    /// ```
    #[inline]
    #[must_use = "the block is given back where the box is not kept"]
    pub fn alloc_uninit(&self) -> PoolBox<'_, MaybeUninit<T>> {
        error::expect(self.try_alloc_uninit())
    }

    /// A block for a value to be written later.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::<u64>::builder().capacity(1).build()?;
    /// let place = pool.try_alloc_uninit().expect("there is room for one");
    /// assert!(pool.try_alloc_uninit().is_err());
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    #[inline]
    pub fn try_alloc_uninit(&self) -> Result<PoolBox<'_, MaybeUninit<T>>, PoolError> {
        let block = self.slots.take(|heap| heap.alloc(const { layout_of::<T>() }))?;
        // SAFETY: just taken for a value of this type.
        Ok(unsafe { PoolBox::new(block.cast(), &self.slots) })
    }

    /// A block whose bytes are zero, for types of which that is a value: what
    /// [`assume_init`](PoolBox::assume_init) asks for is that it is one. Memory fresh from the system is not
    /// cleared again where the value has 1 KiB or more.
    ///
    /// # Panics
    ///
    /// When the pool is full or out of memory; [`try_alloc_zeroed`](Self::try_alloc_zeroed) is the fallible
    /// twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::<[u32; 1000]>::new();
    /// // SAFETY: zeroes are a `[u32; 1000]`.
    /// let numbers = unsafe { pool.alloc_zeroed().assume_init() };
    /// assert_eq!(numbers[999], 0);
    /// ```
    #[must_use = "the block is given back where the box is not kept"]
    pub fn alloc_zeroed(&self) -> PoolBox<'_, MaybeUninit<T>> {
        error::expect(self.try_alloc_zeroed())
    }

    /// A block whose bytes are zero; see [`alloc_zeroed`](Self::alloc_zeroed).
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::<u64>::new();
    /// // SAFETY: zeroes are a `u64`.
    /// assert_eq!(unsafe { *pool.try_alloc_zeroed()?.assume_init() }, 0);
    /// # Ok::<(), blockyard::PoolError>(())
    /// ```
    pub fn try_alloc_zeroed(&self) -> Result<PoolBox<'_, MaybeUninit<T>>, PoolError> {
        let block = self.slots.take(|heap| heap.alloc_zero(layout_of::<T>()))?;
        // SAFETY: just taken for a value of this type.
        Ok(unsafe { PoolBox::new(block.cast(), &self.slots) })
    }

    /// A clone of `value` in a block of the pool. If the clone panics the block is given back.
    ///
    /// # Panics
    ///
    /// When the pool is full or out of memory, and where `T::clone` does.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::new();
    /// let name = String::from("blockyard");
    /// assert_eq!(*pool.duplicate(&name), name);
    /// ```
    #[doc(alias = "bdup")]
    #[must_use = "the value is dropped where the box is not kept"]
    pub fn duplicate(&self, value: &T) -> PoolBox<'_, T>
    where
        T: Clone,
    {
        error::expect(self.try_duplicate(value))
    }

    /// A clone of `value` in a block of the pool, which is taken before the clone is made.
    ///
    /// # Errors
    ///
    /// When the pool is full or out of memory.
    ///
    /// # Panics
    ///
    /// Where `T::clone` does.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::builder().capacity(1).build()?;
    /// let first = pool.try_duplicate(&7).expect("there is room for one");
    /// assert!(pool.try_duplicate(&first).is_err());
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn try_duplicate(&self, value: &T) -> Result<PoolBox<'_, T>, PoolError>
    where
        T: Clone,
    {
        let place = self.try_alloc_uninit()?;
        Ok(PoolBox::write(place, value.clone()))
    }

    /// This thread's handle, whose `alloc` looks no thread up. See [`Heap::local`](crate::Heap::local).
    ///
    /// # Panics
    ///
    /// When there is no memory for the thread's part of the pool; [`try_local`](Self::try_local) is the
    /// fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::new();
    /// let local = pool.local();
    /// let number = local.alloc(7);
    /// drop(local);
    /// assert_eq!(*number, 7); // of the pool, like any other
    /// ```
    #[must_use]
    pub fn local(&self) -> LocalPool<'_, T> {
        LocalPool::new(&self.slots, self.slots.heap().local())
    }

    /// This thread's handle, or `None` when there is no memory for the thread's part of the pool.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(blockyard::Pool::<u8>::new().try_local().is_some());
    /// ```
    #[must_use]
    pub fn try_local(&self) -> Option<LocalPool<'_, T>> {
        Some(LocalPool::new(&self.slots, self.slots.heap().try_local()?))
    }

    /// The name given to the builder.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::Pool::<u8>::new().name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.slots.heap().name()
    }

    /// The most values there can be at once, if there is a bound.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::Pool::<u8>::new().capacity(), None);
    /// ```
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.slots.capacity()
    }

    /// How many blocks are taken: values that live, are being made or dropped, or were
    /// [leaked](PoolBox::leak). One load where the pool has a capacity; without one a reading of the heap's
    /// counters, which is exact while nobody allocates or frees.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::new();
    /// let number = pool.alloc(7);
    /// assert_eq!(pool.live(), 1);
    /// ```
    #[must_use]
    pub fn live(&self) -> usize {
        self.slots.live()
    }

    /// One reading of the heap behind the pool: its row in [`stats`](crate::stats()).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::<u64>::builder().name("numbers").build()?;
    /// assert_eq!(pool.stats().name.as_deref(), Some("numbers"));
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> HeapStats {
        self.slots.heap().stats()
    }

    /// Gives memory that no value is in back to the system, also what was preheated; returns how many bytes.
    /// See [`Heap::collect`](crate::Heap::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::new();
    /// drop((0..100).map(|_| pool.alloc([0_u8; 4096])).collect::<Vec<_>>());
    /// assert!(pool.collect() >= 100 * 4096);
    /// ```
    pub fn collect(&self) -> usize {
        self.slots.heap().collect()
    }
}
