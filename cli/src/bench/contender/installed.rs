//! Whatever the program has behind `#[global_allocator]`: called as every `Box` and `Vec` calls it.

use std::alloc::{self, GlobalAlloc, Layout};

use super::{Contender, Need, Role, Stateless};

/// For the programs of `installed`, which have nobody else.
pub(crate) struct Installed;

impl Contender for Installed {
    type Local = Stateless<Entry>;

    const NAME: &'static str = "installed";
    const ROLE: Role = Role::Peer;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(Entry)
    }
}

/// The functions of `std::alloc` as a `GlobalAlloc`. The linker joins them with the program's allocator, so
/// nothing of it is inlined.
pub(crate) struct Entry;

// SAFETY: forwards to the program's global allocator, whose contract is the same.
unsafe impl GlobalAlloc for Entry {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { alloc::alloc(layout) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { alloc::dealloc(block, layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { alloc::alloc_zeroed(layout) }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { alloc::realloc(block, layout, new_size) }
    }
}
