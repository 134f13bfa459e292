//! An arena's chunks: blocks of the child allocator with a footer at their end.
//!
//! At the end, because the arena gives bytes out from there: the first block of a fresh chunk and the
//! footer share a page.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

use crate::checkers;

/// What stands at a chunk's end.
pub(super) struct Footer {
    /// The child's block, and its first usable byte.
    base: NonNull<u8>,
    /// What the child was asked for.
    layout: Layout,
    /// The next chunk of the list that this one is in.
    next: Cell<Option<Chunk>>,
    /// Bytes in use, where the arena's finger is not in this chunk.
    used: Cell<usize>,
}

/// One chunk, by its footer.
///
/// (A2) The chunk belongs to one arena, is in at most one of its lists, and is alive until that arena
/// gives it back to its child.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk(NonNull<Footer>);

/// Divides every chunk's usable bytes, by number: a cache line, so that 64-byte values do not straddle two
/// where the child's block begins at one.
const LINE: usize = 64;

/// Bytes of a chunk that has at least `usable` usable ones.
pub(super) const fn chunk_size(usable: usize) -> Option<usize> {
    match usable.checked_next_multiple_of(LINE) {
        Some(lines) => lines.checked_add(size_of::<Footer>().next_multiple_of(LINE)),
        None => None,
    }
}

impl Chunk {
    /// Makes a chunk of a block of the child's. What divides its alignment, up to 64, divides the addresses
    /// of both ends of its usable part.
    ///
    /// # Safety
    /// `block` was just allocated for `layout`, which has the size of a chunk and at least the alignment
    /// of a footer.
    pub(super) unsafe fn new(block: NonNull<[u8]>, layout: Layout) -> Self {
        let base = block.cast::<u8>();
        let capacity = (block.len() - size_of::<Footer>()) & !(LINE - 1);
        // SAFETY: the footer is inside the block; the offset is a multiple of the footer's alignment,
        // as is the base's address.
        unsafe {
            let footer = base.byte_add(capacity).cast::<Footer>();
            footer.write(Footer { base, layout, next: Cell::new(None), used: Cell::new(0) });
            Self(footer)
        }
    }

    fn footer(&self) -> &Footer {
        // SAFETY: (A2) the chunk is alive. A footer is only ever shared.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn base(self) -> NonNull<u8> {
        self.footer().base
    }
    /// Just behind the last usable byte.
    pub(super) fn end(self) -> NonNull<u8> {
        self.0.cast()
    }
    /// Usable bytes.
    pub(super) fn capacity(self) -> usize {
        self.0.addr().get() - self.base().addr().get()
    }
    /// Tells memory checkers that nothing is in it.
    #[inline(always)]
    pub(super) fn hide(self) {
        checkers::hide(self.base().as_ptr(), self.capacity());
    }
    /// Tells memory checkers that it goes back to the child.
    #[inline(always)]
    pub(super) fn give_back(self) {
        checkers::give_back(self.base().as_ptr(), self.capacity());
    }
    pub(super) fn layout(self) -> Layout {
        self.footer().layout
    }
    /// Bytes taken from the child.
    pub(super) fn size(self) -> usize {
        self.layout().size()
    }
    pub(super) fn next(self) -> Option<Chunk> {
        self.footer().next.get()
    }
    pub(super) fn used(self) -> usize {
        self.footer().used.get()
    }
    pub(super) fn set_used(self, bytes: usize) {
        self.footer().used.set(bytes);
    }
}

/// A list of chunks.
#[derive(Default)]
pub(super) struct ChunkList(Cell<Option<Chunk>>);

impl ChunkList {
    pub(super) const fn new() -> Self {
        Self(Cell::new(None))
    }

    #[inline(always)]
    pub(super) fn head(&self) -> Option<Chunk> {
        self.0.get()
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.head().is_none()
    }

    pub(super) fn push(&self, chunk: Chunk) {
        chunk.footer().next.set(self.0.replace(Some(chunk)));
    }

    pub(super) fn pop(&self) -> Option<Chunk> {
        let chunk = self.0.get()?;
        self.0.set(chunk.footer().next.take());
        Some(chunk)
    }

    /// Puts `chunk`, in which nothing is, before the first that is not larger.
    pub(super) fn insert(&self, chunk: Chunk) {
        chunk.hide();
        let mut link = &self.0;
        while let Some(other) = link.get()
            && other.capacity() > chunk.capacity()
        {
            // SAFETY: (A2) the chunk is alive for as long as this call: nothing gives it back.
            link = unsafe { &other.0.as_ref().next };
        }
        chunk.footer().next.set(link.replace(Some(chunk)));
    }

    /// Takes out the smallest chunk that `fits`. The list is one that `insert` made.
    pub(super) fn take_smallest(&self, fits: impl Fn(Chunk) -> bool) -> Option<Chunk> {
        let mut link = &self.0;
        let mut found = None;
        while let Some(chunk) = link.get() {
            if fits(chunk) {
                found = Some((link, chunk));
            }
            // SAFETY: (A2) as in `insert`.
            link = unsafe { &chunk.0.as_ref().next };
        }
        let (link, chunk) = found?;
        link.set(chunk.footer().next.take());
        Some(chunk)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Chunk> {
        core::iter::successors(self.head(), |chunk| chunk.next())
    }
}
