//! One allocator, then another.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::around::{Answer, empty, exactly};
use super::owns::{Owns, Unshared};
use super::transfer::transfer;
use crate::allocator_api2::alloc::Allocator;
use crate::by_02::also_04;

/// An allocator that asks `A`, and where that refuses, `B`.
///
/// `&Fallback` is an [`Allocator`](crate::allocator_api2::alloc::Allocator). `A` must know its own blocks by their
/// address ([`Owns`]), since a block is freed where it came from; `&A` must be an allocator, as it is for every allocator
/// and for [`FixedBuffer`](crate::FixedBuffer) and its like. A block of `A`'s that `A` cannot grow or shrink moves to `B`
/// and stays there.
///
/// # Cost
///
/// That of [`Owns::owns`] per free and resize: two comparisons for a buffer, a walk over the segments for a
/// [`Heap`](crate::Heap).
///
/// # Examples
///
/// ```
/// use blockyard::{FixedBuffer, Global, allocator_api2::vec::Vec, layers::{Fallback, Owns}};
/// use std::mem::MaybeUninit;
///
/// let mut bytes = [MaybeUninit::uninit(); 256];
/// let memory = Fallback::new(FixedBuffer::new(&mut bytes), Global);
/// let mut numbers = Vec::new_in(&memory);
/// numbers.extend(0..20_u64);
/// assert!(memory.primary().contains(numbers.as_ptr()));
/// numbers.extend(20..1000);
/// assert!(!memory.primary().contains(numbers.as_ptr()));
/// assert!(numbers.iter().copied().eq(0..1000));
/// ```
#[derive(Debug)]
pub struct Fallback<A, B> {
    /// (F1) It owns exactly its own blocks among those of the two.
    primary: A,
    /// (F2) Neither child ever has a block without bytes.
    secondary: B,
}

impl<A: Unshared, B> Fallback<A, B> {
    /// `primary`, then `secondary`.
    ///
    /// `primary` is a value, not a reference: `secondary` must not keep its blocks inside `primary`'s, or ownership could
    /// not be told by address. [`with_shared`](Self::with_shared) takes your word for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, Heap, layers::Fallback};
    ///
    /// let small = Heap::builder().limit(1 << 20).build()?;
    /// let memory = Fallback::new(small, Global);
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    #[must_use]
    pub const fn new(primary: A, secondary: B) -> Self {
        Self { primary, secondary }
    }
}

impl<A: Owns, B> Fallback<A, B> {
    /// As [`new`](Self::new), for a primary allocator that others may use as well, such as `&Heap`.
    ///
    /// # Safety
    ///
    /// `secondary` has no block inside a block of `primary`: it does not get its memory there, directly or through
    /// others.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, Heap, layers::Fallback};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// // SAFETY: `Global` does not allocate in our heap.
    /// let memory = unsafe { Fallback::with_shared(&heap, Global) };
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    #[must_use]
    pub const unsafe fn with_shared(primary: A, secondary: B) -> Self {
        Self { primary, secondary }
    }
}

impl<A, B> Fallback<A, B> {
    /// The allocator that is asked first.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, Heap, layers::Fallback};
    ///
    /// let memory = Fallback::new(Heap::new(), Global);
    /// assert_eq!(memory.primary().stats().blocks.live(), 0);
    /// ```
    #[must_use]
    pub const fn primary(&self) -> &A {
        &self.primary
    }

    /// The allocator that is asked where the first one refuses.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, Heap, layers::Fallback};
    ///
    /// assert_eq!(*Fallback::new(Heap::new(), Global).secondary(), Global);
    /// ```
    #[must_use]
    pub const fn secondary(&self) -> &B {
        &self.secondary
    }
}

impl<A: Owns, B: Allocator> Fallback<A, B>
where
    for<'a> &'a A: Allocator,
{
    fn take(&self, layout: Layout, zeroed: bool) -> Answer {
        if layout.size() == 0 {
            return Ok(empty(layout)); // (F2)
        }
        let primary = &self.primary;
        let block = if zeroed {
            primary.allocate_zeroed(layout).or_else(|_| self.secondary.allocate_zeroed(layout))
        } else {
            primary.allocate(layout).or_else(|_| self.secondary.allocate(layout))
        };
        Ok(exactly(block?, layout))
    }

    /// # Safety
    /// `Allocator::deallocate`'s.
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return; // (F2)
        }
        // SAFETY: (F1) the owner's block; the rest is passed on.
        unsafe {
            if self.primary.owns(block) {
                (&self.primary).deallocate(block, layout);
            } else {
                self.secondary.deallocate(block, layout);
            }
        }
    }

    /// # Safety
    /// `Allocator::grow`'s, or `shrink`'s where `new` is smaller.
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout, zeroed: bool) -> Answer {
        if old.size() == 0 {
            return self.take(new, zeroed); // (F2)
        }
        // SAFETY: (F1) the owner's block; the rest is passed on.
        let resized = unsafe {
            if new.size() == 0 {
                self.give(block, old);
                return Ok(empty(new)); // (F2)
            }
            if self.primary.owns(block) {
                let primary = &self.primary;
                resize_in(&primary, block, old, new, zeroed)
                    .or_else(|_| transfer(&primary, &self.secondary, block, old, new, zeroed))
            } else {
                resize_in(&self.secondary, block, old, new, zeroed)
            }
        };
        Ok(exactly(resized?, new))
    }
}

/// # Safety
/// `Allocator::grow`'s, or `shrink`'s where `new` is smaller.
pub(super) unsafe fn resize_in(
    owner: &impl Allocator,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
    zeroed: bool,
) -> Answer {
    // SAFETY: passed on; the sizes are in the order that each call wants.
    unsafe {
        if new.size() < old.size() {
            owner.shrink(block, old, new)
        } else if zeroed {
            owner.grow_zeroed(block, old, new)
        } else {
            owner.grow(block, old, new)
        }
    }
}

// SAFETY: blocks are of one of the children, which lives as long as the value that is borrowed; what frees or
// resizes a block finds its owner by (F1).
unsafe impl<A: Owns, B: Allocator> Allocator for &Fallback<A, B>
where
    for<'a> &'a A: Allocator,
{
    fn allocate(&self, layout: Layout) -> Answer {
        self.take(layout, false)
    }
    fn allocate_zeroed(&self, layout: Layout) -> Answer {
        self.take(layout, true)
    }
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.give(block, layout) }
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new, false) }
    }
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new, true) }
    }
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new, false) }
    }
}
also_04!([A: Owns, B: Allocator] &Fallback<A, B> where for<'a> &'a A: Allocator);

// SAFETY: each block is of one of the two.
unsafe impl<A: Owns, B: Owns> Owns for Fallback<A, B> {
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.primary.owns(block) || self.secondary.owns(block)
    }
}
// SAFETY: handles are references; the children are as they promise.
unsafe impl<A: Unshared, B: Unshared> Unshared for Fallback<A, B> {}
