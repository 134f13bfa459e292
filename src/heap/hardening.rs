//! What a hardened heap knows that others must not: the keys of its canaries and of what it fills freed blocks with.

use core::sync::atomic::{AtomicU64, Ordering};

use super::HeapCore;
use super::misuse::{Misuse, Place};
use crate::config::{CANARY_BYTES, PAGE_SIZE};
use crate::raw::segment::Segment;
use core::ptr::NonNull;

/// How a heap guards itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Not at all.
    Plain,
    /// Every free and allocation is checked; 16 bytes of a free block are.
    Checks,
    /// The same, and free blocks are filled and checked to their last byte.
    Wipe,
}

impl Level {
    /// Of heaps whose builder does not say, and of `GLOBAL`.
    pub(super) const DEFAULT: Self = if cfg!(feature = "hardened") { Self::Checks } else { Self::Plain };
}

/// Random words, different for every heap; zero until the first local heap is made.
#[derive(Debug)]
pub(super) struct Keys {
    canary: AtomicU64,
    fill: AtomicU64,
}

// ORDER: Relaxed throughout: a thread that has a block of the heap learned of it from one that made the keys, or
// found them made.
impl Keys {
    pub(super) const fn new() -> Self {
        Self { canary: AtomicU64::new(0), fill: AtomicU64::new(0) }
    }

    fn make(&self) {
        let [canary, fill] = random();
        // Another thread may be here too: one of both wins each word.
        _ = self.canary.compare_exchange(0, canary | 1, Ordering::Relaxed, Ordering::Relaxed);
        // Odd, and not in the half of addresses that a program has: as a pointer it leads nowhere.
        let fill = fill | 1 << 63 | 1;
        _ = self.fill.compare_exchange(0, fill, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The last word of the block at `block`. Its first byte is odd, so that no string's end overwrites it unseen.
#[inline(always)]
pub(crate) fn canary_of(key: u64, block: *const u8) -> u64 {
    key ^ block.addr() as u64
}

/// Where the canary of a block of `size` bytes is.
///
/// # Safety
/// The block has `size` bytes, a multiple of 8.
#[inline(always)]
pub(crate) unsafe fn canary_in(block: *mut u8, size: usize) -> *mut u64 {
    // SAFETY: as the caller promises.
    unsafe { block.add(size - CANARY_BYTES).cast() }
}

impl HeapCore {
    #[inline(always)]
    pub(crate) fn level(&self) -> Level {
        self.settings.level
    }
    #[inline(always)]
    pub(crate) fn is_hardened(&self) -> bool {
        self.settings.level != Level::Plain
    }
    /// Bytes at the end of each block that are not the caller's.
    pub(crate) fn margin(&self) -> usize {
        if self.is_hardened() { CANARY_BYTES } else { 0 }
    }
    #[inline(always)]
    pub(crate) fn canary_key(&self) -> u64 {
        self.keys.canary.load(Ordering::Relaxed)
    }
    #[inline(always)]
    pub(crate) fn fill_word(&self) -> u64 {
        self.keys.fill.load(Ordering::Relaxed)
    }
    /// Makes sure that there are keys, and tells them to a new segment.
    pub(super) fn tell_keys(&self, segment: &Segment) {
        self.make_keys();
        segment.canary.set(self.canary_key());
        segment.fill.set(self.fill_word());
    }
    fn make_keys(&self) {
        if self.canary_key() == 0 || self.fill_word() == 0 {
            self.keys.make();
        }
    }

    /// The chunks of a segment that can be handed out.
    pub(super) fn all_chunks(&self) -> u64 {
        if self.is_hardened() { Segment::ALL & !Segment::GUARD } else { Segment::ALL }
    }

    /// Makes a page or more inaccessible, where the source can.
    ///
    /// # Safety
    /// The range lies in a reservation of the heap's source and nobody uses it.
    pub(super) unsafe fn guard(&self, start: *mut u8, size: usize) {
        debug_assert!(self.is_hardened() && size.is_multiple_of(PAGE_SIZE));
        // SAFETY: passed on. Without the guard the heap is as it was.
        unsafe { self.source().guard(NonNull::new_unchecked(start), size) };
    }

    /// Writes the canary of a block that no class serves.
    ///
    /// # Safety
    /// The block is the caller's and has `size` bytes.
    pub(crate) unsafe fn seal(&self, block: *mut u8, size: usize) {
        if self.is_hardened() {
            // SAFETY: as the caller promises.
            unsafe { canary_in(block, size).write(canary_of(self.canary_key(), block)) };
        }
    }

    /// Ends the process if the canary is not what it was.
    ///
    /// # Safety
    /// The block is of this heap and has `size` bytes.
    pub(crate) unsafe fn check_seal(&self, block: *mut u8, size: usize, place: Place) {
        // SAFETY: as the caller promises.
        if unsafe { canary_in(block, size).read() } != canary_of(self.canary_key(), block) {
            self.report(Misuse::Overflow, block, place);
        }
    }
}

/// Two words nobody can guess.
fn random() -> [u64; 2] {
    let mut words = [0_u64; 2];
    if !from_system(&mut words) {
        use std::hash::{BuildHasher, RandomState};
        // Seeded by the system too; it allocates nothing.
        words = [1, 2].map(|n: u64| RandomState::new().hash_one((n, (&raw const words).addr())));
    }
    words
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn from_system(words: &mut [u64; 2]) -> bool {
    let size = size_of_val(words);
    // SAFETY: the call writes at most `size` bytes to the words.
    let got = unsafe { libc::getrandom(words.as_mut_ptr().cast(), size, 0) };
    usize::try_from(got) == Ok(size)
}

#[cfg(any(target_os = "macos", target_os = "freebsd", target_os = "openbsd", target_os = "netbsd"))]
fn from_system(words: &mut [u64; 2]) -> bool {
    // SAFETY: the call writes that many bytes to the words.
    unsafe { libc::getentropy(words.as_mut_ptr().cast(), size_of_val(words)) == 0 }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
)))]
fn from_system(_words: &mut [u64; 2]) -> bool {
    false
}
