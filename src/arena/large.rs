//! Large blocks: chunks with one block in them.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::chunk::{Chunk, chunk_size};
use super::{Arena, ArenaError};
use crate::allocator_api2::alloc::Allocator;

impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// A block of its own: a kept one, or one from the child.
    pub(super) fn place_large(&self, layout: Layout) -> Result<NonNull<u8>, ArenaError> {
        let fits = |chunk: Chunk| {
            chunk.capacity() >= layout.size() && chunk.base().addr().get().is_multiple_of(layout.align())
        };
        let chunk = match self.spare_larges.take_smallest(fits) {
            Some(chunk) => chunk,
            None => {
                let (size, align) = (chunk_size(layout.size()), layout.align().max(Self::GRANULE));
                self.obtain_at_any_cost(size.ok_or_else(ArenaError::overflow)?, align, layout)?
            }
        };
        chunk.set_used(layout.size());
        self.note_peak();
        self.used_before.set(self.used_before.get() + layout.size());
        self.larges.push(chunk);
        self.publish();
        Ok(chunk.base())
    }

    /// Whether `block`, of `size` bytes, is the large block that was given out last.
    #[inline(always)]
    pub(super) fn is_last_large(&self, block: NonNull<u8>, size: usize) -> bool {
        size != 0 && self.larges.head().is_some_and(|chunk| chunk.base() == block)
    }

    /// Keeps the last large block for the next request that it fits, or the next reset.
    ///
    /// # Safety
    /// (A3) The last large block's user has given it up.
    #[cold]
    pub(super) unsafe fn give_back_large(&self) {
        let Some(chunk) = self.larges.pop() else { return };
        self.note_peak();
        self.used_before.set(self.used_before.get() - chunk.used());
        self.spare_larges.insert(chunk);
    }

    /// Makes the last large block larger: in what it has, or through the child, which can often do it
    /// without copying. `None` where neither works.
    ///
    /// # Safety
    /// (A3) The user of the last large block gives it up for what comes back.
    #[cold]
    pub(super) unsafe fn grow_large(&self, new: Layout) -> Option<NonNull<u8>> {
        let chunk = self.larges.pop()?;
        self.note_peak();
        self.used_before.set(self.used_before.get() - chunk.used());
        let grown = if chunk.capacity() >= new.size() && chunk.base().addr().get().is_multiple_of(new.align())
        {
            Some(chunk)
        } else {
            // SAFETY: (A2) just taken out; (A3) as the caller promises.
            unsafe { self.grow_chunk(chunk, new) }
        };
        let in_use = grown.unwrap_or(chunk);
        if grown.is_some() {
            in_use.set_used(new.size());
        }
        self.used_before.set(self.used_before.get() + in_use.used());
        self.larges.push(in_use);
        grown.map(Chunk::base)
    }

    /// # Safety
    /// (A2) The chunk is in no list; where another comes back, this one is gone. (A3) Nobody uses it.
    unsafe fn grow_chunk(&self, chunk: Chunk, new: Layout) -> Option<Chunk> {
        let (old, used) = (chunk.layout(), chunk.used());
        let align = old.align().max(new.align());
        let layout = Layout::from_size_align(chunk_size(new.size())?, align).ok()?;
        let more = layout.size().checked_sub(old.size())?;
        self.charge(more, new).ok()?;
        // SAFETY: the child's block for `old`; the new size is not smaller. Its footer is copied along or
        // lost, and written anew.
        let grown = unsafe {
            let block = self.child.grow(chunk.base(), old, layout).ok()?;
            Chunk::new(block, layout)
        };
        self.reserved.set(self.reserved.get() + more);
        grown.set_used(used);
        Some(grown)
    }
}
