//! A general allocator over a caller's bytes.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::num::NonZero;
use core::ptr::NonNull;

use rlsf::Tlsf;

use super::base_of;
use crate::arena::{Blocks, implement_allocator};

/// 27 doublings from 32 bytes: blocks to 4 GiB. 16 steps per doubling: at most a sixteenth is lost to a free
/// block that does not quite fit.
type Lists<'b> = Tlsf<'b, u32, u16, 27, 16>;

/// A heap inside bytes of the caller's, on the stack or static: blocks of all sizes, freed in any order and
/// merged with free neighbours, in bounded time, with no system call.
///
/// `&FixedHeap` is an [`Allocator`](crate::allocator_api2::alloc::Allocator) for one thread; for several put it
/// into [`Locked`](crate::layers::Locked). It serves what a buddy allocator is used for, with less waste: a
/// two-level segregated fit (M. Masmano and others, "TLSF: a new dynamic memory allocator for real-time systems",
/// 2004), by the crate [rlsf](https://docs.rs/rlsf). Blocks take multiples of 32 bytes, 16 of which go to a block's
/// bookkeeping; the lists are some 3.5 KiB in the value itself. Needs the feature `tlsf`.
///
/// # Examples
///
/// ```
/// use std::mem::MaybeUninit;
/// use blockyard::{FixedHeap, allocator_api2::{boxed::Box, vec::Vec}};
///
/// let mut bytes = [MaybeUninit::uninit(); 4096];
/// let heap = FixedHeap::new(&mut bytes);
/// let first = Box::new_in([0_u8; 1500], &heap);
/// let second = Box::new_in([1_u8; 1500], &heap);
/// assert!(Box::try_new_in([2_u8; 1500], &heap).is_err());
/// drop(first); // Any order will do.
/// let mut again = Vec::new_in(&heap);
/// again.extend_from_slice(&[2_u8; 1500]);
/// assert_eq!((second[0], again[0]), (1, 2));
/// ```
pub struct FixedHeap<'b> {
    lists: UnsafeCell<Lists<'b>>,
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: the pointers are to bytes that the heap borrows for itself, and nobody uses them when a heap that is
// not borrowed is moved.
unsafe impl Send for FixedHeap<'_> {}

impl<'b> FixedHeap<'b> {
    /// A heap inside `bytes`. Fewer than some 100 bytes hold no block at all.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 1024];
    /// assert_eq!(blockyard::FixedHeap::new(&mut bytes).capacity(), 1024);
    /// ```
    #[must_use]
    pub fn new(bytes: &'b mut [MaybeUninit<u8>]) -> Self {
        let (base, capacity) = (base_of(bytes), bytes.len());
        let mut lists = Lists::new();
        // The token holds the borrow of the bytes, which `lists` has too.
        let _ = lists.insert_free_block(bytes);
        Self { lists: UnsafeCell::new(lists), base, capacity }
    }

    /// Bytes in all, bookkeeping included.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 1024];
    /// assert_eq!(blockyard::FixedHeap::new(&mut bytes).capacity(), 1024);
    /// ```
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether `ptr` is an address in the bytes, given out or not.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let heap = blockyard::FixedHeap::new(&mut bytes);
    /// assert!(!heap.contains(&heap));
    /// ```
    #[must_use]
    pub fn contains<T>(&self, ptr: *const T) -> bool {
        ptr.addr().wrapping_sub(self.base.addr().get()) < self.capacity
    }

    /// Runs `f` on the lists.
    fn with<R>(&self, f: impl FnOnce(&mut Lists<'b>) -> R) -> R {
        // SAFETY: the value is not `Sync`, and `f`, one call of the crate's below, runs no code of others'.
        f(unsafe { &mut *self.lists.get() })
    }

    /// As long as `new`, at the same alignment, its contents kept.
    ///
    /// # Safety
    /// (A3) `Blocks::grow`'s.
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        if old.size() == 0 || new.size() == 0 || old.align() != new.align() {
            return None;
        }
        // SAFETY: passed on; the alignment is the one that the block was made with.
        self.with(|lists| unsafe { lists.reallocate(block, new) })
    }
}

impl Blocks for FixedHeap<'_> {
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return NonZero::new(layout.align()).map(NonNull::without_provenance);
        }
        self.with(|lists| lists.allocate(layout))
    }

    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: passed on; (A3) the layout has the alignment that the block was made with.
            self.with(|lists| unsafe { lists.deallocate(block, layout.align()) });
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new) }
    }

    /// The alignment leads to a block's bookkeeping, and a block without bytes has none.
    fn can_stay(&self, _block: NonNull<u8>, old: Layout) -> bool {
        old.size() == 0
    }
}

implement_allocator!(allocator_api2_02; [] FixedHeap<'_>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04; [] FixedHeap<'_>);

impl fmt::Debug for FixedHeap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedHeap").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
