//! Where segments come from: the operating system, or any allocator.
//!
//! This is what Flecs calls its OS API: the calls through which a heap gets every byte it uses.
//! A heap asks for few, large, aligned pieces ([`Source::reserve`]), says which parts it is about to
//! use ([`Source::commit`]), and which it does not need for now ([`Source::purge`]).

mod portable;
#[cfg(all(unix, not(miri)))]
mod system;

use core::ptr::NonNull;

pub use portable::FromAlloc;
#[cfg(any(not(unix), miri))]
pub use portable::System;
#[cfg(all(unix, not(miri)))]
pub use system::System;

/// The state of memory after [`Source::purge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purged {
    /// The memory was given back; it reads as zero when touched again.
    Zeroed,
    /// The memory was given back; it reads as anything when touched again.
    Unspecified,
    /// Nothing was given back and the contents are as they were.
    Kept,
}

/// Supplies a [`Heap`](crate::Heap) with memory.
///
/// Sizes and alignments are in bytes; sizes are multiples of 4096, alignments powers of two of at
/// least 4 MiB. The heap calls a source on slow paths only, from any thread, and never holds a lock
/// of its own that another heap could wait for.
///
/// # Safety
///
/// A reservation is memory that nobody else uses until it is released, at the alignment asked for.
/// Once committed (in parts or whole), memory stays readable, writable and at its address until it is
/// released or remapped. A source must outlive what it reserved, must not unwind, and must not
/// allocate from the heap that it serves. [`Source::fresh_is_zero`] must be true to its word.
///
/// # Examples
///
/// A source that counts what passes through it:
///
/// ```
/// use std::ptr::NonNull;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use blockyard::source::{Purged, Source, System};
///
/// #[derive(Default)]
/// struct Counting { reserved: AtomicUsize }
///
/// // SAFETY: every call is passed on to `System`, which keeps the contract.
/// unsafe impl Source for Counting {
///     fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
///         self.reserved.fetch_add(size, Ordering::Relaxed);
///         System.reserve(size, align)
///     }
///     unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
///         unsafe { System.release(start, size, align) }
///     }
///     unsafe fn purge(&self, start: NonNull<u8>, size: usize) -> Purged {
///         unsafe { System.purge(start, size) }
///     }
///     fn fresh_is_zero(&self) -> bool { System.fresh_is_zero() }
/// }
///
/// let heap = blockyard::Heap::builder().source(Counting::default()).build()?;
/// # Ok::<(), blockyard::BuildError>(())
/// ```
pub unsafe trait Source: Send + Sync {
    /// Reserves `size` bytes of address space aligned to `align`; `None` when there are none.
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>>;

    /// Makes `size` bytes at `start` usable; false when the system refuses. Called before the first
    /// use of each part of a reservation, at most once per part. The default does nothing, for
    /// sources whose reservations are usable as they are.
    ///
    /// # Safety
    /// The range lies in one live reservation of this source.
    unsafe fn commit(&self, start: NonNull<u8>, size: usize) -> bool {
        let _ = (start, size);
        true
    }

    /// Gives the memory behind `size` bytes at `start` back while keeping the range usable. The
    /// default keeps everything.
    ///
    /// # Safety
    /// The range lies in one live reservation of this source, is committed, and holds nothing that
    /// anybody needs.
    unsafe fn purge(&self, start: NonNull<u8>, size: usize) -> Purged {
        let _ = (start, size);
        Purged::Kept
    }

    /// Told that all of `size` bytes at `start` will be used, so that huge pages would pay. The default
    /// does nothing.
    ///
    /// # Safety
    /// The range lies in one live reservation of this source.
    unsafe fn expect_dense(&self, start: NonNull<u8>, size: usize) {
        let _ = (start, size);
    }

    /// Makes `size` bytes at `start` inaccessible until the reservation is released, so that a stray access ends
    /// the process; false where that cannot be. A hardened heap asks for it, for parts that it does not use. The
    /// default does nothing, which is always right.
    ///
    /// # Safety
    /// The range lies in one live reservation of this source, and nobody uses it.
    unsafe fn guard(&self, start: NonNull<u8>, size: usize) -> bool {
        let _ = (start, size);
        false
    }

    /// Gives a whole reservation back.
    ///
    /// # Safety
    /// `start`, `size` and `align` are those of one live reservation, which nobody uses any more.
    unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize);

    /// Grows or shrinks a whole reservation from `old_size` to `new_size`, in place or by moving
    /// its contents to another address of the same alignment, without copying; committed parts stay
    /// committed and what is added is committed. `None` leaves everything as it was. The default
    /// cannot.
    ///
    /// # Safety
    /// `start`, `old_size` and `align` are those of one live reservation, committed as a whole.
    unsafe fn remap(
        &self,
        start: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        let _ = (start, old_size, new_size, align);
        None
    }

    /// Whether parts of a committed reservation may be used as reservations of their own, and neighbouring parts of
    /// one as one again: released, remapped and purged. Parts begin at multiples of the alignment. Then a mapping
    /// that is too large for a block is used as two, instead of giving pages back that are soon wanted again.
    /// The default says no.
    fn splits(&self) -> bool {
        false
    }

    /// Whether memory that was just reserved reads as zero. The default says no.
    fn fresh_is_zero(&self) -> bool {
        false
    }
}
