//! The buffer for several threads.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::{base_of, lower};
use crate::arena::{ArenaError, Blocks, expect, implement_allocator};

/// A [`FixedBuffer`](super::FixedBuffer) that threads share: `&SharedFixedBuffer` is an
/// [`Allocator`](crate::allocator_api2::alloc::Allocator), `Send` and `Sync`.
///
/// An allocation is a compare-and-swap on one word, tried again when another thread was quicker; nobody
/// waits for a thread that is not running.
///
/// # Examples
///
/// In static memory:
///
/// ```
/// use std::mem::MaybeUninit;
/// use blockyard::{SharedFixedBuffer, allocator_api2::vec::Vec};
///
/// static BUFFER: SharedFixedBuffer<'static> = {
///     static mut BYTES: [MaybeUninit<u8>; 4096] = [MaybeUninit::uninit(); 4096];
///     // SAFETY: nothing else names these bytes.
///     SharedFixedBuffer::new(unsafe { &mut *&raw mut BYTES })
/// };
///
/// std::thread::scope(|scope| {
///     for n in 0..4_u32 {
///         scope.spawn(move || {
///             let mut numbers = Vec::new_in(&BUFFER);
///             numbers.extend(std::iter::repeat_n(n, 50));
///             assert!(numbers.iter().all(|&number| number == n));
///         });
///     }
/// });
/// ```
pub struct SharedFixedBuffer<'b> {
    base: NonNull<u8>,
    capacity: usize,
    /// (B1) Bytes of the buffer below the finger: they are nobody's. What is above belongs to the
    /// threads that took it.
    room: AtomicUsize,
    _borrow: PhantomData<&'b mut [MaybeUninit<u8>]>,
}

// SAFETY: the pointer is to bytes that the buffer borrows for itself.
unsafe impl Send for SharedFixedBuffer<'_> {}
// SAFETY: `room` is atomic, the rest is constant, and (B1) gives each byte to one thread.
unsafe impl Sync for SharedFixedBuffer<'_> {}

#[allow(clippy::mut_from_ref, reason = "each call gives out another place")]
impl<'b> SharedFixedBuffer<'b> {
    /// An allocator over `bytes`.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// assert_eq!(blockyard::SharedFixedBuffer::new(&mut bytes).capacity(), 64);
    /// ```
    #[must_use]
    pub const fn new(bytes: &'b mut [MaybeUninit<u8>]) -> Self {
        let capacity = bytes.len();
        Self { base: base_of(bytes), capacity, room: AtomicUsize::new(capacity), _borrow: PhantomData }
    }

    /// The place at `offset`, at most the capacity.
    #[inline(always)]
    fn at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: within the bytes or just behind them.
        unsafe { self.base.byte_add(offset) }
    }

    /// Where a block of `layout` begins whose end is at `top` or below; `None` where it does not fit.
    #[inline(always)]
    fn lower(&self, top: usize, layout: Layout) -> Option<usize> {
        lower(self.base, top, layout)
    }

    /// Moves the finger from `old` to `new`, unless it is elsewhere; then where it is.
    ///
    /// ORDER: Release, so that whoever takes these bytes next sees that what was done in them is done;
    /// Acquire pairs with it. Every change is a read-modify-write, so a release reaches all later ones.
    #[inline(always)]
    fn exchange(&self, old: usize, new: usize) -> Result<usize, usize> {
        self.room.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
    }

    /// `exchange` if the finger is at `block`, which has bytes: then it is the last block, and stays so
    /// until its owner, who calls this, changes that.
    fn exchange_last(&self, block: usize, new: usize) -> bool {
        loop {
            match self.exchange(block, new) {
                Ok(_) => return true,
                Err(now) if now != block => return false,
                Err(_) => {}
            }
        }
    }

    /// The offset of `block`, of `size` bytes, if it may be the last one.
    fn maybe_last(&self, block: NonNull<u8>, size: usize) -> Option<usize> {
        (size != 0).then(|| block.addr().get() - self.base.addr().get())
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
    /// let buffer = blockyard::SharedFixedBuffer::new(&mut bytes);
    /// assert!(buffer.alloc_layout(Layout::new::<u64>()).cast::<u64>().is_aligned());
    /// ```
    #[inline]
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
    /// let buffer = blockyard::SharedFixedBuffer::new(&mut bytes);
    /// assert!(buffer.try_alloc_layout(Layout::new::<[u8; 65]>()).is_err());
    /// ```
    #[inline]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, ArenaError> {
        self.take(layout).ok_or_else(|| ArenaError::limit_reached(None, self.capacity, layout))
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
    /// let buffer = blockyard::SharedFixedBuffer::new(&mut bytes);
    /// assert_eq!(*buffer.alloc(7), 7);
    /// ```
    #[inline]
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
    /// let buffer = blockyard::SharedFixedBuffer::new(&mut bytes);
    /// assert!(buffer.try_alloc([0_u8; 65]).is_err());
    /// ```
    #[inline]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, ArenaError> {
        let mut place = self.try_alloc_layout(Layout::new::<T>())?.cast::<T>();
        // SAFETY: (B1) the place was just given out for a `T`; (A3) it stays as long as the borrow.
        unsafe {
            place.write(value);
            Ok(place.as_mut())
        }
    }

    /// The buffer's bytes, by number.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// assert_eq!(blockyard::SharedFixedBuffer::new(&mut bytes).capacity(), 64);
    /// ```
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes not given out yet; alignment may cost some of them, and other threads may take them.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::SharedFixedBuffer::new(&mut bytes);
    /// buffer.alloc([0_u8; 10]);
    /// assert_eq!(buffer.remaining(), 54);
    /// ```
    #[must_use]
    pub fn remaining(&self) -> usize {
        // ORDER: Relaxed, a number to look at.
        self.room.load(Ordering::Relaxed)
    }

    /// Whether `ptr` is an address in the buffer, given out or not.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let buffer = blockyard::SharedFixedBuffer::new(&mut bytes);
    /// assert!(buffer.contains(buffer.alloc(1)));
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
    /// let mut buffer = blockyard::SharedFixedBuffer::new(&mut bytes);
    /// buffer.alloc([0_u8; 64]);
    /// buffer.reset();
    /// assert_eq!(buffer.remaining(), 64);
    /// ```
    pub fn reset(&mut self) {
        *self.room.get_mut() = self.capacity;
    }
}

impl Blocks for SharedFixedBuffer<'_> {
    #[inline]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        // ORDER: Relaxed, the exchange decides.
        let mut top = self.room.load(Ordering::Relaxed);
        loop {
            let low = self.lower(top, layout)?;
            match self.exchange(top, low) {
                Ok(_) => return Some(self.at(low)),
                Err(now) => top = now,
            }
        }
    }

    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if let Some(low) = self.maybe_last(block, layout.size()) {
            self.exchange_last(low, low + layout.size());
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let from = self.maybe_last(block, old.size())?;
        let low = self.lower(from + old.size(), new)?;
        if !self.exchange_last(from, low) {
            return None;
        }
        // SAFETY: (B1) what lies between the new finger and the old block's end is ours now. The pointers
        // may use the whole buffer.
        unsafe { ptr::copy(self.at(from).as_ptr(), self.at(low).as_ptr(), old.size()) };
        Some(self.at(low))
    }

    /// Never: a block keeps its place, and its bytes, until it is freed. Moving its contents up would pay
    /// only if no other thread took a block meanwhile.
    unsafe fn shrink(&self, _block: NonNull<u8>, _old: Layout, _new: Layout) -> Option<NonNull<u8>> {
        None
    }
}

implement_allocator!(allocator_api2_02; [] SharedFixedBuffer<'_>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04; [] SharedFixedBuffer<'_>);

impl fmt::Debug for SharedFixedBuffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFixedBuffer")
            .field("capacity", &self.capacity)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
