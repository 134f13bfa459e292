//! The physical limit: one intrusive free list per thread, no checks, no thread lookup.
//!
//! It can serve one block size, never grows and never looks where a block came from, so it is no
//! allocator. It says what the memory accesses that no allocator can do without cost on this machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use super::{Contender, Need, Reach, Role, ThreadAlloc};

pub(crate) struct Limit;

impl Contender for Limit {
    type Local = FreeList;

    const NAME: &'static str = "limit";
    const ROLE: Role = Role::Limit;
    const REACH: Reach = Reach::OneSize;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, need: Need) -> FreeList {
        FreeList::new(need)
    }
}

/// A list of free blocks, linked through their first words.
pub(crate) struct FreeList {
    head: Box<Cell<*mut u8>>,
    slab: *mut u8,
    layout: Layout,
}

impl FreeList {
    fn new(need: Need) -> Self {
        assert!(
            need.size >= size_of::<*mut u8>() && need.blocks > 0,
            "the limit serves rows of one block size only"
        );
        let layout = Layout::from_size_align(need.size * need.blocks, 64).expect("a small slab");
        // SAFETY: the layout has a size above zero.
        let slab = unsafe { System.alloc(layout) };
        assert!(!slab.is_null(), "no memory for the limit's slab");
        let mut next: *mut u8 = std::ptr::null_mut();
        for index in (0..need.blocks).rev() {
            // SAFETY: the block lies in the slab and is at least one aligned word long.
            unsafe {
                let block = slab.add(index * need.size);
                block.cast::<*mut u8>().write(next);
                next = block;
            }
        }
        let head = Box::new(Cell::new(next));
        // Seen from outside: the compiler may not keep the head in a register, as no real handle could.
        black_box(&raw const *head);
        Self { head, slab, layout }
    }
}

impl Drop for FreeList {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; every block of it is dead when its list is.
        unsafe { System.dealloc(self.slab, self.layout) }
    }
}

// SAFETY: the rows that use it declare size and number of blocks in `Need`, keep within them, and free on
// the thread that allocated.
unsafe impl ThreadAlloc for FreeList {
    #[inline(always)]
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        let block = self.head.get();
        // SAFETY: the row keeps within the blocks it declared, so the list is not empty, and a free
        // block's first word is the link.
        self.head.set(unsafe { block.cast::<*mut u8>().read() });
        block
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller passes a live block of this list: its first word is ours again.
        unsafe { block.cast::<*mut u8>().write(self.head.get()) };
        self.head.set(block);
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same; the block is `layout.size()` bytes long.
        unsafe {
            let block = self.alloc(layout);
            block.write_bytes(0, layout.size());
            block
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        assert!(new_size <= layout.size(), "the limit has one block size");
        block
    }
}
