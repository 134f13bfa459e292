//! Boxes that drop their values and leave the memory to the arena.

use core::borrow::{Borrow, BorrowMut};
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Sole owner of a value in an arena: drops the value, and leaves its memory to the arena.
///
/// The arena is borrowed for `'a`, so a value cannot outlive its memory. A box whose drop never runs
/// (`mem::forget`) leaks what its value owns, and no more. There is no pinned form: a forgotten box's
/// memory is used again without the value's having been dropped.
///
/// # Examples
///
/// ```
/// use blockyard::{Arena, ArenaBox};
///
/// let arena = Arena::new();
/// let mut names: ArenaBox<'_, Vec<String>> = arena.alloc_box(Vec::new());
/// names.push(String::from("dropped with the box"));
/// assert_eq!(names.len(), 1);
/// ```
pub struct ArenaBox<'a, T: ?Sized> {
    value: NonNull<T>,
    _owns: PhantomData<(&'a (), T)>,
}

// SAFETY: a box owns its value, and its drop leaves the arena alone.
unsafe impl<T: ?Sized + Send> Send for ArenaBox<'_, T> {}
// SAFETY: a shared box gives out nothing but `&T`.
unsafe impl<T: ?Sized + Sync> Sync for ArenaBox<'_, T> {}

impl<'a, T: ?Sized> ArenaBox<'a, T> {
    /// # Safety
    /// The value is nobody else's, and its memory stays for `'a`.
    #[inline(always)]
    pub(super) unsafe fn new(value: NonNull<T>) -> Self {
        Self { value, _owns: PhantomData }
    }

    /// The value for as long as the arena is borrowed; it is not dropped any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Arena, ArenaBox};
    ///
    /// let arena = Arena::new();
    /// let number: &mut i32 = ArenaBox::leak(arena.alloc_box(7));
    /// assert_eq!(*number, 7);
    /// ```
    #[inline]
    pub fn leak(this: Self) -> &'a mut T
    where
        T: 'a,
    {
        // SAFETY: the box was the value's sole owner, and the memory stays for 'a.
        unsafe { ManuallyDrop::new(this).value.as_mut() }
    }
}

impl<T> ArenaBox<'_, T> {
    /// Moves the value out.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Arena, ArenaBox};
    ///
    /// let name = {
    ///     let arena = Arena::new();
    ///     ArenaBox::into_inner(arena.alloc_box(String::from("kept")))
    /// };
    /// assert_eq!(name, "kept");
    /// ```
    #[inline]
    #[must_use]
    pub fn into_inner(this: Self) -> T {
        // SAFETY: the box owns the value and never touches it again.
        unsafe { ManuallyDrop::new(this).value.read() }
    }
}

impl<T: ?Sized> Drop for ArenaBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the box owns the value, whose memory stays for 'a.
        unsafe { self.value.drop_in_place() }
    }
}

impl<T: ?Sized> Deref for ArenaBox<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the box owns the value, and is borrowed as long.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for ArenaBox<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, alone.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> AsRef<T> for ArenaBox<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}
impl<T: ?Sized> AsMut<T> for ArenaBox<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}
impl<T: ?Sized> Borrow<T> for ArenaBox<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}
impl<T: ?Sized> BorrowMut<T> for ArenaBox<'_, T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}
impl<T: ?Sized + fmt::Debug> fmt::Debug for ArenaBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
impl<T: ?Sized + fmt::Display> fmt::Display for ArenaBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
impl<T: ?Sized + PartialEq> PartialEq for ArenaBox<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
impl<T: ?Sized + Eq> Eq for ArenaBox<'_, T> {}
impl<T: ?Sized + PartialOrd> PartialOrd for ArenaBox<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        (**self).partial_cmp(&**other)
    }
}
impl<T: ?Sized + Ord> Ord for ArenaBox<'_, T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (**self).cmp(&**other)
    }
}
impl<T: ?Sized + Hash> Hash for ArenaBox<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
