//! Values, slices and strings in a scope.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::{ArenaBox, ArenaError, Scope};
use crate::allocator_api2::alloc::Allocator;

/// Each method does what the arena's of the same name does, and what it makes lives until the scope ends,
/// through inner scopes.
#[allow(clippy::mut_from_ref, reason = "each call gives out another place")]
impl<'s, A: Allocator, const MIN_ALIGN: usize> Scope<'s, A, MIN_ALIGN> {
    /// [`Arena::alloc_layout`](super::Arena::alloc_layout) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.alloc_layout(std::alloc::Layout::new::<u64>()).cast::<u64>().is_aligned());
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        self.arena.alloc_layout(layout)
    }

    /// [`Arena::try_alloc_layout`](super::Arena::try_alloc_layout) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.try_alloc_layout(std::alloc::Layout::new::<u64>()).is_ok());
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, ArenaError> {
        self.arena.try_alloc_layout(layout)
    }

    /// [`Arena::alloc`](super::Arena::alloc) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(*scope.alloc(7), 7);
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> &'s mut T {
        self.arena.alloc(value)
    }

    /// [`Arena::try_alloc`](super::Arena::try_alloc) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(scope.try_alloc(7), Ok(&mut 7));
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc<T>(&self, value: T) -> Result<&'s mut T, ArenaError> {
        self.arena.try_alloc(value)
    }

    /// [`Arena::alloc_with`](super::Arena::alloc_with) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(*scope.alloc_with(|| 7), 7);
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &'s mut T {
        self.arena.alloc_with(make)
    }

    /// [`Arena::try_alloc_with`](super::Arena::try_alloc_with) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(scope.try_alloc_with(|| 7), Ok(&mut 7));
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&'s mut T, ArenaError> {
        self.arena.try_alloc_with(make)
    }

    /// [`Arena::alloc_box`](super::Arena::alloc_box) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(*scope.alloc_box(String::from("dropped")), "dropped");
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_box<T>(&self, value: T) -> ArenaBox<'s, T> {
        self.arena.alloc_box(value)
    }

    /// [`Arena::try_alloc_box`](super::Arena::try_alloc_box) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.try_alloc_box(String::from("dropped")).is_ok());
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_box<T>(&self, value: T) -> Result<ArenaBox<'s, T>, ArenaError> {
        self.arena.try_alloc_box(value)
    }

    /// [`Arena::alloc_slice_copy`](super::Arena::alloc_slice_copy) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(scope.alloc_slice_copy(&[1, 2]), [1, 2]);
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> &'s mut [T] {
        self.arena.alloc_slice_copy(source)
    }

    /// [`Arena::try_alloc_slice_copy`](super::Arena::try_alloc_slice_copy) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.try_alloc_slice_copy(&[1, 2]).is_ok());
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_copy<T: Copy>(&self, source: &[T]) -> Result<&'s mut [T], ArenaError> {
        self.arena.try_alloc_slice_copy(source)
    }

    /// [`Arena::alloc_slice_clone`](super::Arena::alloc_slice_clone) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(scope.alloc_slice_clone(&[Some(1)]), [Some(1)]);
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_clone<T: Clone>(&self, source: &[T]) -> &'s mut [T] {
        self.arena.alloc_slice_clone(source)
    }

    /// [`Arena::try_alloc_slice_clone`](super::Arena::try_alloc_slice_clone) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.try_alloc_slice_clone(&[Some(1)]).is_ok());
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_clone<T: Clone>(&self, source: &[T]) -> Result<&'s mut [T], ArenaError> {
        self.arena.try_alloc_slice_clone(source)
    }

    /// [`Arena::alloc_slice_fill_with`](super::Arena::alloc_slice_fill_with) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(scope.alloc_slice_fill_with(3, |n| n), [0, 1, 2]);
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_fill_with<T>(&self, len: usize, make: impl FnMut(usize) -> T) -> &'s mut [T] {
        self.arena.alloc_slice_fill_with(len, make)
    }

    /// [`Arena::try_alloc_slice_fill_with`](super::Arena::try_alloc_slice_fill_with) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.try_alloc_slice_fill_with(usize::MAX, |n| n).is_err());
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_fill_with<T>(
        &self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<&'s mut [T], ArenaError> {
        self.arena.try_alloc_slice_fill_with(len, make)
    }

    /// [`Arena::alloc_slice_fill_iter`](super::Arena::alloc_slice_fill_iter) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(scope.alloc_slice_fill_iter(0..3), [0, 1, 2]);
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_fill_iter<T, I>(&self, elements: I) -> &'s mut [T]
    where
        I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    {
        self.arena.alloc_slice_fill_iter(elements)
    }

    /// [`Arena::try_alloc_slice_fill_iter`](super::Arena::try_alloc_slice_fill_iter) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.try_alloc_slice_fill_iter(0..3).is_ok());
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_fill_iter<T, I>(&self, elements: I) -> Result<&'s mut [T], ArenaError>
    where
        I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    {
        self.arena.try_alloc_slice_fill_iter(elements)
    }

    /// [`Arena::alloc_str`](super::Arena::alloc_str) until the scope ends.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert_eq!(scope.alloc_str("block"), "block");
    /// # });
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_str(&self, source: &str) -> &'s mut str {
        self.arena.alloc_str(source)
    }

    /// [`Arena::try_alloc_str`](super::Arena::try_alloc_str) until the scope ends.
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # blockyard::Arena::new().scope(|scope| {
    /// assert!(scope.try_alloc_str("block").is_ok());
    /// # });
    /// ```
    #[inline(always)]
    pub fn try_alloc_str(&self, source: &str) -> Result<&'s mut str, ArenaError> {
        self.arena.try_alloc_str(source)
    }
}
