//! One thread's handle to a pool of values.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use super::slots::Slots;
use super::{PoolBox, PoolError, PoolRefused, error, layout_of};
use crate::heap::LocalHeap;

/// One thread's handle to a [`Pool`](super::Pool): `alloc` looks no thread up. See
/// [`Pool::local`](super::Pool::local).
///
/// Its boxes are those of the pool: they outlive the handle and go to other threads.
///
/// # Examples
///
/// ```
/// use blockyard::{LocalPool, Pool, PoolBox};
///
/// fn squares<'p>(n: u64, local: &LocalPool<'p, u64>) -> Vec<PoolBox<'p, u64>> {
///     (0..n).map(|i| local.alloc(i * i)).collect()
/// }
///
/// let pool = Pool::new();
/// assert_eq!(*squares(4, &pool.local())[3], 9);
/// ```
///
/// It cannot cross threads:
///
/// ```compile_fail,E0277
/// let pool = blockyard::Pool::<u64>::new();
/// let local = pool.local();
/// std::thread::scope(|scope| {
///     scope.spawn(|| drop(local));
/// });
/// ```
pub struct LocalPool<'p, T> {
    slots: &'p Slots,
    heap: LocalHeap<'p>,
    _makes: PhantomData<fn() -> T>,
}

impl<'p, T> LocalPool<'p, T> {
    pub(super) fn new(slots: &'p Slots, heap: LocalHeap<'p>) -> Self {
        Self { slots, heap, _makes: PhantomData }
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
    /// assert_eq!(*pool.local().alloc(7), 7);
    /// ```
    #[inline]
    #[must_use = "the value is dropped where the box is not kept"]
    pub fn alloc(&self, value: T) -> PoolBox<'p, T> {
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
    /// let pool = blockyard::Pool::builder().capacity(0).build()?;
    /// assert_eq!(pool.local().try_alloc(7).unwrap_err().into_value(), 7);
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<PoolBox<'p, T>, PoolRefused<T>> {
        match self.try_alloc_uninit() {
            Ok(place) => Ok(PoolBox::write(place, value)),
            Err(error) => Err(PoolRefused::new(value, error)),
        }
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
    /// assert_eq!(*PoolBox::write(pool.local().alloc_uninit(), 7), 7);
    /// ```
    #[inline]
    #[must_use = "the block is given back where the box is not kept"]
    pub fn alloc_uninit(&self) -> PoolBox<'p, MaybeUninit<T>> {
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
    /// let pool = blockyard::Pool::<u64>::new();
    /// assert!(pool.local().try_alloc_uninit().is_ok());
    /// ```
    #[inline]
    pub fn try_alloc_uninit(&self) -> Result<PoolBox<'p, MaybeUninit<T>>, PoolError> {
        let block = self.slots.take(|_| self.heap.alloc(const { layout_of::<T>() }))?;
        // SAFETY: just taken for a value of this type; the local heap is of the pool's heap.
        Ok(unsafe { PoolBox::new(block.cast(), self.slots) })
    }

    /// Sends home the blocks of other threads that this thread has given back but still holds: at most 16
    /// KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// blockyard::Pool::<u64>::new().local().flush();
    /// ```
    pub fn flush(&self) {
        self.heap.flush();
    }
}

impl<T> Clone for LocalPool<'_, T> {
    fn clone(&self) -> Self {
        Self { slots: self.slots, heap: self.heap.clone(), _makes: PhantomData }
    }
}

impl<T> fmt::Debug for LocalPool<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slots.debug(f, "LocalPool")
    }
}
