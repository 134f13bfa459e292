//! What becomes of a request without a place: an error, or a panic.

use core::alloc::Layout;
use core::convert::Infallible;
use core::ptr::NonNull;

use super::{Arena, ArenaError, error};
use crate::allocator_api2::alloc::{AllocError, Allocator};

/// The error of a method that allocates. The panicking methods have [`Infallible`]: they panic where the
/// others make an error.
///
/// A type, not an `expect` around the other method: an `ArenaError` is five words and owns a name, and
/// carrying one through the fast path costs its caller a stack frame and an unwinding path, by which loops
/// around `alloc` are too large to be inlined.
pub(super) trait Refusal: Sized {
    /// [`Arena::place_slow`], out of line to its end.
    #[track_caller]
    fn place_slow<A: Allocator, const MIN_ALIGN: usize>(
        arena: &Arena<A, MIN_ALIGN>,
        layout: Layout,
    ) -> Result<NonNull<u8>, Self>;

    /// For a size that no layout has.
    #[track_caller]
    fn overflow() -> Self;
}

impl Refusal for ArenaError {
    #[inline(always)]
    fn place_slow<A: Allocator, const MIN_ALIGN: usize>(
        arena: &Arena<A, MIN_ALIGN>,
        layout: Layout,
    ) -> Result<NonNull<u8>, Self> {
        arena.place_slow(layout)
    }

    fn overflow() -> Self {
        ArenaError::overflow()
    }
}

impl Refusal for AllocError {
    #[cold]
    #[inline(never)]
    fn place_slow<A: Allocator, const MIN_ALIGN: usize>(
        arena: &Arena<A, MIN_ALIGN>,
        layout: Layout,
    ) -> Result<NonNull<u8>, Self> {
        arena.place_slow(layout).map_err(|_| AllocError)
    }

    fn overflow() -> Self {
        AllocError
    }
}

impl Refusal for Infallible {
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn place_slow<A: Allocator, const MIN_ALIGN: usize>(
        arena: &Arena<A, MIN_ALIGN>,
        layout: Layout,
    ) -> Result<NonNull<u8>, Self> {
        Ok(error::expect(arena.place_slow(layout)))
    }

    #[cold]
    #[track_caller]
    fn overflow() -> Self {
        error::expect(Err(ArenaError::overflow()))
    }
}

/// The value of a method that cannot return without one.
#[inline(always)]
pub(super) fn always<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}
