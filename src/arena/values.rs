//! Values, slices and strings in an arena.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::refusal::always;
use super::{Arena, ArenaBox, ArenaError};
use crate::allocator_api2::alloc::Allocator;

/// Every method that allocates has two names: `try_` returns the error, the other panics with it. Neither
/// holds anything of the arena while it calls a closure or an iterator, which may use the arena too.
#[allow(clippy::mut_from_ref, reason = "each call gives out another place")]
impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// A place for `layout`, uninitialised, until the arena is reset or dropped.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let arena = blockyard::Arena::new();
    /// let place = arena.alloc_layout(Layout::new::<[u32; 4]>());
    /// assert!(place.cast::<[u32; 4]>().is_aligned());
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        always(self.place(layout))
    }

    /// As [`alloc_layout`](Self::alloc_layout).
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let too_large = Layout::from_size_align(isize::MAX as usize, 1)?;
    /// assert!(blockyard::Arena::new().try_alloc_layout(too_large).is_err());
    /// # Ok::<(), std::alloc::LayoutError>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, ArenaError> {
        self.place(layout)
    }

    /// Moves a value into the arena. It is not dropped; see [`alloc_box`](Self::alloc_box).
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// let number = arena.alloc(41);
    /// *number += 1;
    /// assert_eq!(*number, 42);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        always(self.value(value))
    }

    /// As [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached; the value is dropped then.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::builder().limit(1000).build();
    /// assert!(arena.try_alloc([0_u8; 2000]).is_err());
    /// ```
    #[inline(always)]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, ArenaError> {
        self.value(value)
    }

    /// Makes a value in its place in the arena, where the compiler can.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached; when `make` panics, its place stays in use.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// let zeros = arena.alloc_with(|| [0_u8; 1000]);
    /// let pair = arena.alloc_with(|| (arena.alloc(1), arena.alloc(2)));
    /// assert_eq!((zeros[999], *pair.0, *pair.1), (0, 1, 2));
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &mut T {
        always(self.value_with(make))
    }

    /// As [`alloc_with`](Self::alloc_with).
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached; `make` is not called then.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::builder().limit(1000).build();
    /// assert!(arena.try_alloc_with(|| [0_u8; 2000]).is_err());
    /// ```
    #[inline(always)]
    pub fn try_alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&mut T, ArenaError> {
        self.value_with(make)
    }

    /// Moves a value into the arena, in a box that drops it.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let (arena, shared) = (blockyard::Arena::new(), Arc::new(1));
    /// let counted = arena.alloc_box(shared.clone());
    /// assert_eq!(Arc::strong_count(&counted), 2);
    /// drop(counted);
    /// assert_eq!(Arc::strong_count(&shared), 1);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_box<T>(&self, value: T) -> ArenaBox<'_, T> {
        always(self.boxed(value))
    }

    /// As [`alloc_box`](Self::alloc_box).
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached; the value is dropped then.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// assert_eq!(*arena.try_alloc_box(String::from("dropped"))?, "dropped");
    /// # Ok::<(), blockyard::ArenaError>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_box<T>(&self, value: T) -> Result<ArenaBox<'_, T>, ArenaError> {
        self.boxed(value)
    }

    /// Copies a slice into the arena.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// assert_eq!(arena.alloc_slice_copy(&[1, 2, 3]), [1, 2, 3]);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> &mut [T] {
        always(self.slice_copy(source))
    }

    /// As [`alloc_slice_copy`](Self::alloc_slice_copy).
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::builder().limit(1000).build();
    /// assert!(arena.try_alloc_slice_copy(&[0_u8; 2000]).is_err());
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_copy<T: Copy>(&self, source: &[T]) -> Result<&mut [T], ArenaError> {
        self.slice_copy(source)
    }

    /// Clones a slice's elements into the arena. They are not dropped.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached; when a `clone` panics, the place stays in use.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// let names = arena.alloc_slice_clone(&[Box::new(1), Box::new(2)]);
    /// assert_eq!(*names[1], 2);
    /// # for name in names { unsafe { std::ptr::drop_in_place(name) } }
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_clone<T: Clone>(&self, source: &[T]) -> &mut [T] {
        self.alloc_slice_fill_with(source.len(), |index| source[index].clone())
    }

    /// As [`alloc_slice_clone`](Self::alloc_slice_clone).
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached; nothing is cloned then.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::builder().limit(1000).build();
    /// assert!(arena.try_alloc_slice_clone(&[Some(0); 2000]).is_err());
    /// ```
    #[inline]
    pub fn try_alloc_slice_clone<T: Clone>(&self, source: &[T]) -> Result<&mut [T], ArenaError> {
        self.try_alloc_slice_fill_with(source.len(), |index| source[index].clone())
    }

    /// A slice of `len` elements, each made by `make` from its index. They are not dropped.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached; when `make` panics, the place stays in use.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// assert_eq!(arena.alloc_slice_fill_with(4, |n| n * n), [0, 1, 4, 9]);
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_with<T>(&self, len: usize, make: impl FnMut(usize) -> T) -> &mut [T] {
        always(self.slice_fill_with(len, make))
    }

    /// As [`alloc_slice_fill_with`](Self::alloc_slice_fill_with).
    ///
    /// # Errors
    ///
    /// When there is no memory, the limit is reached or the size overflows; `make` is not called then.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// assert!(arena.try_alloc_slice_fill_with(usize::MAX, |n| n).is_err());
    /// ```
    #[inline]
    pub fn try_alloc_slice_fill_with<T>(
        &self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], ArenaError> {
        self.slice_fill_with(len, make)
    }

    /// A slice of an iterator's elements. They are not dropped.
    ///
    /// An iterator with fewer elements than it says gives a shorter slice; what it has beyond them stays
    /// in it.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached; when the iterator panics, the place stays in use.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// assert_eq!(arena.alloc_slice_fill_iter([3, 1, 2].iter().map(|n| n * 2)), [6, 2, 4]);
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_iter<T, I>(&self, elements: I) -> &mut [T]
    where
        I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    {
        always(self.slice_fill_iter(elements))
    }

    /// As [`alloc_slice_fill_iter`](Self::alloc_slice_fill_iter).
    ///
    /// # Errors
    ///
    /// When there is no memory, the limit is reached or the size overflows; the iterator is dropped then.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::builder().limit(1000).build();
    /// assert!(arena.try_alloc_slice_fill_iter(0..2000_i32).is_err());
    /// ```
    #[inline]
    pub fn try_alloc_slice_fill_iter<T, I>(&self, elements: I) -> Result<&mut [T], ArenaError>
    where
        I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    {
        self.slice_fill_iter(elements)
    }

    /// Copies a string into the arena.
    ///
    /// # Panics
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// assert_eq!(arena.alloc_str("block"), "block");
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_str(&self, source: &str) -> &mut str {
        let bytes = self.alloc_slice_copy(source.as_bytes());
        // SAFETY: the same bytes as the source's.
        unsafe { str::from_utf8_unchecked_mut(bytes) }
    }

    /// As [`alloc_str`](Self::alloc_str).
    ///
    /// # Errors
    ///
    /// When there is no memory or the limit is reached.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::builder().limit(1000).build();
    /// assert!(arena.try_alloc_str(&"long".repeat(1000)).is_err());
    /// ```
    #[inline(always)]
    pub fn try_alloc_str(&self, source: &str) -> Result<&mut str, ArenaError> {
        let bytes = self.try_alloc_slice_copy(source.as_bytes())?;
        // SAFETY: the same bytes as the source's.
        Ok(unsafe { str::from_utf8_unchecked_mut(bytes) })
    }
}
