//! Scopes: what is allocated in one is taken back at its end.
//!
//! Why safe code cannot keep anything past the end:
//!
//! - A scope's values have its lifetime `'s`, which the closure must accept whatever it is, so neither
//!   its result nor anything outside can hold one.
//! - While a scope is open, the one around it is borrowed as `&mut`. Containers hold `&Scope`, so none of
//!   an outer scope is alive in an inner one, where its growing would put its memory into what the inner
//!   scope takes back.
//! - A scope is only ever lent, as `&mut Scope<'s>` with an `'s` of its own, so two scopes cannot be swapped.

use core::ptr::NonNull;

use super::Arena;
use super::chunk::Chunk;
use crate::Global;
use crate::allocator_api2::alloc::Allocator;
use crate::checkers;

/// A part of an arena's use that is taken back at its end; see [`Arena::scope`].
///
/// A value lives until its scope ends, through inner scopes:
///
/// ```
/// let mut arena = blockyard::Arena::new();
/// let total = arena.scope(|outer| {
///     let sum = outer.alloc(0);
///     for n in 0..10 {
///         *sum += outer.scope(|inner| inner.alloc_slice_fill_with(n, |i| i).len());
///     }
///     *sum
/// });
/// assert_eq!(total, 45);
/// assert_eq!(arena.stats().used, 0);
/// ```
///
/// `&Scope` is an [`Allocator`](crate::allocator_api2::alloc::Allocator). A container cannot outlive its
/// scope:
///
/// ```compile_fail
/// use blockyard::{Arena, allocator_api2::vec::Vec};
///
/// let mut arena = Arena::new();
/// let escaped = arena.scope(|scope| Vec::<i32, _>::new_in(&*scope));
/// ```
///
/// nor grow in an inner one, which would take its memory back:
///
/// ```compile_fail,E0502
/// use blockyard::{Arena, allocator_api2::vec::Vec};
///
/// let mut arena = Arena::new();
/// arena.scope(|outer| {
///     let mut numbers = Vec::new_in(&*outer);
///     outer.scope(|inner| numbers.push(*inner.alloc(1)));
/// });
/// ```
///
/// nor can a value go from an inner scope to an outer one:
///
/// ```compile_fail
/// let mut arena = blockyard::Arena::new();
/// arena.scope(|outer| {
///     let mut kept: &i32 = outer.alloc(1);
///     outer.scope(|inner| kept = inner.alloc(2));
///     assert_eq!(*kept, 2);
/// });
/// ```
///
/// and the arena is out of reach while a scope of its is open:
///
/// ```compile_fail,E0502
/// let mut arena = blockyard::Arena::new();
/// arena.scope(|scope| arena.alloc(1));
/// ```
#[derive(Debug)]
pub struct Scope<'s, A: Allocator = Global, const MIN_ALIGN: usize = 1> {
    /// Never given out: a handle of it could be kept through an inner scope.
    pub(super) arena: &'s Arena<A, MIN_ALIGN>,
}

/// Where an arena stood.
struct Mark {
    chunk: Option<Chunk>,
    finger: NonNull<u8>,
    large: Option<Chunk>,
}

/// Takes an arena back to a mark, panics included.
struct Rewind<'r, A: Allocator, const MIN_ALIGN: usize> {
    arena: &'r Arena<A, MIN_ALIGN>,
    mark: Mark,
}

impl<A: Allocator, const MIN_ALIGN: usize> Drop for Rewind<'_, A, MIN_ALIGN> {
    fn drop(&mut self) {
        // SAFETY: (A3) the scope has ended, and no value or handle of its can be left (see the module).
        unsafe { self.arena.rewind(&self.mark) };
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// Runs `f` with a scope of this arena, and takes back all that it allocated there, also when it
    /// panics. Values are not dropped; chunks are kept for the next scope.
    ///
    /// # Cost
    ///
    /// A dozen instructions to begin, and as many to end where no chunk was added.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut arena = blockyard::Arena::new();
    /// let longest = arena.scope(|scope| {
    ///     let words = scope.alloc_slice_fill_iter("a few words".split(' ').collect::<Vec<_>>());
    ///     words.iter().map(|word| word.len()).max()
    /// });
    /// assert_eq!((longest, arena.stats().used), (Some(5), 0));
    /// ```
    #[inline]
    pub fn scope<R>(&mut self, f: impl for<'s> FnOnce(&mut Scope<'s, A, MIN_ALIGN>) -> R) -> R {
        Scope { arena: self }.scope(f)
    }

    #[inline]
    fn mark(&self) -> Mark {
        Mark { chunk: self.chunks.head(), finger: self.bump.finger(), large: self.larges.head() }
    }

    /// # Safety
    /// (A3) Nothing that was allocated since the mark was made is used any more, and what was in use then
    /// still is.
    #[inline]
    unsafe fn rewind(&self, mark: &Mark) {
        if self.chunks.head() == mark.chunk && self.larges.head() == mark.large {
            self.note_low();
            let finger = self.bump.finger();
            checkers::hide(finger.as_ptr(), mark.finger.addr().get() - finger.addr().get());
            // SAFETY: (A1) as it was when the mark was made; (A3) passed on.
            unsafe { self.bump.rise(mark.finger) };
        } else {
            // SAFETY: passed on.
            unsafe { self.rewind_far(mark) };
        }
    }

    /// `rewind` where the scope has taken chunks or large blocks.
    ///
    /// # Safety
    /// As for `rewind`.
    #[cold]
    #[inline(never)]
    unsafe fn rewind_far(&self, mark: &Mark) {
        self.note_peak();
        while self.larges.head() != mark.large
            && let Some(chunk) = self.larges.pop()
        {
            self.used_before.set(self.used_before.get() - chunk.used());
            self.spare_larges.insert(chunk);
        }
        while self.chunks.head() != mark.chunk
            && let Some(chunk) = self.chunks.pop()
        {
            self.spares.insert(chunk);
            if let Some(before) = self.chunks.head() {
                // Current again: what `make_current` counted when it was left.
                self.used_before.set(self.used_before.get() - before.used());
                self.wasted.set(self.wasted.get() - (before.capacity() - before.used()));
            }
        }
        match mark.chunk {
            // SAFETY: (A1) as it was when the mark was made: what is below the finger is of this scope.
            Some(chunk) => unsafe {
                checkers::hide(chunk.base().as_ptr(), mark.finger.addr().get() - chunk.base().addr().get());
                self.bump.set(chunk.base(), mark.finger);
            },
            None => {
                self.bump.clear();
                self.restart();
            }
        }
    }
}

impl<A: Allocator, const MIN_ALIGN: usize> Scope<'_, A, MIN_ALIGN> {
    /// Runs `f` with an inner scope, and takes back all that it allocated there. What is in this scope
    /// stays; this scope itself is out of reach until the inner one ends.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut arena = blockyard::Arena::new();
    /// arena.scope(|outer| {
    ///     let kept = outer.alloc(1);
    ///     outer.scope(|inner| inner.alloc_slice_copy(&[0; 1000]).len());
    ///     assert_eq!(*kept, 1);
    /// });
    /// ```
    #[inline]
    pub fn scope<R>(&mut self, f: impl for<'i> FnOnce(&mut Scope<'i, A, MIN_ALIGN>) -> R) -> R {
        let rewind = Rewind { arena: self.arena, mark: self.arena.mark() };
        f(&mut Scope { arena: rewind.arena })
    }
}
