//! Free blocks, linked through their own first word.

use core::cell::Cell;
use core::ptr;

use crate::checkers;
use crate::sync::UnsafeCell;

/// A free block: its first word links to the next one.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Block {
    next: UnsafeCell<*mut Block>,
}

impl Block {
    /// A block that links to nothing; models make theirs so.
    #[cfg(loom)]
    pub(crate) fn unlinked() -> Self {
        Self { next: UnsafeCell::new(ptr::null_mut()) }
    }

    /// # Safety
    /// `this` is a free block that the caller holds.
    #[inline(always)]
    pub(crate) unsafe fn next(this: *mut Self) -> *mut Self {
        // SAFETY: (I1) a free block's first word is its link, written by whoever freed it, and
        // only its holder reads it.
        checkers::with_link(this.cast(), || unsafe { (*this).next.with(|next| *next) })
    }

    /// # Safety
    /// `this` is a free block that the caller holds; it is at least one word, word-aligned.
    #[inline(always)]
    pub(crate) unsafe fn set_next(this: *mut Self, next: *mut Self) {
        // SAFETY: (I1) nobody else may touch a block that the caller holds.
        checkers::with_link(this.cast(), || unsafe { (*this).next.with_mut(|link| *link = next) })
    }
}

/// A last-in first-out list of free blocks, used by one thread.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct FreeList {
    head: Cell<*mut Block>,
}

impl FreeList {
    pub(crate) const fn new() -> Self {
        Self { head: Cell::new(ptr::null_mut()) }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// Blocks on the list, counted one by one.
    pub(crate) fn count(&self) -> u64 {
        self.iter().count() as u64
    }

    /// Every block on the list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = *mut Block> {
        let (head, mut last) = (self.head.get(), ptr::null_mut::<Block>());
        core::iter::from_fn(move || {
            // A link is followed when the next block is asked for, so that who sees a broken one can stop.
            // SAFETY: (I1) blocks on the list are free and held by the list's thread.
            last = if last.is_null() { head } else { unsafe { Block::next(last) } };
            (!last.is_null()).then_some(last)
        })
        .fuse()
    }

    /// Takes all of `other`'s blocks in place of its own, of which there are none.
    pub(crate) fn take_over(&self, other: &Self) {
        debug_assert!(self.is_empty());
        self.head.set(other.head.replace(ptr::null_mut()));
    }

    /// Forgets all blocks: their memory is about to be carved or given back.
    pub(crate) fn clear(&self) {
        self.head.set(ptr::null_mut());
    }

    /// Takes the block freed last; null when there is none.
    #[inline(always)]
    pub(crate) fn pop(&self) -> *mut Block {
        let block = self.head.get();
        if !block.is_null() {
            // SAFETY: (I1) blocks on the list are free and held by the list's thread.
            self.head.set(unsafe { Block::next(block) });
        }
        block
    }

    /// # Safety
    /// The caller gives up `block`, which belongs to this list's chunk.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, block: *mut Block) {
        // SAFETY: (I1) the caller held the block until now.
        unsafe { Block::set_next(block, self.head.get()) };
        self.head.set(block);
    }

    /// Puts the whole chain `head..=tail` on the list.
    ///
    /// # Safety
    /// The caller gives up the blocks, which are linked from `head` to `tail` and belong to this
    /// list's chunk.
    pub(crate) unsafe fn splice(&self, head: *mut Block, tail: *mut Block) {
        // SAFETY: (I1) the caller held the chain until now.
        unsafe { Block::set_next(tail, self.head.get()) };
        self.head.set(head);
    }
}
