//! rusty_alloc: mimalloc remade in Rust, through the entry points it has for Rust callers.

use std::alloc::{GlobalAlloc, Layout};

use ::rusty_alloc::alloc as entry;

use super::{Contender, Need, Role, Stateless};

pub(crate) struct RustyAlloc;

impl Contender for RustyAlloc {
    type Local = Stateless<Entry>;

    const NAME: &'static str = "rusty_alloc";
    const ROLE: Role = Role::Peer;
    const COLLECTS: bool = true;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(Entry)
    }

    fn collect(&'static self) {
        entry::collect(true);
    }
}

/// The entry points as a `GlobalAlloc`: `malloc_aligned_pow2` and `free_inline_flags_first`, which its
/// documentation names for this use, and the plain ones where a layout allows them.
#[derive(Clone, Copy, Debug)]
pub struct Entry;

/// Whether a plain block of `size` bytes is aligned to `align` without being asked.
const fn is_natural(size: usize, align: usize) -> bool {
    align <= 8 || (align == 16 && size >= 16)
}

// SAFETY: every entry point returns null or a block of at least the size asked for, aligned as asked (or
// naturally, see `is_natural`); any thread may call and free.
unsafe impl GlobalAlloc for Entry {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a layout's alignment is a power of two.
        unsafe { entry::malloc_aligned_pow2(layout.size(), layout.align()) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller passes a live block of this allocator.
        unsafe { entry::free_inline_flags_first(block) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_natural(layout.size(), layout.align()) {
            entry::zalloc(layout.size())
        } else {
            entry::zalloc_aligned(layout.size(), layout.align())
        }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller passes a live block of this allocator.
        unsafe {
            if is_natural(new_size, layout.align()) {
                entry::realloc(block, new_size)
            } else {
                entry::realloc_aligned(block, new_size, layout.align())
            }
        }
    }
}
