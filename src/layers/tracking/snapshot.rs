//! Readings as plain data, and what lies between two of them.

use core::fmt;
use std::collections::HashSet;

use crate::stats::Bytes;

/// One reading of a [`Tracking`](super::Tracking)'s books. As text, a table.
///
/// # Examples
///
/// ```
/// use blockyard::{Global, layers::Tracking};
///
/// let tracking = Tracking::new(Global);
/// let _textures = tracking.tag("textures");
/// let table = tracking.snapshot().to_string();
/// assert!(table.contains("textures"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackingSnapshot {
    /// All tags together; the peak is that of the sum, not the sum of peaks.
    pub total: TagStats,
    /// Each tag, in the order in which they were made: `untagged` is the first.
    pub tags: Vec<TagStats>,
    /// Each live block in the order of allocation, if the layer was made [with a list](super::Tracking::with_list). The
    /// table does not show them.
    pub blocks: Vec<LiveBlock>,
}

/// A live block.
///
/// # Examples
///
/// ```
/// use blockyard::layers::LiveBlock;
///
/// let block = LiveBlock { address: 0x1000, size: 24, align: 8, tag: String::from("scene"), number: 7 };
/// assert_eq!(block.to_string(), "#7 scene: 24 bytes aligned to 8 at 0x1000");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LiveBlock {
    /// Where it is.
    pub address: usize,
    /// Bytes, as asked for.
    pub size: usize,
    /// The alignment asked for.
    pub align: usize,
    /// The tag it was allocated under.
    pub tag: String,
    /// How many blocks of the layer had been allocated before. It stays as the block is resized.
    pub number: u64,
}

impl fmt::Display for LiveBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, size, align, tag, number } = self;
        write!(f, "#{number} {tag}: {size} bytes aligned to {align} at {address:#x}")
    }
}

/// What one tag had.
///
/// # Examples
///
/// ```
/// use blockyard::layers::TagStats;
///
/// let textures = TagStats { allocations: 5, frees: 2, ..TagStats::default() };
/// assert_eq!(textures.live(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TagStats {
    /// The tag.
    pub name: String,
    /// Blocks allocated so far.
    pub allocations: u64,
    /// Blocks freed so far.
    pub frees: u64,
    /// Times that a block grew or shrank.
    pub resizes: u64,
    /// Requests that the child refused.
    pub refused: u64,
    /// Bytes asked for and not freed yet.
    pub bytes: usize,
    /// The most there have been.
    pub peak: usize,
}

impl TagStats {
    /// Blocks that are allocated and not freed yet.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::TagStats::default().live(), 0);
    /// ```
    #[must_use]
    pub fn live(&self) -> u64 {
        self.allocations.saturating_sub(self.frees)
    }
}

impl TrackingSnapshot {
    /// The numbers of one tag.
    ///
    /// # Examples
    ///
    /// ```
    /// let nothing = blockyard::layers::TrackingSnapshot::default();
    /// assert_eq!(nothing.tag("textures"), None);
    /// ```
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&TagStats> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// What happened after `earlier`: the tags where something did, those that grew most first.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Tracking};
    ///
    /// let tracking = Tracking::new(Global);
    /// let before = tracking.snapshot();
    /// let number = Box::new_in(7_u64, tracking.tag("numbers"));
    /// let grown = tracking.snapshot().since(&before);
    /// assert_eq!((grown.total.live, grown.total.bytes), (1, 8));
    /// assert_eq!(grown.tags[0].name, "numbers");
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> TrackingGrowth {
        let nothing = TagStats::default();
        let mut tags: Vec<TagGrowth> = self
            .tags
            .iter()
            .map(|tag| TagGrowth::between(earlier.tag(&tag.name).unwrap_or(&nothing), tag))
            .filter(TagGrowth::is_something)
            .collect();
        tags.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
        let known: HashSet<u64> = earlier.blocks.iter().map(|block| block.number).collect();
        let blocks = self.blocks.iter().filter(|block| !known.contains(&block.number)).cloned().collect();
        TrackingGrowth { total: TagGrowth::between(&earlier.total, &self.total), tags, blocks }
    }
}

/// What happened between two readings. As text, a table.
///
/// # Examples
///
/// ```
/// let growth = blockyard::layers::TrackingGrowth::default();
/// assert!(growth.tags.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackingGrowth {
    /// All tags together.
    pub total: TagGrowth,
    /// The tags where something happened, those that grew most first.
    pub tags: Vec<TagGrowth>,
    /// The blocks that have come and are still there, if the layer keeps a list. The table does not show them.
    pub blocks: Vec<LiveBlock>,
}

/// What happened to one tag between two readings.
///
/// # Examples
///
/// ```
/// use blockyard::layers::TagGrowth;
///
/// let growth = TagGrowth { name: String::from("textures"), live: -2, bytes: -4096, ..TagGrowth::default() };
/// assert_eq!(growth.to_string().split_whitespace().nth(2), Some("-4.0"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TagGrowth {
    /// The tag.
    pub name: String,
    /// Live blocks more, or fewer.
    pub live: i64,
    /// Bytes more, or fewer.
    pub bytes: i64,
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Blocks grown or shrunk.
    pub resizes: u64,
    /// Requests refused.
    pub refused: u64,
}

impl TagGrowth {
    fn between(before: &TagStats, after: &TagStats) -> Self {
        Self {
            name: after.name.clone(),
            live: after.live().wrapping_sub(before.live()).cast_signed(),
            bytes: after.bytes.wrapping_sub(before.bytes).cast_signed() as i64,
            allocations: after.allocations.saturating_sub(before.allocations),
            frees: after.frees.saturating_sub(before.frees),
            resizes: after.resizes.saturating_sub(before.resizes),
            refused: after.refused.saturating_sub(before.refused),
        }
    }

    fn is_something(&self) -> bool {
        self.allocations | self.frees | self.resizes | self.refused != 0 || self.bytes != 0
    }
}

impl fmt::Display for TrackingSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [live, bytes, peak] = ["live", "bytes", "peak"];
        let [allocated, freed, resized, refused] = ["allocated", "freed", "resized", "refused"];
        writeln!(
            f,
            "{:<32} {live:>10} {bytes:>12} {peak:>12} {allocated:>12} {freed:>12} {resized:>10} {refused:>8}",
            "tag"
        )?;
        self.tags.iter().try_for_each(|tag| writeln!(f, "{tag}"))?;
        write!(f, "{}", self.total)
    }
}

impl fmt::Display for TagStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<32} {:>10} {:>12} {:>12} {:>12} {:>12} {:>10} {:>8}",
            self.name,
            self.live(),
            Bytes(self.bytes as u64),
            Bytes(self.peak as u64),
            self.allocations,
            self.frees,
            self.resizes,
            self.refused
        )
    }
}

impl fmt::Display for TrackingGrowth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [allocated, freed, resized, refused] = ["allocated", "freed", "resized", "refused"];
        writeln!(
            f,
            "{:<32} {:>10} {:>12} {allocated:>12} {freed:>12} {resized:>10} {refused:>8}",
            "tag", "live", "bytes"
        )?;
        self.tags.iter().try_for_each(|tag| writeln!(f, "{tag}"))?;
        write!(f, "{}", self.total)
    }
}

impl fmt::Display for TagGrowth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.bytes < 0 { '-' } else { '+' };
        let bytes = format!("{sign}{}", Bytes(self.bytes.unsigned_abs()));
        write!(
            f,
            "{:<32} {:>+10} {bytes:>12} {:>12} {:>12} {:>10} {:>8}",
            self.name, self.live, self.allocations, self.frees, self.resizes, self.refused
        )
    }
}
