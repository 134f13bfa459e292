//! Who holds how much?

mod book;
mod counting;
mod live;
mod snapshot;

use core::fmt;
use core::panic::Location;
use core::ptr::NonNull;

use self::book::{Gauge, Part, Tag, moved};
use self::live::Live;
pub use self::snapshot::{LiveBlock, TagGrowth, TagStats, TrackingGrowth, TrackingSnapshot};
use super::owns::Owns;
use crate::threads::{Meter, PerThread};

/// An allocator that counts what its child gives out, by tag.
///
/// A call cannot say where it comes from through the `Allocator` trait, so the handle says it: [`tag`](Self::tag) gives one
/// that counts under a name, [`here`](Self::here) under the place in the source where it was made. What is allocated
/// through the layer itself counts as `untagged`. Bytes are those asked for. A block is to be resized and freed under the
/// tag it was allocated with, as containers do; under another tag of the same layer it is freed all the same, but the two
/// rows are wrong by it, and only the total is right.
///
/// [`snapshot`](Self::snapshot) reads the books; [`TrackingSnapshot::since`] compares two readings.
///
/// Tags take memory from the program's allocator and stay until the layer is dropped.
///
/// # Cost
///
/// Seven instructions per call through the layer itself while it has no tags, on a word of memory that no other thread writes
/// to. Under tags, and beside them, some twenty loads and stores, of memory that no other thread writes to: each of 64
/// threads at a time has counters of its own, 128 bytes for each tag it uses. A thread tells the others when it is 64 KiB
/// ahead or behind, so with several threads at work a peak is right to within 64 KiB for each; with one it is
/// exact. Further threads count together, five atomic read-modify-writes per call.
///
/// # Examples
///
/// ```
/// use blockyard::{Global, allocator_api2::vec::Vec, layers::Tracking};
///
/// let tracking = Tracking::new(Global);
/// let mut textures = Vec::new_in(tracking.tag("textures"));
/// let mut sounds = Vec::new_in(tracking.tag("sounds"));
/// textures.resize(1 << 20, 0_u8);
/// sounds.resize(1 << 10, 0_u8);
///
/// let frame_100 = tracking.snapshot();
/// textures.reserve_exact(1 << 20);
/// let frame_200 = tracking.snapshot();
///
/// let grown = frame_200.since(&frame_100);
/// assert_eq!((&*grown.tags[0].name, grown.tags[0].bytes), ("textures", 1 << 20));
/// assert_eq!(grown.tags.len(), 1); // nothing happened to the sounds
/// println!("{grown}");
/// ```
pub struct Tracking<A> {
    child: A,
    total: Gauge,
    /// Of the total, of threads that use tags.
    parts: PerThread<Part>,
    /// Both the total and what is untagged, of threads that do not: as long as there are no tags, and no list.
    meter: Meter,
    /// The first of a list that only grows.
    untagged: Tag,
    live: Option<Box<Live>>,
}

/// A handle to a [`Tracking`] that counts under a tag: an [`Allocator`](crate::allocator_api2::alloc::Allocator) of two
/// pointers. Copies count under the same tag.
///
/// # Examples
///
/// ```
/// use blockyard::{Global, layers::Tracking};
///
/// let tracking = Tracking::new(Global);
/// assert_eq!(tracking.tag("sounds").name(), "sounds");
/// ```
pub struct Tagged<'t, A> {
    tracking: &'t Tracking<A>,
    tag: &'t Tag,
}

impl<A> Clone for Tagged<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Tagged<'_, A> {}

impl<A> Tagged<'_, A> {
    /// The tag's name.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::Tracking};
    ///
    /// assert!(Tracking::new(Global).here().name().contains(".rs:"));
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.tag.name()
    }
}

impl<A> Tracking<A> {
    /// Counts what `child` gives out.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::Tracking};
    ///
    /// static TRACKING: Tracking<Global> = Tracking::new(Global);
    /// assert_eq!(TRACKING.snapshot().total.bytes, 0);
    /// ```
    #[must_use]
    pub const fn new(child: A) -> Self {
        Self {
            child,
            total: Gauge::new(),
            parts: PerThread::new(),
            meter: Meter::new(),
            untagged: Tag::untagged(),
            live: None,
        }
    }

    /// As [`new`](Self::new), and lists each live block: [`TrackingSnapshot::blocks`].
    ///
    /// The list takes memory from the program's allocator, some 50 bytes a block. So the layer must not serve as that
    /// allocator.
    ///
    /// # Cost
    ///
    /// A lock, shared by one in 32 blocks, and a look into a hash table per call, two where a block is resized.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Tracking};
    ///
    /// let tracking = Tracking::with_list(Global);
    /// let _kept = Box::new_in([0_u8; 100], tracking.tag("cache"));
    /// let before = tracking.snapshot();
    /// let leaked = Box::leak(Box::new_in(7_u64, tracking.tag("scene")));
    /// let grown = tracking.snapshot().since(&before);
    /// assert_eq!(grown.blocks.len(), 1);
    /// assert_eq!((&*grown.blocks[0].tag, grown.blocks[0].size), ("scene", 8));
    /// assert_eq!(grown.blocks[0].address, std::ptr::from_ref(leaked).addr());
    /// ```
    #[must_use]
    pub fn with_list(child: A) -> Self {
        Self { live: Some(Box::new(Live::new())), meter: Meter::retired(), ..Self::new(child) }
    }

    /// Bytes now, and the most there have been.
    fn bytes(&self) -> (usize, usize) {
        let lines = self.meter.all().filter_map(moved);
        self.total.read(self.parts.all().map(Part::get).chain(lines))
    }

    #[inline(always)]
    fn untagged(&self) -> Tagged<'_, A> {
        Tagged { tracking: self, tag: &self.untagged }
    }

    /// A handle that counts under `name`: the same tag for the same name. `untagged` is the layer's own.
    ///
    /// # Cost
    ///
    /// A walk over all tags: keep the handle. A new tag is allocated from the program's allocator.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Tracking};
    ///
    /// let tracking = Tracking::new(Global);
    /// let number = Box::new_in(7_u64, tracking.tag("numbers"));
    /// assert_eq!(tracking.snapshot().tag("numbers").unwrap().bytes, 8);
    /// ```
    #[must_use]
    pub fn tag(&self, name: &str) -> Tagged<'_, A> {
        self.meter.retire();
        Tagged { tracking: self, tag: self.untagged.find_or_add(name) }
    }

    /// A handle that counts under the place in the source where this is called: file, line and column.
    ///
    /// # Cost
    ///
    /// As for [`tag`](Self::tag), and the name is written each time.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Tracking};
    ///
    /// let tracking = Tracking::new(Global);
    /// let numbers = [1, 2].map(|n| Box::new_in(n, tracking.here()));
    /// assert_eq!(tracking.snapshot().tags[1].live(), 2);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn here(&self) -> Tagged<'_, A> {
        self.tag(&Location::caller().to_string())
    }

    /// The child allocator. What is allocated there is not counted.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::Tracking};
    ///
    /// assert_eq!(*Tracking::new(Global).child(), Global);
    /// ```
    #[must_use]
    pub const fn child(&self) -> &A {
        &self.child
    }

    /// One reading of the books: exact when no thread allocates meanwhile, else a little blurred.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Tracking};
    ///
    /// let tracking = Tracking::new(Global);
    /// drop(Box::new_in(7_u64, &tracking));
    /// let now = tracking.snapshot();
    /// assert_eq!((now.total.allocations, now.total.live(), now.total.peak), (1, 0, 8));
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> TrackingSnapshot {
        let lines = || self.meter.all();
        let tags = self.untagged.all().skip(1).map(|tag| tag.read(core::iter::empty));
        let tags: Vec<TagStats> = core::iter::once(self.untagged.read(lines)).chain(tags).collect();
        let sum = |count: fn(&TagStats) -> u64| tags.iter().map(count).sum();
        let (bytes, peak) = self.bytes();
        let total = TagStats {
            name: String::from("all"),
            allocations: sum(|tag| tag.allocations),
            frees: sum(|tag| tag.frees),
            resizes: sum(|tag| tag.resizes),
            refused: sum(|tag| tag.refused),
            bytes,
            peak,
        };
        let listed = self.live.as_ref().map(|live| live.read()).unwrap_or_default();
        let names: Vec<&str> = self.untagged.all().map(Tag::name).collect();
        let block = |(address, entry): (usize, live::Entry)| LiveBlock {
            address,
            size: entry.layout.size(),
            align: entry.layout.align(),
            tag: names[entry.tag].to_owned(),
            number: entry.number,
        };
        TrackingSnapshot { total, tags, blocks: listed.into_iter().map(block).collect() }
    }
}

// SAFETY: its blocks are the child's.
unsafe impl<A: Owns> Owns for Tagged<'_, A> {
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.tracking.child.owns(block)
    }
}

impl<A: fmt::Debug> fmt::Debug for Tracking<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracking")
            .field("child", &self.child)
            .field("bytes", &self.bytes().0)
            .finish_non_exhaustive()
    }
}

impl<A> fmt::Debug for Tagged<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tagged").field(&self.name()).finish()
    }
}
