//! Counts that one thread writes and any thread reads.
//!
//! The fast paths are short enough to be bound by their stores and loads, so what they count of blocks
//! and of bytes shares a word, and the word that decides when the slow path must look is that same word
//! (docs/performance.md).

use core::sync::atomic::{AtomicU64, Ordering};

/// A number with one writer and any readers: a plain load and store, no read-modify-write.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    // ORDER: Relaxed throughout this type: a counter publishes nothing but itself.
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    #[inline(always)]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
    /// Single writer: the holder of the thread record.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }
    /// Any writer.
    pub(crate) fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}

/// Blocks handed out, in the low bits, and the bytes requested for them.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Tally(Counter);

impl Tally {
    const BLOCK_BITS: u32 = 16;
    /// A tally of more blocks than this is emptied when it is looked at: whenever a list of free blocks runs
    /// out, but for visits that carve a page instead, of which there are few per chunk. No list is longer
    /// than half of this, so the count does not reach the bytes.
    const ENOUGH: u64 = 1 << (Self::BLOCK_BITS - 2);

    pub(crate) const fn new() -> Self {
        Self(Counter::new())
    }
    #[inline(always)]
    pub(crate) fn count(&self, bytes: usize) {
        self.0.add((bytes as u64) << Self::BLOCK_BITS | 1);
    }
    /// Blocks and bytes.
    pub(crate) fn get(&self) -> (u64, u64) {
        let word = self.0.get();
        (word & ((1 << Self::BLOCK_BITS) - 1), word >> Self::BLOCK_BITS)
    }
    pub(crate) fn is_enough(&self) -> bool {
        self.get().0 >= Self::ENOUGH
    }
    pub(crate) fn clear(&self) {
        self.0.set(0);
    }
}

/// How many more blocks may come back before somebody must look, in the high bits and signed, and the
/// bytes requested for those that did.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Countdown(Counter);

impl Countdown {
    const BYTE_BITS: u32 = 48;
    const BLOCK: u64 = 1 << Self::BYTE_BITS;
    const ENOUGH: u64 = 1 << 20;

    pub(crate) const fn new() -> Self {
        Self(Counter::new())
    }
    /// Counts `blocks` that come back; true when somebody must look.
    #[inline(always)]
    pub(crate) fn count(&self, blocks: u64, bytes: u64) -> bool {
        let word = self.0.get().wrapping_sub(blocks * Self::BLOCK).wrapping_add(bytes);
        self.0.set(word);
        (word as i64) < 0
    }
    /// Negative when somebody must look.
    pub(crate) fn left(&self) -> i64 {
        (self.0.get() as i64) >> Self::BYTE_BITS
    }
    pub(crate) fn is_over(&self) -> bool {
        self.left() < 0
    }
    pub(crate) fn raise(&self, blocks: u64) {
        self.0.add(blocks * Self::BLOCK);
    }
    pub(crate) fn lower(&self, blocks: u64) {
        self.0.add((blocks * Self::BLOCK).wrapping_neg());
    }
    pub(crate) fn bytes(&self) -> u64 {
        self.0.get() & (Self::BLOCK - 1)
    }
    pub(crate) fn is_enough(&self) -> bool {
        self.bytes() >= Self::ENOUGH
    }
    /// Forgets the bytes.
    pub(crate) fn clear_bytes(&self) {
        self.0.set(self.0.get() & !(Self::BLOCK - 1));
    }
    /// No blocks out, no bytes counted: the next block that came back would be one too many.
    pub(crate) fn reset(&self) {
        self.0.set(Self::BLOCK.wrapping_neg());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_tally_keeps_blocks_and_bytes_apart() {
        let tally = Tally::new();
        for size in 0..Tally::ENOUGH as usize {
            assert!(!tally.is_enough());
            tally.count(size);
        }
        assert!(tally.is_enough());
        assert_eq!(tally.get(), (Tally::ENOUGH, (0..Tally::ENOUGH).sum()));
        tally.clear();
        assert_eq!(tally.get(), (0, 0));
    }

    #[test]
    fn a_countdown_ends_with_its_last_block_whatever_the_bytes() {
        let countdown = Countdown::new();
        countdown.reset();
        countdown.raise(8192);
        for _ in 0..8191 {
            assert!(!countdown.count(1, 1 << 20));
        }
        assert!(countdown.count(1, 0) && countdown.is_over());
        assert_eq!((countdown.left(), countdown.bytes()), (-1, 8191 << 20));
        // A chain may overshoot.
        assert!(countdown.count(128, 5));
        countdown.clear_bytes();
        assert_eq!((countdown.left(), countdown.bytes()), (-129, 0));
        countdown.raise(129);
        assert!(!countdown.is_over());
    }
}
