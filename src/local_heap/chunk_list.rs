//! Lists of chunks that one thread owns.

use core::cell::Cell;
use core::ptr;

use crate::config::CHUNK_CACHE;
use crate::raw::chunk::Chunk;

/// Chunks of one class that have free blocks: a ring through the chunks, so that both ends are at
/// hand.
#[derive(Debug)]
pub(super) struct ChunkList {
    first: Cell<*const Chunk>,
}

impl ChunkList {
    pub(super) const fn new() -> Self {
        Self { first: Cell::new(ptr::null()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }

    /// # Safety
    /// (I4) `chunk` is the caller's, alive, and in no list.
    pub(super) unsafe fn push_back(&self, chunk: *const Chunk) {
        let first = self.first.get();
        // SAFETY: (I4) listed chunks are alive and of the same owner.
        unsafe {
            if first.is_null() {
                (*chunk).next.set(chunk);
                (*chunk).prev.set(chunk);
                self.first.set(chunk);
            } else {
                let last = (*first).prev.get();
                (*chunk).next.set(first);
                (*chunk).prev.set(last);
                (*last).next.set(chunk);
                (*first).prev.set(chunk);
            }
        }
    }

    /// # Safety
    /// (I4) `chunk` is in this list.
    pub(super) unsafe fn remove(&self, chunk: *const Chunk) {
        // SAFETY: (I4) listed chunks are alive and of the same owner.
        unsafe {
            let (next, prev) = ((*chunk).next.get(), (*chunk).prev.get());
            if next == chunk {
                self.first.set(ptr::null());
            } else {
                (*next).prev.set(prev);
                (*prev).next.set(next);
                if self.first.get() == chunk {
                    self.first.set(next);
                }
            }
        }
    }

    /// Takes the chunk that has waited longest.
    pub(super) fn pop_front(&self) -> Option<*const Chunk> {
        let first = self.first.get();
        if first.is_null() {
            return None;
        }
        // SAFETY: (I4) it is in the list.
        unsafe { self.remove(first) };
        Some(first)
    }
}

/// A few empty chunks, the last one in front.
#[derive(Debug)]
pub(super) struct ChunkCache {
    chunks: [Cell<*const Chunk>; CHUNK_CACHE],
    len: Cell<usize>,
}

impl ChunkCache {
    pub(super) const fn new() -> Self {
        Self { chunks: [const { Cell::new(ptr::null()) }; CHUNK_CACHE], len: Cell::new(0) }
    }

    /// False when there is no room.
    pub(super) fn push(&self, chunk: *const Chunk) -> bool {
        let len = self.len.get();
        if len == CHUNK_CACHE {
            return false;
        }
        self.chunks[len].set(chunk);
        self.len.set(len + 1);
        true
    }

    /// A chunk that was last of `class`, whose blocks are still linked; else one that is thin if it is for
    /// a light class, else any.
    pub(super) fn pop(&self, class: usize, light: bool) -> Option<*const Chunk> {
        let last = self.len.get().checked_sub(1)?;
        let find = |fits: &dyn Fn(&Chunk) -> bool| {
            // SAFETY: (I4) cached chunks are alive and of this owner.
            (0..=last).rev().find(|&i| unsafe { fits(&*self.chunks[i].get()) })
        };
        let found =
            find(&|chunk| chunk.class() == class).or_else(|| find(&|chunk| !light || chunk.is_thin()))?;
        let taken = self.chunks[found].replace(self.chunks[last].get());
        self.len.set(last);
        Some(taken)
    }

    /// Takes any chunk.
    pub(super) fn pop_any(&self) -> Option<*const Chunk> {
        let last = self.len.get().checked_sub(1)?;
        self.len.set(last);
        Some(self.chunks[last].get())
    }
}
