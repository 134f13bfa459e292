//! Boxes of a pool.

use core::borrow::{Borrow, BorrowMut};
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::slots::Slots;
use super::{error, layout_of};

/// Sole owner of a value in a [`Pool`](super::Pool): drops the value and gives its block back, on any thread.
///
/// Two words. A panic in the value's `drop` does not keep the block. There is no pinned form: the pool's
/// memory goes with the pool, also that of a forgotten box, whose value is not dropped then.
///
/// # Examples
///
/// ```
/// use blockyard::{Pool, PoolBox};
///
/// let pool = Pool::new();
/// let mut names: PoolBox<'_, Vec<String>> = pool.alloc(Vec::new());
/// names.push(String::from("dropped with the box"));
/// assert_eq!(names.len(), 1);
/// drop(names);
/// assert_eq!(pool.live(), 0);
/// ```
///
/// It goes to another thread where its value may:
///
/// ```compile_fail,E0277
/// use std::rc::Rc;
///
/// let pool = blockyard::Pool::new();
/// let number = pool.alloc(Rc::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(number));
/// });
/// ```
pub struct PoolBox<'p, T> {
    /// (P1) A block of the pool for a `T`, initialised, and this box's alone.
    value: NonNull<T>,
    slots: &'p Slots,
    _owns: PhantomData<T>,
}

// SAFETY: `value` is the field that is not; a box owns its value (P1), and any thread may give blocks back.
unsafe impl<T: Send> Send for PoolBox<'_, T> {}
// SAFETY: as for `Send`; a shared box gives out nothing but `&T`.
unsafe impl<T: Sync> Sync for PoolBox<'_, T> {}

impl<'p, T> PoolBox<'p, T> {
    /// # Safety
    /// (P1) for `value`, in a block that `slots` gave.
    #[inline(always)]
    pub(super) unsafe fn new(value: NonNull<T>, slots: &'p Slots) -> Self {
        Self { value, slots, _owns: PhantomData }
    }

    /// The block without the value in it.
    #[inline(always)]
    fn into_place(this: Self) -> PoolBox<'p, MaybeUninit<T>> {
        let this = ManuallyDrop::new(this);
        // SAFETY: (P1) the block is the new box's; anything is a `MaybeUninit`.
        unsafe { PoolBox::new(this.value.cast(), this.slots) }
    }

    /// Moves the value out and gives the block back.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Pool, PoolBox};
    ///
    /// let name = {
    ///     let pool = Pool::new();
    ///     PoolBox::into_inner(pool.alloc(String::from("kept")))
    /// };
    /// assert_eq!(name, "kept");
    /// ```
    #[inline]
    #[must_use]
    pub fn into_inner(this: Self) -> T {
        let place = Self::into_place(this);
        // SAFETY: (P1) initialised; the place does not drop it.
        unsafe { place.assume_init_read() }
    }

    /// The value for as long as the pool is borrowed; it is not dropped any more, and its block stays taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Pool, PoolBox};
    ///
    /// let pool = Pool::new();
    /// let number: &mut i32 = PoolBox::leak(pool.alloc(7));
    /// assert_eq!((*number, pool.live()), (7, 1));
    /// ```
    #[inline]
    pub fn leak(this: Self) -> &'p mut T
    where
        T: 'p,
    {
        // SAFETY: (P1) the box was the value's sole owner, and the pool is borrowed for 'p.
        unsafe { ManuallyDrop::new(this).value.as_mut() }
    }

    /// The value's address, also where `T` has an `as_ptr` of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Pool, PoolBox};
    ///
    /// let pool = Pool::new();
    /// let number = pool.alloc(7);
    /// assert!(std::ptr::eq(PoolBox::as_ptr(&number), &*number));
    /// ```
    #[inline]
    #[must_use]
    pub const fn as_ptr(this: &Self) -> *const T {
        this.value.as_ptr()
    }
}

impl<'p, T> PoolBox<'p, MaybeUninit<T>> {
    /// Writes the value: the box owns it from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Pool, PoolBox};
    ///
    /// let pool = Pool::new();
    /// let place = pool.alloc_uninit();
    /// assert_eq!(*PoolBox::write(place, 7), 7);
    /// ```
    #[inline(always)]
    pub fn write(mut boxed: Self, value: T) -> PoolBox<'p, T> {
        MaybeUninit::write(&mut boxed, value);
        // SAFETY: just initialised.
        unsafe { boxed.assume_init() }
    }

    /// The box of the value that is there.
    ///
    /// # Safety
    ///
    /// The value is initialised.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::<u64>::new();
    /// // SAFETY: zeroes are a `u64`.
    /// let number = unsafe { pool.alloc_zeroed().assume_init() };
    /// assert_eq!(*number, 0);
    /// ```
    #[inline(always)]
    #[must_use]
    pub unsafe fn assume_init(self) -> PoolBox<'p, T> {
        let this = ManuallyDrop::new(self);
        // SAFETY: (P1) the block is the new box's, and initialised as the caller promises.
        unsafe { PoolBox::new(this.value.cast(), this.slots) }
    }
}

/// Gives a block back at the end of a box, also where its value's `drop` panics.
struct GiveBack<'p, T> {
    value: NonNull<T>,
    slots: &'p Slots,
}

impl<T> Drop for GiveBack<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        let block = self.value.cast().as_ptr();
        // SAFETY: (I1) by (P1) the block is the box's, which is at its end.
        self.slots.give(|heap| unsafe { heap.dealloc(block, const { layout_of::<T>() }) });
    }
}

impl<T> Drop for PoolBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let _after = GiveBack { value: self.value, slots: self.slots };
        // SAFETY: (P1) the box owns the value and is at its end.
        unsafe { self.value.drop_in_place() }
    }
}

impl<T> Deref for PoolBox<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: (P1) the box owns the value, and is borrowed as long.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for PoolBox<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, alone.
        unsafe { self.value.as_mut() }
    }
}

impl<T: Clone> Clone for PoolBox<'_, T> {
    /// A clone of the value in another block of the pool.
    ///
    /// # Panics
    ///
    /// When the pool is full or out of memory, and where `T::clone` does.
    fn clone(&self) -> Self {
        let block = error::expect(self.slots.take(|heap| heap.alloc(const { layout_of::<T>() })));
        // SAFETY: just taken for a value of this type.
        let place = unsafe { PoolBox::<MaybeUninit<T>>::new(block.cast(), self.slots) };
        PoolBox::write(place, T::clone(self))
    }

    fn clone_from(&mut self, source: &Self) {
        T::clone_from(self, source);
    }
}

impl<T> AsRef<T> for PoolBox<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}
impl<T> AsMut<T> for PoolBox<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}
impl<T> Borrow<T> for PoolBox<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}
impl<T> BorrowMut<T> for PoolBox<'_, T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}
impl<T: fmt::Debug> fmt::Debug for PoolBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
impl<T: fmt::Display> fmt::Display for PoolBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
impl<T> fmt::Pointer for PoolBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
impl<T: PartialEq> PartialEq for PoolBox<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
impl<T: Eq> Eq for PoolBox<'_, T> {}
impl<T: PartialOrd> PartialOrd for PoolBox<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        (**self).partial_cmp(&**other)
    }
}
impl<T: Ord> Ord for PoolBox<'_, T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (**self).cmp(&**other)
    }
}
impl<T: Hash> Hash for PoolBox<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
