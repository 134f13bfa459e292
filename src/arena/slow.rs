//! Where the current chunk is full: the next one.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::chunk::{Chunk, chunk_size};
use super::{Arena, ArenaError};
use crate::allocator_api2::alloc::Allocator;

/// Bytes of the first chunk, footer included: a page, and a size class of the block heap.
const FIRST_CHUNK: usize = 4 << 10;

/// Usable bytes of the first chunk.
const FIRST_ROOM: usize = {
    let footer = chunk_size(0).expect("no overflow");
    FIRST_CHUNK - footer
};

/// Bytes of a chunk at most, where no request needs more: the largest run of chunks inside a segment of
/// the block heap. Beyond it, larger chunks save nothing: one slow path serves 16,000 blocks of 64 bytes.
pub(super) const LAST_CHUNK: usize = 1 << 20;

/// Bytes of a chunk that stands for several, at most.
const LARGEST_CHUNK: usize = 4 << 20;

/// A request for more than this part of the next chunk gets a block of its own. It bounds what is left
/// at the end of a chunk by a quarter of the chunk after it.
const LARGE: usize = 4;

impl<A: Allocator, const MIN_ALIGN: usize> Arena<A, MIN_ALIGN> {
    /// What most first chunks have. As a constant where chunks are released, too.
    const FIRST_LAYOUT: Layout = match Layout::from_size_align(FIRST_CHUNK, Self::GRANULE) {
        Ok(layout) => layout,
        Err(_) => panic!("the granule is a power of two"),
    };

    /// The place for `layout` that the current chunk does not have. Out of line, so that what calls it
    /// is small enough to be inlined.
    #[cold]
    #[inline(never)]
    pub(super) fn place_slow(&self, layout: Layout) -> Result<NonNull<u8>, ArenaError> {
        if layout.size() == 0 {
            return Ok(Self::nowhere(layout.align()));
        }
        let need = Self::worst_case(layout)?;
        if need > self.next_chunk_size() / LARGE {
            return self.place_large(layout);
        }
        self.next_chunk(need, layout)?;
        self.publish();
        self.bump.take(layout, Self::GRANULE).ok_or_else(|| ArenaError::refused(self.shared_name(), layout))
    }

    /// Makes a chunk current that has room for `bytes`.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), ArenaError> {
        let layout = Layout::from_size_align(bytes, Self::GRANULE).map_err(|_| ArenaError::overflow())?;
        let need = Self::worst_case(layout)?;
        self.next_chunk(need, layout)
    }

    /// Bytes in which `layout` fits, wherever they begin.
    fn worst_case(layout: Layout) -> Result<usize, ArenaError> {
        let granules = layout.size().checked_next_multiple_of(Self::GRANULE);
        let slack = layout.align().max(Self::GRANULE) - Self::GRANULE;
        granules.and_then(|size| size.checked_add(slack)).ok_or_else(ArenaError::overflow)
    }

    /// Twice as many bytes as the last one while the arena grows. It depends on what is reserved alone,
    /// so that large blocks make the chunks grow too, and a thousand blocks of 2 KiB are not all large.
    fn next_chunk_size(&self) -> usize {
        let reserved = self.reserved.get().min(LAST_CHUNK - 1);
        (reserved + 1).next_power_of_two().max(FIRST_CHUNK)
    }

    #[inline]
    fn next_chunk(&self, need: usize, request: Layout) -> Result<(), ArenaError> {
        let spare = self.spares.head().filter(|chunk| chunk.capacity() >= need);
        if spare.is_some() {
            self.spares.pop();
        }
        let chunk = match spare {
            Some(chunk) => chunk,
            None => self.new_chunk(need, request)?,
        };
        self.make_current(chunk);
        Ok(())
    }

    /// A chunk of the size that is due.
    #[inline]
    fn new_chunk(&self, need: usize, request: Layout) -> Result<Chunk, ArenaError> {
        if self.next_chunk_size() == FIRST_CHUNK && need <= FIRST_ROOM {
            // Of a constant size: the child need not look for its class.
            if let Ok(first) = self.obtain(FIRST_CHUNK, Self::GRANULE, request) {
                return Ok(first);
            }
        }
        self.new_chunk_or_smaller(need, request)
    }

    /// A chunk of the size that is due, or the largest that the child and the limit allow, by halves.
    #[inline(never)]
    fn new_chunk_or_smaller(&self, need: usize, request: Layout) -> Result<Chunk, ArenaError> {
        let least = chunk_size(need).ok_or_else(ArenaError::overflow)?;
        let mut size = self.next_chunk_size().max(least);
        while size > least {
            if let Ok(chunk) = self.obtain(size, Self::GRANULE, request) {
                return Ok(chunk);
            }
            size = (size / 2).max(least);
        }
        self.obtain_at_any_cost(least, Self::GRANULE, request)
    }

    /// `obtain`, giving up what is kept if it must.
    pub(super) fn obtain_at_any_cost(
        &self,
        size: usize,
        align: usize,
        request: Layout,
    ) -> Result<Chunk, ArenaError> {
        self.obtain(size, align, request).or_else(|error| {
            if !self.release_spares() {
                return Err(error);
            }
            self.obtain(size, align, request)
        })
    }

    /// A chunk of `size` bytes from the child.
    #[inline]
    fn obtain(&self, size: usize, align: usize, request: Layout) -> Result<Chunk, ArenaError> {
        let layout = Layout::from_size_align(size, align).map_err(|_| ArenaError::overflow())?;
        self.charge(size, request)?;
        let block = self.child.allocate(layout);
        let block = block.map_err(|_| ArenaError::refused(self.shared_name(), request))?;
        self.reserved.set(self.reserved.get() + size);
        // SAFETY: (A2) just allocated, with room for a footer, and in no list.
        Ok(unsafe { Chunk::new(block, layout) })
    }

    /// Whether the limit allows `more` bytes.
    pub(super) fn charge(&self, more: usize, request: Layout) -> Result<(), ArenaError> {
        if more > self.limit.saturating_sub(self.reserved.get()) {
            return Err(ArenaError::limit_reached(self.shared_name(), self.limit, request));
        }
        Ok(())
    }

    /// Gives a chunk back to the child.
    ///
    /// # Safety
    /// (A2) The chunk is this arena's and in no list. (A3) Nobody uses what is in it.
    #[inline]
    pub(super) unsafe fn release(&self, chunk: Chunk) {
        let (base, layout) = (chunk.base(), chunk.layout());
        chunk.give_back();
        self.reserved.set(self.reserved.get() - layout.size());
        if layout == Self::FIRST_LAYOUT {
            // SAFETY: the child's block for this layout, given up.
            unsafe { self.child.deallocate(base, Self::FIRST_LAYOUT) };
        } else {
            // SAFETY: as above.
            unsafe { self.child.deallocate(base, layout) };
        }
    }

    /// Begins anew where nothing is in use: with one chunk for all that is kept, where it is not too much
    /// for one, so that rounds as large as the last one need neither a second chunk nor a long reset.
    ///
    /// The new chunk is obtained first, although that takes twice the memory for a moment: whatever the
    /// child says, what is kept stays kept.
    pub(super) fn restart(&self) {
        let kept = || self.spares.iter().chain(self.spare_larges.iter());
        let bytes = kept().map(Chunk::size).sum();
        let several = kept().nth(1).is_some();
        if several
            && bytes <= LARGEST_CHUNK
            && let Ok(layout) = Layout::from_size_align(bytes, Self::GRANULE)
            && let Ok(chunk) = self.obtain(bytes, Self::GRANULE, layout)
        {
            self.release_spares();
            self.spares.push(chunk);
        }
        if let Some(chunk) = self.spares.pop() {
            self.make_current(chunk);
        }
    }

    /// Gives back what is kept; false where that is nothing.
    fn release_spares(&self) -> bool {
        let mut any = false;
        for list in [&self.spares, &self.spare_larges] {
            while let Some(chunk) = list.pop() {
                any = true;
                // SAFETY: (A2) just taken out; (A3) nothing is in a spare.
                unsafe { self.release(chunk) };
            }
        }
        any
    }

    /// Leaves the current chunk as it is for `chunk`, in which nothing is.
    pub(super) fn make_current(&self, chunk: Chunk) {
        self.note_peak();
        if let Some(full) = self.chunks.head() {
            let used = self.used_in_current();
            full.set_used(used);
            self.used_before.set(self.used_before.get() + used);
            self.wasted.set(self.wasted.get() + self.bump.room());
        }
        self.chunks.push(chunk);
        self.bump_from(chunk);
    }
}
