//! What an arena holds.

/// One reading of an [`Arena`](crate::Arena), in bytes unless it says otherwise.
///
/// # Examples
///
/// ```
/// let mut arena = blockyard::Arena::new();
/// arena.alloc_slice_copy(&[7_u8; 1000]);
/// let stats = arena.stats();
/// assert_eq!((stats.used, stats.chunks, stats.wasted), (1000, 1, 0));
/// arena.reset();
/// assert_eq!((arena.stats().used, arena.stats().peak), (0, 1000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ArenaStats {
    /// Given out, with what alignment cost.
    pub used: usize,
    /// Taken from the child allocator and not given back: chunks and large blocks, kept ones included.
    pub reserved: usize,
    /// Left at the ends of full chunks, where the next request did not fit.
    pub wasted: usize,
    /// Chunks held, by number, kept ones included.
    pub chunks: usize,
    /// Large blocks held, by number, kept ones included: requests that went straight to the child.
    pub large_blocks: usize,
    /// The most that `used` has been since the arena was made.
    pub peak: usize,
}
