//! A buffer that is part of its allocator, and another allocator behind it.

use core::alloc::Layout;
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::mem::MaybeUninit;
use core::num::NonZero;
use core::ptr::{self, NonNull};

use super::lower;
use crate::Global;
use crate::allocator_api2::alloc::Allocator;
use crate::arena::{Blocks, implement_allocator};

/// An allocator with `N` bytes in itself, on the stack as a rule, and a child allocator for what does not
/// fit: small results need no allocation, large ones work all the same.
///
/// `&StackFallback` is an [`Allocator`](crate::allocator_api2::alloc::Allocator). In the buffer, the block
/// allocated last grows, shrinks and is freed in place, others stay until [`reset`](Self::reset); a block
/// that grows out of the buffer is copied to the child, whose blocks the child grows, shrinks and frees.
///
/// The bytes are in the value: moving it copies `N` bytes, and it can be moved only while nothing borrows it.
///
/// # Cost
///
/// In the buffer some ten instructions; else those of the child and a comparison.
///
/// # Examples
///
/// ```
/// use blockyard::{StackFallback, allocator_api2::vec::Vec};
///
/// let memory = StackFallback::<256>::new();
/// let mut numbers = Vec::new_in(&memory);
/// numbers.extend(0..20_u64);
/// assert!(memory.contains(numbers.as_ptr())); // on the stack so far
/// numbers.extend(20..1000);
/// assert!(!memory.contains(numbers.as_ptr()));
/// assert!(numbers.iter().copied().eq(0..1000));
/// ```
///
/// It stays where it is while something is in it:
///
/// ```compile_fail,E0505
/// use blockyard::{StackFallback, allocator_api2::vec::Vec};
///
/// let memory = StackFallback::<64>::new();
/// let mut numbers = Vec::new_in(&memory);
/// let moved = memory;
/// numbers.push(1);
/// ```
///
/// what is in it does not outlive it:
///
/// ```compile_fail,E0515
/// use blockyard::{StackFallback, allocator_api2::vec::Vec};
///
/// fn numbers<'a>() -> Vec<u8, &'a StackFallback<64>> {
///     let memory = StackFallback::<64>::new();
///     Vec::new_in(&memory)
/// }
/// ```
///
/// and it is one thread's:
///
/// ```compile_fail,E0277
/// let memory = blockyard::StackFallback::<64>::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| memory.remaining());
/// });
/// ```
#[doc(alias = "stackFallback")]
#[repr(C)]
pub struct StackFallback<const N: usize, A: Allocator = Global> {
    bytes: Bytes<N>,
    /// (S1) Bytes of the buffer below the finger: they are nobody's. It is an offset, because the value
    /// may be moved where nothing borrows it.
    room: Cell<usize>,
    /// (S2) Blocks that have bytes and are not in the buffer are its; it never has one without bytes.
    child: A,
}

/// Aligned as the blocks of most allocators, so that alignment costs the same bytes in every frame.
#[repr(C, align(16))]
struct Bytes<const N: usize>(UnsafeCell<[MaybeUninit<u8>; N]>);

// (S2) Behind the bytes comes a field, so that no block of the child's begins where the finger of an unused buffer stands.
const _: () = assert!(core::mem::offset_of!(StackFallback<16>, room) == 16);
const _: () = assert!(core::mem::offset_of!(StackFallback<0>, room) == 0);

impl<const N: usize> StackFallback<N> {
    /// `N` bytes, and this thread's block heap behind them.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::StackFallback::<64>::new().remaining(), 64);
    /// ```
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self::new_in(Global)
    }
}

impl<const N: usize> Default for StackFallback<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, A: Allocator> StackFallback<N, A> {
    /// `N` bytes, and `child` behind them.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Arena, StackFallback, allocator_api2::vec::Vec};
    ///
    /// let arena = Arena::new();
    /// let memory = StackFallback::<64, _>::new_in(&arena);
    /// let mut bytes = Vec::new_in(&memory);
    /// bytes.resize(1000, 7_u8);
    /// assert!(arena.stats().used >= 1000);
    /// ```
    #[must_use]
    #[inline]
    pub const fn new_in(child: A) -> Self {
        let bytes = Bytes(UnsafeCell::new([MaybeUninit::uninit(); N]));
        Self { bytes, room: Cell::new(N), child }
    }

    /// The child allocator.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(*blockyard::StackFallback::<64>::new().child(), blockyard::Global);
    /// ```
    #[must_use]
    pub const fn child(&self) -> &A {
        &self.child
    }

    /// The buffer's bytes, by number: `N`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::StackFallback::<64>::new().capacity(), 64);
    /// ```
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// Bytes of the buffer not given out yet; alignment may cost some of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{StackFallback, allocator_api2::boxed::Box};
    ///
    /// let memory = StackFallback::<64>::new();
    /// let number = Box::new_in([7_u8; 10], &memory);
    /// assert_eq!(memory.remaining(), 54);
    /// drop(number);
    /// assert_eq!(memory.remaining(), 64);
    /// ```
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.room.get()
    }

    /// Whether `ptr` is an address in the buffer, given out or not: false for what the child gave.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{StackFallback, allocator_api2::boxed::Box};
    ///
    /// let memory = StackFallback::<64>::new();
    /// assert!(memory.contains(&raw const *Box::new_in(1, &memory)));
    /// assert!(!memory.contains(&raw const *Box::new_in([0_u8; 65], &memory)));
    /// ```
    #[must_use]
    #[inline]
    pub fn contains<T>(&self, ptr: *const T) -> bool {
        ptr.addr().wrapping_sub(self.base().addr().get()) < N
    }

    /// Takes the buffer's bytes back. No value is dropped, and the child's blocks stay as they are.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{StackFallback, allocator_api2::boxed::Box};
    ///
    /// let mut memory = StackFallback::<64>::new();
    /// Box::leak(Box::new_in([7_u8; 60], &memory));
    /// assert_eq!(memory.remaining(), 4);
    /// memory.reset();
    /// assert_eq!(memory.remaining(), 64);
    /// ```
    pub fn reset(&mut self) {
        // (S1) by `&mut self`: what was leaked is out of reach.
        *self.room.get_mut() = N;
    }

    /// The first byte of the buffer, where it is now, to be written through: the reference is to a cell.
    #[inline(always)]
    fn base(&self) -> NonNull<u8> {
        NonNull::from(&self.bytes.0).cast()
    }

    /// The place at `offset`, at most `N`.
    #[inline(always)]
    fn at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: (S1) within the bytes or just behind them.
        unsafe { self.base().add(offset) }
    }

    /// Where a block of `layout` begins that ends at `top` or below; `None` where it does not fit.
    #[inline(always)]
    fn lower(&self, top: usize, layout: Layout) -> Option<usize> {
        lower(self.base(), top, layout)
    }

    /// The offset of `block` if it is the last one in the buffer.
    #[inline(always)]
    fn last(&self, block: NonNull<u8>, size: usize) -> Option<usize> {
        let room = self.room.get();
        // A block that has bytes and begins at the finger lies just above it.
        (size != 0 && block.addr().get() == self.base().addr().get() + room).then_some(room)
    }

    /// Whether `block` has bytes and is the child's.
    #[inline(always)]
    fn is_childs(&self, block: NonNull<u8>, size: usize) -> bool {
        size != 0 && !self.contains(block.as_ptr()) // (S2)
    }
}

impl<const N: usize, A: Allocator> Blocks for StackFallback<N, A> {
    #[inline]
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            // (S2) Nowhere: a place just behind the buffer would not be known for one of its own.
            return NonZero::new(layout.align()).map(NonNull::without_provenance);
        }
        match self.lower(self.room.get(), layout) {
            Some(low) => {
                self.room.set(low);
                Some(self.at(low))
            }
            None => Some(self.child.allocate(layout).ok()?.cast()),
        }
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if let Some(from) = self.last(block, layout.size()) {
            self.room.set(from + layout.size());
        } else if self.is_childs(block, layout.size()) {
            // SAFETY: (S2) the child's block for this layout, given up.
            unsafe { self.child.deallocate(block, layout) };
        }
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        if self.is_childs(block, old.size()) {
            // SAFETY: (S2) the child's block for `old`; the new size is not smaller.
            return Some(unsafe { self.child.grow(block, old, new) }.ok()?.cast());
        }
        let from = self.last(block, old.size())?;
        let low = self.lower(from + old.size(), new)?;
        // SAFETY: (S1) the new block reaches from free bytes to the old block's end at most.
        unsafe { ptr::copy(self.at(from).as_ptr(), self.at(low).as_ptr(), old.size()) };
        self.room.set(low);
        Some(self.at(low))
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        if self.is_childs(block, old.size()) {
            if new.size() == 0 {
                return None; // (S2) freed instead
            }
            // SAFETY: (S2) the child's block for `old`; the new size is not larger.
            return Some(unsafe { self.child.shrink(block, old, new) }.ok()?.cast());
        }
        let from = self.last(block, old.size())?;
        // As `Bump::shrink_last`: less is not worth the copy.
        let low = self.lower(from + old.size(), new)?;
        if low < from + old.size().div_ceil(2) {
            return None;
        }
        // SAFETY: (S1) the new block lies in the old one's bytes.
        unsafe { ptr::copy(self.at(from).as_ptr(), self.at(low).as_ptr(), new.size()) };
        self.room.set(low);
        Some(self.at(low))
    }

    #[inline]
    fn can_stay(&self, block: NonNull<u8>, old: Layout) -> bool {
        !self.is_childs(block, old.size())
    }
}

implement_allocator!(allocator_api2_02; [const N: usize, A: Allocator] StackFallback<N, A>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04; [const N: usize, A: Allocator] StackFallback<N, A>);

impl<const N: usize, A: Allocator> fmt::Debug for StackFallback<N, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackFallback")
            .field("capacity", &N)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
