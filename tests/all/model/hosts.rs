//! The allocators that the model drives.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::{AllocError, Allocator};
use blockyard::{Global, Heap, LocalHeap};

use super::Host;
use crate::support::block::Block;

/// What a heap says of one of its live blocks.
fn inspect(heap: &Heap, block: &Block) {
    let size = block.layout().size();
    if size != 0 {
        // SAFETY: the block is live, of this heap, and not empty.
        let usable = unsafe { heap.usable_size(block.start()) };
        assert!(usable >= size, "{block:?} has {usable} usable bytes");
        assert!(heap.owns(block.start().as_ptr()), "{block:?}");
        // SAFETY: the last byte is the block's.
        assert!(heap.owns(unsafe { block.start().as_ptr().add(size - 1) }), "{block:?}");
    }
}

impl Host for &Heap {
    type Allocator = Self;
    fn allocator(&self) -> &Self {
        self
    }
    fn inspect(&self, block: &Block) {
        inspect(self, block);
    }
    fn free_unsized(&self, block: Block) -> usize {
        // SAFETY: the model's blocks are of this heap.
        unsafe { block.free_unsized(self) }
    }
    fn flush(&self) {
        Heap::flush(self);
    }
    fn collect(&self) {
        Heap::collect(self);
    }
}

/// A heap through each thread's own handle.
pub(crate) struct Local<'heap> {
    heap: &'heap Heap,
    local: LocalHeap<'heap>,
}

impl<'heap> Local<'heap> {
    pub(crate) fn new(heap: &'heap Heap) -> Self {
        Self { heap, local: heap.local() }
    }
}

impl<'heap> Host for Local<'heap> {
    type Allocator = LocalHeap<'heap>;
    fn allocator(&self) -> &LocalHeap<'heap> {
        &self.local
    }
    fn inspect(&self, block: &Block) {
        inspect(self.heap, block);
    }
    fn free_unsized(&self, block: Block) -> usize {
        // SAFETY: the model's blocks are of this heap.
        unsafe { block.free_unsized(self.heap) }
    }
    fn flush(&self) {
        self.local.flush();
    }
    fn collect(&self) {
        self.heap.collect();
    }
}

impl Host for Global {
    type Allocator = Self;
    fn allocator(&self) -> &Self {
        self
    }
    fn flush(&self) {
        Global::flush(self);
    }
    fn collect(&self) {
        Global::collect(self);
    }
}

/// An allocator that can do no more than the trait says.
pub(crate) struct Plain<A>(pub(crate) A);

impl<A: Allocator> Host for Plain<A> {
    type Allocator = A;
    fn allocator(&self) -> &A {
        &self.0
    }
}

/// [`Global`] through the trait that `#[global_allocator]` uses.
#[derive(Clone, Copy)]
pub(crate) struct AsGlobalAlloc;

// SAFETY: blocks are `Global`'s, which keeps this contract; empty layouts, which `GlobalAlloc` does
// not take, are served here.
unsafe impl Allocator for AsGlobalAlloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Global.allocate(layout);
        }
        // SAFETY: not empty.
        slice(unsafe { Global.alloc(layout) }, layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Global.allocate(layout);
        }
        // SAFETY: not empty.
        slice(unsafe { Global.alloc_zeroed(layout) }, layout)
    }

    unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: passed on; not empty.
            unsafe { Global.dealloc(start.as_ptr(), layout) };
        }
    }

    unsafe fn grow(&self, start: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: passed on; neither is empty where `GlobalAlloc` is called, and the alignment stays.
        unsafe {
            if old.size() == 0 || new.size() == 0 || old.align() != new.align() {
                return Global.grow(start, old, new);
            }
            slice(Global.realloc(start.as_ptr(), old, new.size()), new)
        }
    }

    unsafe fn shrink(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as in `grow`.
        unsafe {
            if old.size() == 0 || new.size() == 0 || old.align() != new.align() {
                return Global.shrink(start, old, new);
            }
            slice(Global.realloc(start.as_ptr(), old, new.size()), new)
        }
    }

    unsafe fn grow_zeroed(
        &self,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: passed on.
        unsafe { Global.grow_zeroed(start, old, new) }
    }
}

fn slice(start: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    let start = NonNull::new(start).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(start, layout.size()))
}

impl Host for AsGlobalAlloc {
    type Allocator = Self;
    fn allocator(&self) -> &Self {
        self
    }
}
