//! One run of bytes, given out from its end downwards.
//!
//! Downwards, rounding to an alignment is one `and`, and it cannot overflow.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// The free part of a run of bytes.
///
/// (A1) `start` and `finger` point into one run, or `finger` just behind it, with leave to use all of it;
/// `start <= finger`; nobody uses what lies between them; the finger is a multiple of `MIN_ALIGN`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Bump<const MIN_ALIGN: usize> {
    finger: Cell<NonNull<u8>>,
    start: Cell<NonNull<u8>>,
}

impl<const MIN_ALIGN: usize> Bump<MIN_ALIGN> {
    /// No bytes at all, at an address that is a multiple of every alignment up to 64.
    pub(crate) const fn empty() -> Self {
        // An address without memory: there is nothing between start and finger.
        let nowhere = NonNull::without_provenance(core::num::NonZero::new(64).expect("not 0"));
        Self { finger: Cell::new(nowhere), start: Cell::new(nowhere) }
    }

    /// # Safety
    /// (A1) for `start` and `finger`.
    pub(crate) const unsafe fn new(start: NonNull<u8>, finger: NonNull<u8>) -> Self {
        Self { finger: Cell::new(finger), start: Cell::new(start) }
    }

    /// # Safety
    /// (A1) for `start` and `finger`.
    pub(crate) unsafe fn set(&self, start: NonNull<u8>, finger: NonNull<u8>) {
        self.start.set(start);
        self.finger.set(finger);
    }

    /// Moves the finger up.
    ///
    /// # Safety
    /// `finger` stood there before, in this run, and nobody uses what was given out since.
    #[inline(always)]
    pub(crate) unsafe fn rise(&self, finger: NonNull<u8>) {
        self.finger.set(finger);
    }

    /// Leaves what it has: no bytes at all.
    pub(crate) fn clear(&self) {
        let Self { finger, start } = Self::empty();
        self.finger.set(finger.get());
        self.start.set(start.get());
    }

    pub(crate) fn finger(&self) -> NonNull<u8> {
        self.finger.get()
    }

    /// Bytes between start and finger.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.finger.get().addr().get() - self.start.get().addr().get()
    }

    /// The highest place for `layout`; `None` where it does not fit. `start_align` divides `start`: with
    /// an alignment up to it, nothing that fits can be rounded down to below `start`.
    #[inline(always)]
    pub(crate) fn take(&self, layout: Layout, start_align: usize) -> Option<NonNull<u8>> {
        let finger = self.finger.get();
        let top = finger.addr().get();
        let start = self.start.get().addr().get();
        if layout.size() > top - start {
            return None;
        }
        let low = Self::lower(top, layout);
        if layout.align() > start_align && low < start {
            return None;
        }
        // SAFETY: (A1) `start <= low <= top`, so this stays in the run.
        let place = unsafe { finger.byte_sub(top - low) };
        self.finger.set(place);
        Some(place)
    }

    /// Where a block of `layout` begins that ends at `top` or less. `top >= layout.size()`.
    #[inline(always)]
    fn lower(top: usize, layout: Layout) -> usize {
        let low = top - layout.size();
        // Not for 1: where the alignment is known at run time only, the branch costs more than the `and`.
        if MIN_ALIGN > 1 && layout.align() <= MIN_ALIGN && layout.size().is_multiple_of(MIN_ALIGN) {
            low // so is `top`
        } else {
            low & !(layout.align().max(MIN_ALIGN) - 1)
        }
    }

    /// Whether `block`, of `size` bytes, is the one that was given out last.
    ///
    /// A block that has bytes and begins at the finger lies just above it, in this run.
    #[inline(always)]
    pub(crate) fn is_last(&self, block: NonNull<u8>, size: usize) -> bool {
        size != 0 && block == self.finger.get()
    }

    /// Takes back the last block.
    ///
    /// # Safety
    /// The last block has `size` bytes, and its user has given it up.
    #[inline(always)]
    pub(crate) unsafe fn give_back(&self, size: usize) {
        let finger = self.finger.get();
        let top = (finger.addr().get() + size).next_multiple_of(MIN_ALIGN);
        // SAFETY: (A1) the finger stood at `top` or above when the block was given out. The finger may
        // use the whole run, which `block` may not.
        self.finger.set(unsafe { finger.byte_add(top - finger.addr().get()) });
    }

    /// Makes the last block larger, moving its contents down; `None` where there is no room.
    ///
    /// # Safety
    /// The last block is a live one for `old`, and its user gives it up for what comes back;
    /// `new.size() >= old.size()`.
    #[inline]
    pub(crate) unsafe fn grow_last(&self, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let finger = self.finger.get();
        let (from, start) = (finger.addr().get(), self.start.get().addr().get());
        let top = from + old.size();
        if new.size() > top - start {
            return None;
        }
        let low = Self::lower_any(top, new);
        if low < start {
            return None;
        }
        // SAFETY: (A1) `start <= low <= from`: the new block reaches from free bytes to the old block's
        // end at most.
        unsafe {
            let place = finger.byte_sub(from - low);
            ptr::copy(finger.as_ptr(), place.as_ptr(), old.size());
            self.finger.set(place);
            Some(place)
        }
    }

    /// Makes the last block smaller where that frees at least half of it, moving its contents up; `None`
    /// where it stays as it is.
    ///
    /// Less is not worth the copy: a container that pops and shrinks in turn would take quadratic time.
    ///
    /// # Safety
    /// The last block is a live one for `old`, and its user gives it up for what comes back;
    /// `new.size() <= old.size()`.
    #[inline]
    pub(crate) unsafe fn shrink_last(&self, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let finger = self.finger.get();
        let from = finger.addr().get();
        let low = Self::lower_any(from + old.size(), new);
        if low < from + old.size().div_ceil(2) {
            return None;
        }
        // SAFETY: (A1) the new block lies in the old one's bytes.
        unsafe {
            let place = finger.byte_add(low - from);
            ptr::copy(finger.as_ptr(), place.as_ptr(), new.size());
            self.finger.set(place);
            Some(place)
        }
    }

    /// As `lower`, for a `top` that need not be a multiple of `MIN_ALIGN`.
    fn lower_any(top: usize, layout: Layout) -> usize {
        (top - layout.size()) & !(layout.align().max(MIN_ALIGN) - 1)
    }
}
