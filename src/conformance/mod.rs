//! A suite that checks what the [`Allocator`] trait promises, for any allocator.
//!
//! It runs on every allocator and layer of this crate. For your own, in a test:
//!
//! ```
//! # #[cfg(feature = "conformance")] {
//! blockyard::conformance::check(&blockyard::Global);
//! blockyard::conformance::check_clones(&blockyard::Global);
//! blockyard::conformance::check_threads(&blockyard::Global);
//! # }
//! ```
//!
//! | law | what is checked |
//! |---|---|
//! | sizes | 0 bytes to 1 MiB at alignments to 4096: blocks are aligned, long enough, and may be written to the last byte |
//! | empty | blocks without bytes are always to be had, grow, and are what a block may shrink to |
//! | zeroes | `allocate_zeroed`, also in memory that was used before; `grow_zeroed` behind the old contents |
//! | resizing | contents stay as a block grows or shrinks, to the same size or with another alignment, too |
//! | lengths | a block is freed and resized with any size from what was asked for to what was given |
//! | overlap | no two live blocks share a byte |
//! | refusal | what cannot be is refused; the block that was to grow is as it was |
//! | at random | a seeded sequence of calls against a model that knows what each block holds |
//! | clones | a clone frees and resizes what the allocator gave, and outlives it |
//! | moves | blocks stay when their allocator is moved |
//! | threads | blocks are freed and resized on another thread |
//!
//! A law that does not hold is a panic that names the law, the layouts and what was found. An allocator that breaks its
//! promises may do worse before that.

mod block;
mod laws;
mod random;

use self::block::Block;
use crate::allocator_api2::alloc::Allocator;

/// What is asked of an allocator. The default is all of it, and that nothing sensible is refused.
///
/// # Examples
///
/// An allocator that runs out:
///
/// ```
/// # #[cfg(feature = "conformance")] {
/// use blockyard::{FixedBuffer, conformance::Conformance};
/// use std::mem::MaybeUninit;
///
/// let mut bytes = [MaybeUninit::uninit(); 1 << 14];
/// let buffer = FixedBuffer::new(&mut bytes);
/// Conformance::new().largest(1000).may_refuse(true).check(&&buffer);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conformance {
    largest: usize,
    largest_align: usize,
    may_refuse: bool,
    seed: u64,
    steps: usize,
}

impl Default for Conformance {
    fn default() -> Self {
        Self::new()
    }
}

impl Conformance {
    /// Sizes to 1 MiB, alignments to 4096, no refusals, and 2000 random steps.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().check(&blockyard::Global);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { largest: 1 << 20, largest_align: 4096, may_refuse: false, seed: 0, steps: 2000 }
    }

    /// Asks for no more than `bytes` at a time, but for what must be refused.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().largest(256).check(&blockyard::Global);
    /// ```
    #[must_use]
    pub const fn largest(self, bytes: usize) -> Self {
        Self { largest: bytes, ..self }
    }

    /// Asks for no alignment above `align`.
    ///
    /// # Panics
    ///
    /// When `align` is no power of two.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().largest_align(64).check(&blockyard::Global);
    /// ```
    #[must_use]
    pub const fn largest_align(self, align: usize) -> Self {
        assert!(align.is_power_of_two(), "an alignment is a power of two");
        Self { largest_align: align, ..self }
    }

    /// Whether the allocator may refuse: it is small, or fails on purpose. What it does serve must be right all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().may_refuse(true).check(&blockyard::layers::Null);
    /// ```
    #[must_use]
    pub const fn may_refuse(self, may_refuse: bool) -> Self {
        Self { may_refuse, ..self }
    }

    /// Another random sequence: the same one for the same seed.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().seed(7).check_random(&blockyard::Global);
    /// ```
    #[must_use]
    pub const fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How many calls the random sequence makes.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().steps(100).check_random(&blockyard::Global);
    /// ```
    #[must_use]
    pub const fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// Every law that needs no more than a reference to the allocator.
    ///
    /// # Panics
    ///
    /// When a law does not hold.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().check(&&blockyard::Heap::new());
    /// ```
    #[track_caller]
    pub fn check<A: Allocator>(&self, allocator: &A) {
        laws::empty(self, allocator);
        laws::sizes(self, allocator);
        laws::zeroes(self, allocator);
        laws::resizing(self, allocator);
        laws::lengths(self, allocator);
        laws::overlap(self, allocator);
        laws::refusal(self, allocator);
        self.check_random(allocator);
    }

    /// The random sequence alone: for more seeds.
    ///
    /// # Panics
    ///
    /// When a law does not hold.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// for seed in 0..4 {
    ///     blockyard::conformance::Conformance::new().seed(seed).steps(200).check_random(&blockyard::Global);
    /// }
    /// ```
    #[track_caller]
    pub fn check_random<A: Allocator>(&self, allocator: &A) {
        random::check(self, allocator);
    }

    /// Clones are the same allocator.
    ///
    /// # Panics
    ///
    /// When a law does not hold.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().check_clones(&blockyard::context::current());
    /// ```
    #[track_caller]
    pub fn check_clones<A: Allocator + Clone>(&self, allocator: &A) {
        laws::clones(self, allocator);
    }

    /// Blocks stay when their allocator is moved. Gives it back.
    ///
    /// # Panics
    ///
    /// When a law does not hold.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")] {
    /// use blockyard::{Global, layers::Limit};
    ///
    /// let budget = blockyard::conformance::Conformance::new().check_moves(Limit::new(Global, 2 << 20));
    /// assert_eq!(budget.used(), 0);
    /// # }
    /// ```
    #[track_caller]
    pub fn check_moves<A: Allocator>(&self, allocator: A) -> A {
        laws::moves(self, allocator)
    }

    /// Threads share the allocator, and free and resize each other's blocks.
    ///
    /// # Panics
    ///
    /// When a law does not hold.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "conformance")]
    /// blockyard::conformance::Conformance::new().check_threads(&blockyard::Global);
    /// ```
    #[track_caller]
    pub fn check_threads<A: Allocator + Sync>(&self, allocator: &A) {
        random::check_threads(self, allocator);
    }

    /// A block, unless the allocator refused and may do so.
    #[track_caller]
    fn allow(&self, law: &str, block: Option<Block>, what: core::fmt::Arguments<'_>) -> Option<Block> {
        if block.is_none() && !self.may_refuse {
            broken(law, format_args!("refused {what}"));
        }
        block
    }
}

#[cold]
#[track_caller]
fn broken(law: &str, what: core::fmt::Arguments<'_>) -> ! {
    panic!("conformance, {law}: {what}")
}

/// [`Conformance::check`] with the defaults.
///
/// # Panics
///
/// When a law does not hold.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "conformance")]
/// blockyard::conformance::check(&&blockyard::Arena::new());
/// ```
#[track_caller]
pub fn check<A: Allocator>(allocator: &A) {
    Conformance::new().check(allocator);
}

/// [`Conformance::check_clones`] with the defaults.
///
/// # Panics
///
/// When a law does not hold.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "conformance")]
/// blockyard::conformance::check_clones(&&blockyard::Arena::new());
/// ```
#[track_caller]
pub fn check_clones<A: Allocator + Clone>(allocator: &A) {
    Conformance::new().check_clones(allocator);
}

/// [`Conformance::check_threads`] with the defaults.
///
/// # Panics
///
/// When a law does not hold.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "conformance")]
/// blockyard::conformance::check_threads(&&blockyard::Heap::new());
/// ```
#[track_caller]
pub fn check_threads<A: Allocator + Sync>(allocator: &A) {
    Conformance::new().check_threads(allocator);
}
