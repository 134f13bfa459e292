//! One thread's allocator for several threads.

use core::alloc::Layout;
use core::ptr::NonNull;

use parking_lot::Mutex;

use super::around::Answer;
use super::owns::{Owns, Unshared};
use crate::allocator_api2::alloc::Allocator;
use crate::by_02::also_04;

/// An allocator behind a lock: threads share what is `Send` but not `Sync`, such as an [`Arena`](crate::Arena) or a
/// [`FixedBuffer`](crate::FixedBuffer).
///
/// `&Locked<A>` is an [`Allocator`](crate::allocator_api2::alloc::Allocator), `Send` and `Sync` where `A` is `Send`. `&A` must
/// be an allocator, as it is for every allocator, and for arenas and buffers.
///
/// A child that panics leaves the lock free. A child that allocates through this very lock waits for itself for ever, and
/// the `#[global_allocator]` must not be reached through one: waiting allocates.
///
/// # Cost
///
/// An uncontended lock is some ten nanoseconds; threads that allocate at once wait for each other.
///
/// # Examples
///
/// ```
/// use blockyard::{Arena, allocator_api2::vec::Vec, layers::Locked};
///
/// let arena = Locked::new(Arena::new());
/// std::thread::scope(|scope| {
///     for n in 0..4 {
///         let arena = &arena;
///         scope.spawn(move || {
///             let mut numbers = Vec::new_in(arena);
///             numbers.extend(std::iter::repeat_n(n, 1000));
///             assert!(numbers.iter().all(|&number| number == n));
///         });
///     }
/// });
/// assert!(arena.into_inner().stats().reserved >= 4000);
/// ```
#[derive(Debug, Default)]
pub struct Locked<A> {
    child: Mutex<A>,
}

impl<A> Locked<A> {
    /// `child`, one call at a time.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{StackFallback, layers::Locked};
    ///
    /// let memory = Locked::new(StackFallback::<1024>::new());
    /// ```
    #[must_use]
    pub const fn new(child: A) -> Self {
        Self { child: parking_lot::const_mutex(child) }
    }

    /// The child, where no handle is left: to reset it, say.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Arena, layers::Locked};
    ///
    /// let mut arena = Locked::new(Arena::new());
    /// arena.get_mut().reset();
    /// ```
    #[must_use]
    pub fn get_mut(&mut self) -> &mut A {
        self.child.get_mut()
    }

    /// The child, where no handle is left.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Arena, layers::Locked};
    ///
    /// assert_eq!(Locked::new(Arena::new()).into_inner().stats().used, 0);
    /// ```
    #[must_use]
    pub fn into_inner(self) -> A {
        self.child.into_inner()
    }
}

// SAFETY: blocks are the child's, whose value stays where it is while `Locked` is borrowed; nothing else gets at
// it meanwhile. One thread at a time calls it, as if it had been sent there.
unsafe impl<A> Allocator for &Locked<A>
where
    for<'a> &'a A: Allocator,
{
    fn allocate(&self, layout: Layout) -> Answer {
        (&*self.child.lock()).allocate(layout)
    }
    fn allocate_zeroed(&self, layout: Layout) -> Answer {
        (&*self.child.lock()).allocate_zeroed(layout)
    }
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { (&*self.child.lock()).deallocate(block, layout) }
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { (&*self.child.lock()).grow(block, old, new) }
    }
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { (&*self.child.lock()).grow_zeroed(block, old, new) }
    }
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { (&*self.child.lock()).shrink(block, old, new) }
    }
}
also_04!([A] &Locked<A> where for<'a> &'a A: Allocator);

// SAFETY: its blocks are the child's.
unsafe impl<A: Owns> Owns for Locked<A> {
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.child.lock().owns(block)
    }
}
// SAFETY: handles are references; the child is as it promises.
unsafe impl<A: Unshared> Unshared for Locked<A> {}
