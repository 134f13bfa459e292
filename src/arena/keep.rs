//! What an arena keeps when it is reset.

/// How much of its memory an [`Arena`](crate::Arena) keeps across a reset; the rest goes back to its
/// child allocator.
///
/// # Examples
///
/// ```
/// use blockyard::{Arena, Keep};
///
/// let mut arena = Arena::builder().keep(Keep::UpTo(16 << 10)).build();
/// for _ in 0..1000 {
///     arena.alloc([0_u8; 1000]);
/// }
/// assert!(arena.stats().reserved > 1_000_000);
/// arena.reset();
/// assert!(arena.stats().reserved <= 16 << 10);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Keep {
    /// Nothing: all memory goes back.
    Nothing,
    /// All chunks, and the large blocks that were in use since the last reset; up to 4 MiB of them become one
    /// chunk. An arena that is filled alike again and again asks its child for nothing after the first
    /// rounds.
    #[default]
    All,
    /// This many bytes of chunks and large blocks at most.
    UpTo(usize),
    /// As much as was in use at once in the recent rounds: a round (the time from one reset to the
    /// next) that needed much is forgotten by an eighth per round.
    RecentPeak,
}
