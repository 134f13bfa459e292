//! With a checker compiled in.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

#[cfg(feature = "asan")]
use super::asan;
#[cfg(feature = "valgrind")]
use super::valgrind;

/// Bytes behind every block that nobody may touch: as many as memcheck keeps beside `malloc`'s blocks.
const GAP: usize = 16;

/// Whether the program runs under a checker. If not, all is as without the feature.
#[inline]
pub(crate) fn is_on() -> bool {
    /// 0 is "not known yet".
    static CHECKED: AtomicU8 = AtomicU8::new(0);
    const YES: u8 = 1;
    const NO: u8 = 2;
    #[cold]
    fn look() -> u8 {
        let mut found = false;
        #[cfg(feature = "valgrind")]
        {
            found |= valgrind::is_there();
        }
        #[cfg(feature = "asan")]
        {
            found |= asan::is_there();
        }
        let known = if found { YES } else { NO };
        CHECKED.store(known, Ordering::Relaxed);
        known
    }
    // ORDER: Relaxed: whoever looks for himself finds the same.
    let known = CHECKED.load(Ordering::Relaxed);
    (if known == 0 { look() } else { known }) == YES
}

/// What is taken in place of `layout`; `None` where it is too large.
fn with_gap(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().checked_add(GAP)?, layout.align()).ok()
}

/// As `raw` does, with a gap behind the block.
#[cold]
pub(crate) fn alloc(layout: Layout, raw: impl FnOnce(Layout) -> *mut u8) -> *mut u8 {
    let Some(roomy) = with_gap(layout) else {
        return ptr::null_mut();
    };
    let block = raw(roomy);
    if !block.is_null() {
        #[cfg(feature = "valgrind")]
        valgrind::allocated(block, layout.size());
        #[cfg(feature = "asan")]
        asan::show(block, layout.size());
    }
    block
}

/// As [`alloc`], all zeroes.
#[cold]
pub(crate) fn alloc_zero(layout: Layout, raw: impl FnOnce(Layout) -> *mut u8) -> *mut u8 {
    let block = alloc(layout, raw);
    if !block.is_null() {
        // SAFETY: the block has these bytes, and is ours.
        unsafe { block.write_bytes(0, layout.size()) };
    }
    block
}

/// Marks `size` bytes of a block that is given up; all that can be used of it, where its size is not known.
fn freed(block: *mut u8, size: usize) {
    #[cfg(feature = "valgrind")]
    valgrind::freed(block);
    #[cfg(feature = "asan")]
    asan::hide(block, size);
    let _ = (block, size);
}

/// Gives a block that [`alloc`] made for `layout` to `raw`.
///
/// # Safety
/// The caller gives up `block`.
#[cold]
pub(crate) unsafe fn dealloc(block: *mut u8, layout: Layout, raw: impl FnOnce(*mut u8, Layout)) {
    freed(block, layout.size());
    // It had one when it was allocated.
    if let Some(roomy) = with_gap(layout) {
        raw(block, roomy);
    }
}

/// As [`dealloc`], for a block of `usable` bytes, its gap included, whose layout nobody knows.
///
/// # Safety
/// The caller gives up `block`.
#[cold]
pub(crate) unsafe fn free(block: *mut u8, usable: usize, raw: impl FnOnce(*mut u8)) {
    freed(block, usable);
    raw(block);
}

/// Always moves: who kept the old address is found.
///
/// # Safety
/// (I1) `block` is a live block for `old` that [`alloc`] made, which the caller gives up unless null comes back.
#[cold]
pub(crate) unsafe fn realloc(
    block: *mut u8,
    old: Layout,
    new: Layout,
    raw_alloc: impl FnOnce(Layout) -> *mut u8,
    raw_dealloc: impl FnOnce(*mut u8, Layout),
) -> *mut u8 {
    let moved = alloc(new, raw_alloc);
    if !moved.is_null() {
        // SAFETY: both blocks are as long as that; (I1) passed on.
        unsafe {
            ptr::copy_nonoverlapping(block, moved, old.size().min(new.size()));
            dealloc(block, old, raw_dealloc);
        }
    }
    moved
}

/// Of `usable` bytes of a live block the caller may use so many, and is allowed to from now on.
#[cold]
pub(crate) fn usable(block: *mut u8, usable: usize) -> usize {
    let size = usable - GAP;
    show(block, size);
    size
}

/// Runs `f`, which follows or writes the link in a free block.
#[inline]
pub(crate) fn with_link<R>(block: *mut u8, f: impl FnOnce() -> R) -> R {
    if !is_on() {
        return f();
    }
    show(block, size_of::<*mut u8>());
    let done = f();
    hide(block, size_of::<*mut u8>());
    done
}

/// Memory that holds no block: whoever touches it is wrong, but for the links in it.
pub(crate) fn hide(start: *mut u8, size: usize) {
    if is_on() {
        #[cfg(feature = "valgrind")]
        valgrind::hide(start, size);
        #[cfg(feature = "asan")]
        asan::hide(start, size);
        let _ = (start, size);
    }
}

/// Memory that we use ourselves from now on, or that a user may use all of.
pub(crate) fn show(start: *mut u8, size: usize) {
    if is_on() {
        #[cfg(feature = "valgrind")]
        valgrind::show(start, size);
        #[cfg(feature = "asan")]
        asan::show(start, size);
        let _ = (start, size);
    }
}

/// Memory that goes back to where it came from.
pub(crate) fn give_back(start: *mut u8, size: usize) {
    if is_on() {
        #[cfg(feature = "valgrind")]
        valgrind::show_undefined(start, size);
        #[cfg(feature = "asan")]
        asan::show(start, size);
        let _ = (start, size);
    }
}

/// A place of `layout` in memory that is hidden, from `raw`, with a gap behind it; `None` for a layout that is too
/// large.
#[cfg(feature = "allocator-api2-02")]
#[cold]
pub(crate) fn place<T>(
    layout: Layout,
    raw: impl FnOnce(Layout) -> T,
    address: impl FnOnce(&T) -> Option<*mut u8>,
) -> Option<T> {
    let roomy = if layout.size() == 0 { layout } else { with_gap(layout)? };
    let placed = raw(roomy);
    if let Some(place) = address(&placed)
        && layout.size() != 0
    {
        give_back(place, layout.size());
        hide(place.wrapping_add(layout.size()), GAP);
    }
    Some(placed)
}
