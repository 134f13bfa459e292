//! Places for values and slices, for the methods that panic and for those that do not.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::slice;

use super::copy::copy_bytes;
use super::refusal::Refusal;
use super::{Arena, ArenaBox};
use crate::allocator_api2::alloc::Allocator;
use crate::checkers;

#[allow(clippy::mut_from_ref, reason = "each call gives out another place")]
impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// The fast path: a place in the current chunk.
    #[inline(always)]
    #[track_caller]
    pub(super) fn place<E: Refusal>(&self, layout: Layout) -> Result<NonNull<u8>, E> {
        if checkers::is_on() {
            let address = |placed: &Result<NonNull<u8>, E>| placed.as_ref().ok().map(|place| place.as_ptr());
            let placed = checkers::place(layout, |roomy| self.place_raw(roomy), address);
            return placed.unwrap_or_else(|| Err(E::overflow()));
        }
        self.place_raw(layout)
    }

    #[inline(always)]
    #[track_caller]
    fn place_raw<E: Refusal>(&self, layout: Layout) -> Result<NonNull<u8>, E> {
        match self.bump.take(layout, Self::GRANULE) {
            Some(place) => Ok(place),
            None => E::place_slow(self, layout),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn place_slice<T, E: Refusal>(&self, len: usize) -> Result<NonNull<T>, E> {
        match Layout::array::<T>(len) {
            Ok(layout) => Ok(self.place(layout)?.cast()),
            Err(_) => Err(E::overflow()),
        }
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn value<T, E: Refusal>(&self, value: T) -> Result<&mut T, E> {
        // Not through `value_with`: the closure would cost a second copy of the value.
        let mut place = self.place::<E>(Layout::new::<T>())?.cast::<T>();
        // SAFETY: (A1) the place was just given out for a `T`; (A3) it stays as long as the borrow.
        unsafe {
            place.write(value);
            Ok(place.as_mut())
        }
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn value_with<T, E: Refusal>(&self, make: impl FnOnce() -> T) -> Result<&mut T, E> {
        let mut place = self.place::<E>(Layout::new::<T>())?.cast::<T>();
        // SAFETY: (A1) the place was just given out for a `T`; (A3) it stays as long as the borrow.
        unsafe {
            place.write(make());
            Ok(place.as_mut())
        }
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn boxed<T, E: Refusal>(&self, value: T) -> Result<ArenaBox<'_, T>, E> {
        let place = self.place::<E>(Layout::new::<T>())?.cast::<T>();
        // SAFETY: (A1) as in `value_with`; the box is the value's only owner.
        unsafe {
            place.write(value);
            Ok(ArenaBox::new(place))
        }
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn slice_copy<T: Copy, E: Refusal>(&self, source: &[T]) -> Result<&mut [T], E> {
        let place = self.place::<E>(Layout::for_value(source))?.cast::<T>();
        // SAFETY: (A1) as in `value_with`: as many bytes as the source has, which they do not overlap.
        unsafe {
            copy_bytes(NonNull::from(source).cast(), place.cast(), size_of_val(source));
            Ok(slice::from_raw_parts_mut(place.as_ptr(), source.len()))
        }
    }

    #[inline]
    #[track_caller]
    pub(super) fn slice_fill_with<T, E: Refusal>(
        &self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], E> {
        let place = self.place_slice::<T, E>(len)?;
        // SAFETY: (A1) as in `value_with`, for `len` elements.
        unsafe {
            for index in 0..len {
                place.add(index).write(make(index));
            }
            Ok(slice::from_raw_parts_mut(place.as_ptr(), len))
        }
    }

    #[inline]
    #[track_caller]
    pub(super) fn slice_fill_iter<T, I, E: Refusal>(&self, elements: I) -> Result<&mut [T], E>
    where
        I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    {
        let elements = elements.into_iter();
        let len = elements.len();
        let place = self.place_slice::<T, E>(len)?;
        let mut made = 0;
        // SAFETY: (A1) as in `value_with`, for `len` elements: `take` lets through no more, and the
        // slice has those that were made.
        unsafe {
            for element in elements.take(len) {
                place.add(made).write(element);
                made += 1;
            }
            Ok(slice::from_raw_parts_mut(place.as_ptr(), made))
        }
    }
}
