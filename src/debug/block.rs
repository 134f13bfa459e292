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

/// What every block is aligned to at least: see `shadow`.
const ALIGN: usize = 16;

/// What the child is asked for where a block for `layout` is wanted; `None` when there is no such layout.
#[inline(always)]
pub(super) fn padded(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().max(1).checked_add(CANARY)?, layout.align().max(ALIGN)).ok()
}

/// Bytes of the child's block for `layout`, which was padded. More than [`CANARY`].
#[inline(always)]
pub(super) const fn footprint(layout: Layout) -> usize {
    if layout.size() == 0 { 1 + CANARY } else { layout.size() + CANARY }
}

/// # Safety
/// `block` is a block for `padded(layout)` that nobody else touches behind `layout`.
#[inline(always)]
pub(super) unsafe fn guard(block: NonNull<u8>, layout: Layout) {
    // SAFETY: as the caller promises.
    unsafe { block.add(layout.size()).write_bytes(CANARY_BYTE, CANARY) };
}

/// Where the first byte behind the block that was overwritten lies, counted from the block's start.
///
/// # Safety
/// As for [`guard`], which was called.
#[inline(always)]
pub(super) unsafe fn overwritten(block: NonNull<u8>, layout: Layout) -> Option<usize> {
    // SAFETY: as the caller promises.
    let found = unsafe { block.add(layout.size()).cast::<[u8; CANARY]>().read() };
    if u128::from_ne_bytes(found) == u128::from_ne_bytes([CANARY_BYTE; CANARY]) {
        return None;
    }
    Some(layout.size() + found.iter().position(|&byte| byte != CANARY_BYTE)?)
}

/// Bytes that are poisoned of a block for `layout`: not fewer than a word's.
#[inline(always)]
const fn poisoned(layout: Layout) -> usize {
    let all = footprint(layout);
    if all < POISON_MAX { all } else { POISON_MAX }
}

/// Blocks of more bytes are poisoned and looked at by calls of functions made for many.
const SMALL: usize = 512;
type Word = [u8; CANARY];

/// # Safety
/// `block` is a block for `padded(layout)` that nobody else touches.
#[inline(always)]
pub(super) unsafe fn poison(block: NonNull<u8>, layout: Layout) {
    let size = poisoned(layout);
    // SAFETY: as the caller promises; the last word overlaps the one before it.
    unsafe {
        if size > SMALL {
            block.write_bytes(POISON_BYTE, size);
            return;
        }
        // So that this does not become a call of `memset`, which costs more than a few stores.
        let word: Word = core::hint::black_box([POISON_BYTE; CANARY]);
        let mut at = 0;
        while at + CANARY < size {
            block.add(at).cast::<Word>().write(word);
            at += CANARY;
        }
        block.add(size - CANARY).cast::<Word>().write(word);
    }
}

/// Where the first byte lies that was written after the block was freed, counted from its start.
///
/// # Safety
/// As for [`poison`], which was called.
#[inline(always)]
pub(super) unsafe fn written_after_free(block: NonNull<u8>, layout: Layout) -> Option<usize> {
    let size = poisoned(layout);
    const CLEAN: u128 = u128::from_ne_bytes([POISON_BYTE; CANARY]);
    // SAFETY: as the caller promises; initialised by `poison`. The last word overlaps the one before it.
    unsafe {
        let word = |at| u128::from_ne_bytes(block.add(at).cast::<Word>().read()) ^ CLEAN;
        let mut differs = word(size - CANARY);
        let mut at = 0;
        while at + CANARY < size {
            differs |= word(at);
            at += CANARY;
        }
        if differs == 0 {
            return None;
        }
        first_written(core::slice::from_raw_parts(block.as_ptr(), size))
    }
}

#[cold]
fn first_written(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte != POISON_BYTE)
}
