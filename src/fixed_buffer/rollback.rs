//! A stack of blocks over a caller's bytes.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::num::NonZero;
use core::ptr::NonNull;

use super::base_of;
use crate::arena::{Blocks, implement_allocator};

/// A stack of blocks over bytes of the caller's: what is freed in the order opposite to that of the
/// allocations is there again at once, and what is freed out of order when all above it is freed too.
///
/// `&RollbackStack` is an [`Allocator`](crate::allocator_api2::alloc::Allocator) for one thread. The idea is
/// Odin's rollback stack. Each block has 16 bytes in front of it, and starts at a multiple of 8; there is no
/// search, and the block on top grows and shrinks in place. A [`FixedBuffer`](crate::FixedBuffer) has no such
/// bytes, and keeps what is freed out of order until it is reset.
///
/// # Examples
///
/// ```
/// use std::mem::MaybeUninit;
/// use blockyard::{RollbackStack, allocator_api2::vec::Vec};
///
/// let mut bytes = [MaybeUninit::uninit(); 1024];
/// let stack = RollbackStack::new(&mut bytes);
/// let mut below = Vec::new_in(&stack);
/// below.extend(0..10_u64);
/// let mut above = Vec::new_in(&stack);
/// above.extend(0..10_u64);
/// let used = stack.used();
/// drop(below); // Out of order: it waits for what is above it.
/// assert_eq!(stack.used(), used);
/// drop(above);
/// assert_eq!(stack.used(), 0);
/// ```
pub struct RollbackStack<'b> {
    base: NonNull<u8>,
    capacity: usize,
    /// Where the free bytes begin.
    top: Cell<usize>,
    /// The block on top; 0 when there is none, for no block starts before its header.
    last: Cell<usize>,
    _borrow: PhantomData<&'b mut [MaybeUninit<u8>]>,
}

/// What stands in front of a block. All offsets are from the base.
#[derive(Clone, Copy)]
struct Header {
    /// Where the free bytes began before the block was made.
    top: usize,
    /// The block below, times two, and whether this one is freed.
    below: usize,
}

// SAFETY: the pointer is to bytes that the stack borrows for itself, and nobody uses them when a stack that is
// not borrowed is moved.
unsafe impl Send for RollbackStack<'_> {}

impl<'b> RollbackStack<'b> {
    /// A stack over `bytes`.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// assert_eq!(blockyard::RollbackStack::new(&mut bytes).capacity(), 64);
    /// ```
    #[must_use]
    pub const fn new(bytes: &'b mut [MaybeUninit<u8>]) -> Self {
        let capacity = bytes.len();
        let (top, last) = (Cell::new(0), Cell::new(0));
        Self { base: base_of(bytes), capacity, top, last, _borrow: PhantomData }
    }

    /// Bytes in all.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// assert_eq!(blockyard::RollbackStack::new(&mut bytes).capacity(), 64);
    /// ```
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes below the top: live blocks, freed ones that wait, and what is in front of them.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// assert_eq!(blockyard::RollbackStack::new(&mut bytes).used(), 0);
    /// ```
    #[must_use]
    pub const fn used(&self) -> usize {
        self.top.get()
    }

    /// Whether `ptr` is an address in the bytes, given out or not.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut bytes = [std::mem::MaybeUninit::uninit(); 64];
    /// let stack = blockyard::RollbackStack::new(&mut bytes);
    /// assert!(!stack.contains(&stack));
    /// ```
    #[must_use]
    pub fn contains<T>(&self, ptr: *const T) -> bool {
        ptr.addr().wrapping_sub(self.base.addr().get()) < self.capacity
    }

    /// The header of the block at `offset`.
    ///
    /// # Safety
    /// A block starts there that has not been rolled back.
    unsafe fn header(&self, offset: usize) -> NonNull<Header> {
        // SAFETY: in front of each block, inside the bytes, which is aligned as the block is.
        unsafe { self.base.byte_add(offset).cast::<Header>().sub(1) }
    }

    fn offset_of(&self, block: NonNull<u8>) -> usize {
        block.addr().get() - self.base.addr().get()
    }

    /// Makes the block on top as long as `size`, if there is room.
    fn resize_last(&self, block: NonNull<u8>, size: usize) -> Option<NonNull<u8>> {
        let offset = self.offset_of(block);
        let end = offset.checked_add(size).filter(|&end| end <= self.capacity)?;
        (offset == self.last.get()).then(|| self.top.set(end)).map(|()| block)
    }
}

impl Blocks for RollbackStack<'_> {
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return NonZero::new(layout.align()).map(NonNull::without_provenance);
        }
        let align = layout.align().max(align_of::<Header>());
        let base = self.base.addr().get();
        let lowest = base.checked_add(self.top.get())?.checked_add(size_of::<Header>())?;
        let offset = lowest.checked_next_multiple_of(align)? - base;
        let end = offset.checked_add(layout.size()).filter(|&end| end <= self.capacity)?;
        // SAFETY: the header's place and the block's are above the top, inside the bytes.
        let block = unsafe {
            let below = self.last.replace(offset) << 1;
            self.header(offset).write(Header { top: self.top.replace(end), below });
            self.base.byte_add(offset)
        };
        Some(block)
    }

    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        // SAFETY: the caller's block is live, and blocks up to the last one are not rolled back.
        unsafe {
            self.header(self.offset_of(block)).as_mut().below |= 1;
            while self.last.get() != 0 {
                let header = self.header(self.last.get()).read();
                if header.below & 1 == 0 {
                    break;
                }
                self.top.set(header.top);
                self.last.set(header.below >> 1);
            }
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let fits = old.size() != 0 && block.addr().get().is_multiple_of(new.align());
        if fits { self.resize_last(block, new.size()) } else { None }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        // A block without bytes has no header, so one that is to have none is freed.
        if old.size() != 0 && new.size() == 0 {
            let nothing = self.take(new)?;
            // SAFETY: passed on.
            unsafe { self.give(block, old) };
            return Some(nothing);
        }
        let fits = old.size() != 0 && block.addr().get().is_multiple_of(new.align());
        if fits { self.resize_last(block, new.size()) } else { None }
    }
}

implement_allocator!(allocator_api2_02; [] RollbackStack<'_>);
#[cfg(feature = "allocator-api2-04")]
implement_allocator!(allocator_api2_04; [] RollbackStack<'_>);

impl fmt::Debug for RollbackStack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RollbackStack")
            .field("capacity", &self.capacity)
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}
