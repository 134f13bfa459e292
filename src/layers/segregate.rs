//! Small blocks here, large ones there.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::around::{Answer, exactly};
use super::fallback::resize_in;
use super::transfer::transfer;
use crate::allocator_api2::alloc::Allocator;
use crate::by_02::also_04;

/// An allocator that takes blocks of up to `THRESHOLD` bytes from `S`, larger ones from `L`.
///
/// A block that grows or shrinks across the threshold moves to the other child, where that one serves it. `Clone` where
/// both are.
///
/// # Cost
///
/// A comparison.
///
/// # Examples
///
/// ```
/// use blockyard::{Arena, Heap, allocator_api2::vec::Vec, layers::Segregate};
///
/// let (nodes, buffers) = (Arena::new(), Heap::new());
/// let memory = Segregate::<_, _, 256>::new(&nodes, &buffers);
/// let mut numbers = Vec::with_capacity_in(32, &memory);
/// numbers.extend(0..32_u64);
/// assert_eq!(buffers.stats().blocks.live(), 0);
/// numbers.push(32);
/// assert_eq!(buffers.stats().blocks.live(), 1);
/// assert!(numbers.iter().copied().eq(0..33));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Segregate<S, L, const THRESHOLD: usize> {
    /// (G1) A block is of this child if and only if its size is at most the threshold. Blocks are exactly as long as was
    /// asked for, so that every call names the same size.
    small: S,
    large: L,
}

impl<S, L, const THRESHOLD: usize> Segregate<S, L, THRESHOLD> {
    /// `small` up to the threshold, `large` above.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::{Panicking, Segregate}};
    ///
    /// let bounded = Segregate::<_, _, 4096>::new(Global, Panicking::new("messages have a page at most"));
    /// ```
    #[must_use]
    pub const fn new(small: S, large: L) -> Self {
        Self { small, large }
    }

    /// The child for blocks of up to the threshold.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::{Null, Segregate}};
    ///
    /// assert_eq!(*Segregate::<_, _, 64>::new(Global, Null).small(), Global);
    /// ```
    #[must_use]
    pub const fn small(&self) -> &S {
        &self.small
    }

    /// The child for blocks above the threshold.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::{Null, Segregate}};
    ///
    /// assert_eq!(*Segregate::<_, _, 64>::new(Global, Null).large(), Null);
    /// ```
    #[must_use]
    pub const fn large(&self) -> &L {
        &self.large
    }
}

impl<S: Allocator, L: Allocator, const THRESHOLD: usize> Segregate<S, L, THRESHOLD> {
    /// # Safety
    /// `Allocator::grow`'s, or `shrink`'s where `new` is smaller.
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout, zeroed: bool) -> Answer {
        // SAFETY: (G1) each block goes to the child that it is of.
        let resized = unsafe {
            match (old.size() <= THRESHOLD, new.size() <= THRESHOLD) {
                (true, true) => resize_in(&self.small, block, old, new, zeroed),
                (false, false) => resize_in(&self.large, block, old, new, zeroed),
                (true, false) => transfer(&self.small, &self.large, block, old, new, zeroed),
                (false, true) => transfer(&self.large, &self.small, block, old, new, zeroed),
            }
        };
        Ok(exactly(resized?, new))
    }
}

// SAFETY: blocks are of one of the children, which live as long as this value and may be moved with it; (G1)
// says of which one. Clones have equal children.
unsafe impl<S: Allocator, L: Allocator, const THRESHOLD: usize> Allocator for Segregate<S, L, THRESHOLD> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Answer {
        let small = layout.size() <= THRESHOLD;
        let block = if small { self.small.allocate(layout) } else { self.large.allocate(layout) };
        Ok(exactly(block?, layout))
    }
    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Answer {
        let small = layout.size() <= THRESHOLD;
        let block =
            if small { self.small.allocate_zeroed(layout) } else { self.large.allocate_zeroed(layout) };
        Ok(exactly(block?, layout))
    }
    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: (G1) passed on.
        unsafe {
            if layout.size() <= THRESHOLD {
                self.small.deallocate(block, layout);
            } else {
                self.large.deallocate(block, layout);
            }
        }
    }
    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new, false) }
    }
    #[inline]
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new, true) }
    }
    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.resize(block, old, new, false) }
    }
}
also_04!([S: Allocator, L: Allocator, const THRESHOLD: usize] Segregate<S, L, THRESHOLD> where);
