//! What is written into blocks, and found there again.

use core::alloc::Layout;
use core::ptr::NonNull;

/// Bytes behind every block that nobody may write: two words, what an off-by-one of any type up to them
/// touches.
const CANARY: usize = 16;
const CANARY_BYTE: u8 = 0xca;
/// What freed memory holds: as a length it is absurd, as a pointer it leads nowhere.
const POISON_BYTE: u8 = 0xdd;
/// Bytes of a freed block that are poisoned at most: it is done under a lock.
const POISON_MAX: usize = 64 << 10;

/// What the child is asked for where a block for `layout` is wanted; `None` when there is no such layout.
#[inline]
pub(super) fn padded(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().checked_add(CANARY)?, layout.align()).ok()
}

/// Bytes of the child's block for `layout`, which was padded.
#[inline]
pub(super) const fn footprint(layout: Layout) -> usize {
    layout.size() + CANARY
}

/// # Safety
/// `block` is a block for `padded(layout)` that nobody else touches behind `layout`.
#[inline]
pub(super) unsafe fn guard(block: NonNull<u8>, layout: Layout) {
    // SAFETY: as the caller promises.
    unsafe { block.add(layout.size()).write_bytes(CANARY_BYTE, CANARY) };
}

/// Where the first byte behind the block that was overwritten lies, counted from the block's start.
///
/// # Safety
/// As for [`guard`], which was called.
#[inline]
pub(super) unsafe fn overwritten(block: NonNull<u8>, layout: Layout) -> Option<usize> {
    // SAFETY: as the caller promises.
    let found = unsafe { block.add(layout.size()).cast::<[u8; CANARY]>().read() };
    if found == [CANARY_BYTE; CANARY] {
        return None;
    }
    Some(layout.size() + found.iter().position(|&byte| byte != CANARY_BYTE)?)
}

/// # Safety
/// `block` is a block for `padded(layout)` that nobody else touches.
#[inline]
pub(super) unsafe fn poison(block: NonNull<u8>, layout: Layout) {
    // SAFETY: as the caller promises.
    unsafe { block.write_bytes(POISON_BYTE, footprint(layout).min(POISON_MAX)) };
}

/// Where the first byte lies that was written after the block was freed, counted from its start.
///
/// # Safety
/// As for [`poison`], which was called.
pub(super) unsafe fn written_after_free(block: NonNull<u8>, layout: Layout) -> Option<usize> {
    let size = footprint(layout).min(POISON_MAX);
    // SAFETY: as the caller promises; initialised by `poison`.
    let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), size) };
    let clean = bytes.chunks(CANARY).take_while(|part| **part == [POISON_BYTE; CANARY][..part.len()]).count();
    let from = clean * CANARY;
    Some(from + bytes.get(from..)?.iter().position(|&byte| byte != POISON_BYTE)?)
}
