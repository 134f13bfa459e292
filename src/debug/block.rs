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

/// What [`padded`] said of a layout.
///
/// # Safety
/// It said so.
#[inline(always)]
pub(super) unsafe fn padded_before(layout: Layout) -> Layout {
    let align = if layout.align() < ALIGN { ALIGN } else { layout.align() };
    // SAFETY: as the caller promises.
    unsafe { Layout::from_size_align_unchecked(footprint(layout), align) }
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
    unsafe { word::write(block.add(layout.size()), word::of(&CANARY_WORD)) };
}

/// Where the first byte behind the block that was overwritten lies, counted from the block's start.
///
/// # Safety
/// As for [`guard`], which was called.
#[inline(always)]
pub(super) unsafe fn overwritten(block: NonNull<u8>, layout: Layout) -> Option<usize> {
    // SAFETY: as the caller promises.
    unsafe {
        let behind = block.add(layout.size());
        if word::is(word::read(behind), &CANARY_WORD) {
            return None;
        }
        let found = behind.cast::<[u8; CANARY]>().read();
        Some(layout.size() + found.iter().position(|&byte| byte != CANARY_BYTE)?)
    }
}

// Constants, so that the program has them at hand; in a library of ours they would be looked up first.
const CANARY_WORD: word::Bytes = word::Bytes([CANARY_BYTE; CANARY]);
const POISON_WORD: word::Bytes = word::Bytes([POISON_BYTE; CANARY]);
const NOTHING: word::Bytes = word::Bytes([0; CANARY]);
const _: () = assert!(size_of::<word::Bytes>() == CANARY);

/// 16 bytes at once: in one instruction where the compiler would make two of it.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod word {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_storeu_si128,
        _mm_xor_si128,
    };
    use core::ptr::NonNull;

    #[repr(C, align(16))]
    pub(super) struct Bytes(pub(super) [u8; 16]);
    pub(super) type Word = __m128i;

    /// # Safety
    /// `at` is 16 initialised bytes.
    #[inline(always)]
    pub(super) unsafe fn read(at: NonNull<u8>) -> Word {
        // SAFETY: as the caller promises.
        unsafe { _mm_loadu_si128(at.as_ptr().cast()) }
    }
    /// # Safety
    /// `at` is 16 bytes that nobody else touches.
    #[inline(always)]
    pub(super) unsafe fn write(at: NonNull<u8>, word: Word) {
        // SAFETY: as the caller promises.
        unsafe { _mm_storeu_si128(at.as_ptr().cast(), word) }
    }
    #[inline(always)]
    pub(super) fn of(bytes: &'static Bytes) -> Word {
        // SAFETY: 16 bytes.
        unsafe { _mm_loadu_si128(bytes.0.as_ptr().cast()) }
    }
    /// As [`of`], but the compiler does not know what they are.
    #[inline(always)]
    pub(super) fn hidden(bytes: &'static Bytes) -> Word {
        // SAFETY: 16 bytes, aligned as such.
        unsafe { core::ptr::from_ref(bytes).cast::<Word>().read_volatile() }
    }
    /// The bits in which `a` differs from `b`, and those of `others`.
    #[inline(always)]
    pub(super) fn differs(a: Word, b: Word, others: Word) -> Word {
        // SAFETY: every processor of this architecture can.
        unsafe { _mm_or_si128(others, _mm_xor_si128(a, b)) }
    }
    #[inline(always)]
    pub(super) fn is(word: Word, bytes: &'static Bytes) -> bool {
        // SAFETY: as above.
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(word, of(bytes))) == 0xffff }
    }
}

#[cfg(any(not(target_arch = "x86_64"), miri))]
mod word {
    use core::ptr::NonNull;

    #[repr(C, align(16))]
    pub(super) struct Bytes(pub(super) [u8; 16]);
    pub(super) type Word = u128;

    /// # Safety
    /// `at` is 16 initialised bytes.
    pub(super) unsafe fn read(at: NonNull<u8>) -> Word {
        // SAFETY: as the caller promises.
        unsafe { at.cast::<Word>().read_unaligned() }
    }
    /// # Safety
    /// `at` is 16 bytes that nobody else touches.
    pub(super) unsafe fn write(at: NonNull<u8>, word: Word) {
        // SAFETY: as the caller promises.
        unsafe { at.cast::<Word>().write_unaligned(word) }
    }
    pub(super) const fn of(bytes: &'static Bytes) -> Word {
        Word::from_ne_bytes(bytes.0)
    }
    pub(super) const fn hidden(bytes: &'static Bytes) -> Word {
        of(bytes)
    }
    /// The bits in which `a` differs from `b`, and those of `others`.
    pub(super) const fn differs(a: Word, b: Word, others: Word) -> Word {
        others | (a ^ b)
    }
    pub(super) const fn is(word: Word, bytes: &'static Bytes) -> bool {
        word == of(bytes)
    }
}

/// Bytes that are poisoned of a block for `layout`: not fewer than a word's.
#[inline(always)]
const fn poisoned(layout: Layout) -> usize {
    let all = footprint(layout);
    if all < POISON_MAX { all } else { POISON_MAX }
}

/// Blocks of more bytes are poisoned and looked at by calls of functions made for many.
const SMALL: usize = 512;

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
        // Hidden from the compiler, which would make a call of `memset` of the loop.
        let poison = word::hidden(&POISON_WORD);
        let mut at = 0;
        while at + CANARY < size {
            word::write(block.add(at), poison);
            at += CANARY;
        }
        word::write(block.add(size - CANARY), poison);
    }
}

/// Where the first byte lies that was written after the block was freed, counted from its start.
///
/// # Safety
/// As for [`poison`], which was called.
#[inline(always)]
pub(super) unsafe fn written_after_free(block: NonNull<u8>, layout: Layout) -> Option<usize> {
    let size = poisoned(layout);
    let poison = word::of(&POISON_WORD);
    // SAFETY: as the caller promises; initialised by `poison`. The last word overlaps the one before it.
    unsafe {
        let nothing = word::of(&NOTHING);
        let mut seen = word::differs(word::read(block.add(size - CANARY)), poison, nothing);
        let mut at = 0;
        while at + CANARY < size {
            seen = word::differs(word::read(block.add(at)), poison, seen);
            at += CANARY;
        }
        if word::is(seen, &NOTHING) {
            return None;
        }
        first_written(core::slice::from_raw_parts(block.as_ptr(), size))
    }
}

#[cold]
fn first_written(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte != POISON_BYTE)
}
