//! Allocators over a caller's bytes, or their own.

#[cfg(feature = "tlsf")]
mod fixed_heap;
mod rollback;
mod shared;
mod stack_fallback;

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

#[cfg(feature = "tlsf")]
pub use self::fixed_heap::FixedHeap;
pub use self::{rollback::RollbackStack, shared::SharedFixedBuffer, stack_fallback::StackFallback};
use crate::arena::{ArenaError, Blocks, Bump, expect, implement_allocator};

/// An allocator over bytes of the caller's, on the stack or static: it makes no system call and asks no
/// other allocator.
///
/// `&FixedBuffer` is an [`Allocator`](crate::allocator_api2::alloc::Allocator); the block allocated last
/// grows, shrinks and is freed in place, others stay until [`reset`](Self::reset). Values made with
/// [`alloc`](Self::alloc) are not dropped. Blocks are aligned as their types want: an alignment of 8 costs
/// up to 7 bytes. For several threads there is [`SharedFixedBuffer`].
///
/// # Examples
///
/// ```
/// use std::mem::MaybeUninit;
/// use blockyard::{FixedBuffer, allocator_api2::vec::Vec};
///
/// let mut bytes = [MaybeUninit::uninit(); 256];
/// let buffer = FixedBuffer::new(&mut bytes);
/// let mut squares = Vec::new_in(&buffer);
/// squares.extend((0..10).map(|n: u64| n * n));
/// assert_eq!(squares[9], 81);
/// assert!(buffer.contains(squares.as_ptr()));
/// ```
pub struct FixedBuffer<'b> {
    bump: Bump<1>,
    base: NonNull<u8>,
    capacity: usize,
    _borrow: PhantomData<&'b mut [MaybeUninit<u8>]>,
}

// SAFETY: the pointers are to bytes that the buffer borrows for itself, and nobody uses them when a buffer
// that is not borrowed is moved.
unsafe impl Send for FixedBuffer<'_> {}

/// The first byte of a slice.
const fn base_of(bytes: &mut [MaybeUninit<u8>]) -> NonNull<u8> {
    // SAFETY: a slice is not null.
    unsafe { NonNull::new_unchecked(bytes.as_mut_ptr().cast()) }
}

/// Where a block of `layout` begins that ends at `top` or below, both as offsets from `base`; `None` where
/// that is below the base.
#[inline(always)]
fn lower(base: NonNull<u8>, top: usize, layout: Layout) -> Option<usize> {
    let base = base.addr().get();
    let low = (base + top.checked_sub(layout.size())?) & !(layout.align() - 1);
    low.checked_sub(base)
}

#[allow(clippy::mut_from_ref, reason = "each call gives out another place")]
impl<'b> FixedBuffer<'b> {
    /// An allocator over `bytes`.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// assert_eq!(blockyard::FixedBuffer::new(&mut bytes).capacity(), 64);
    /// ```
    #[must_use]
    pub const fn new(bytes: &'b mut [MaybeUninit<u8>]) -> Self {
        let capacity = bytes.len();
        let base = base_of(bytes);
        // SAFETY: (A1) the buffer borrows all of the bytes for itself; every address is a multiple of 1.
        let bump = unsafe { Bump::new(base, base.byte_add(capacity)) };
        Self { bump, base, capacity, _borrow: PhantomData }
    }

    /// A place for `layout`, uninitialised, until the buffer is reset or dropped.
    ///
    /// # Panics
    ///
    /// When the buffer has no room.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// assert!(buffer.alloc_layout(Layout::new::<u64>()).cast::<u64>().is_aligned());
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        expect(self.try_alloc_layout(layout))
    }

    /// As [`alloc_layout`](Self::alloc_layout).
    ///
    /// # Errors
    ///
    /// When the buffer has no room.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// assert!(buffer.try_alloc_layout(Layout::new::<[u8; 65]>()).is_err());
    /// ```
    #[inline(always)]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, ArenaError> {
        match self.bump.take(layout, 1) {
            Some(place) => Ok(place),
            None => Err(ArenaError::limit_reached(None, self.capacity, layout)),
        }
    }

    /// Moves a value into the buffer. It is not dropped.
    ///
    /// # Panics
    ///
    /// When the buffer has no room.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// assert_eq!(*buffer.alloc(7), 7);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        expect(self.try_alloc(value))
    }

    /// As [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// When the buffer has no room; the value is dropped then.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// assert!(buffer.try_alloc([0_u8; 64]).is_ok());
    /// assert!(buffer.try_alloc(0_u8).is_err());
    /// ```
    #[inline(always)]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, ArenaError> {
        let mut place = self.try_alloc_layout(Layout::new::<T>())?.cast::<T>();
        // SAFETY: (A1) the place was just given out for a `T`; (A3) it stays as long as the borrow.
        unsafe {
            place.write(value);
            Ok(place.as_mut())
        }
    }

    /// Copies a slice into the buffer.
    ///
    /// # Panics
    ///
    /// When the buffer has no room.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// assert_eq!(buffer.alloc_slice_copy(b"block"), b"block");
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> &mut [T] {
        expect(self.try_alloc_slice_copy(source))
    }

    /// As [`alloc_slice_copy`](Self::alloc_slice_copy).
    ///
    /// # Errors
    ///
    /// When the buffer has no room.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 4];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// assert!(buffer.try_alloc_slice_copy(b"block").is_err());
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_copy<T: Copy>(&self, source: &[T]) -> Result<&mut [T], ArenaError> {
        let place = self.try_alloc_layout(Layout::for_value(source))?.cast::<T>();
        // SAFETY: (A1) as in `try_alloc`: as many bytes as the source has, which they do not overlap.
        unsafe {
            place.copy_from_nonoverlapping(NonNull::from(source).cast(), source.len());
            Ok(slice::from_raw_parts_mut(place.as_ptr(), source.len()))
        }
    }

    /// The buffer's bytes, by number.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// assert_eq!(blockyard::FixedBuffer::new(&mut bytes).capacity(), 64);
    /// ```
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes not given out yet; alignment may cost some of them.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// buffer.alloc([0_u8; 10]);
    /// assert_eq!(buffer.remaining(), 54);
    /// ```
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bump.room()
    }

    /// Whether `ptr` is an address in the buffer, given out or not.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// assert!(buffer.contains(buffer.alloc(1)));
    /// assert!(!buffer.contains(&buffer));
    /// ```
    #[must_use]
    pub fn contains<T>(&self, ptr: *const T) -> bool {
        ptr.addr().wrapping_sub(self.base.addr().get()) < self.capacity
    }

    /// Takes all bytes back. No value is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let mut buffer = blockyard::FixedBuffer::new(&mut bytes);
    /// buffer.alloc([0_u8; 64]);
    /// buffer.reset();
    /// assert_eq!(buffer.remaining(), 64);
    /// ```
    pub fn reset(&mut self) {
        // SAFETY: (A1) as in `new`; (A3) by `&mut self`.
        unsafe { self.bump.set(self.base, self.base.byte_add(self.capacity)) };
    }
}

impl Blocks for FixedBuffer<'_> {
    #[inline(always)]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.bump.take(layout, 1)
    }
    #[inline(always)]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if self.bump.is_last(block, layout.size()) {
            // SAFETY: (A3) the last block, given up.
            unsafe { self.bump.give_back(layout.size()) };
        }
    }
    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let last = self.bump.is_last(block, old.size());
        // SAFETY: (A3) the last block, given up for its new place.
        if last { unsafe { self.bump.grow_last(old, new) } } else { None }
    }
    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let last = self.bump.is_last(block, old.size());
        // SAFETY: (A3) as in `grow`.
        if last { unsafe { self.bump.shrink_last(old, new) } } else { None }
    }
}

implement_allocator!(allocator_api2_02; [] FixedBuffer<'_>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04; [] FixedBuffer<'_>);

impl fmt::Debug for FixedBuffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedBuffer")
            .field("capacity", &self.capacity)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
