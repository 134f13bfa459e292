//! Who holds how much?

mod book;
mod live;
mod snapshot;

use core::alloc::Layout;
use core::fmt;
use core::panic::Location;
use core::ptr::NonNull;

use self::book::{ALLOCATIONS, FREES, Gauge, OWN, Part, Tag, moved};
use self::live::Live;
pub use self::snapshot::{LiveBlock, TagGrowth, TagStats, TrackingGrowth, TrackingSnapshot};
use super::around::{Answer, Around, implement_around};
use super::owns::Owns;
use crate::allocator_api2::alloc::Allocator;
use crate::sync::Ordering::{Relaxed, Release};
use crate::threads::{Line, Meter, PerThread};

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
/// Some ten loads and stores per call, of memory that no other thread writes to: each of 64 threads at a time has
/// counters of its own, 128 bytes for each tag it uses. A thread tells the others when it is 64 KiB ahead or behind,
/// so with several threads at work a peak is right to within 64 KiB for each; with one it is exact. Further threads
/// count together, five atomic read-modify-writes per call.
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
    /// Asks for another size of a block, and lists it where it is then.
    #[inline]
    fn listed(&self, block: NonNull<u8>, new: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        let Some(live) = &self.tracking.live else { return ask() };
        let out = live.take_out(block);
        let block = ask()?;
        if new.size() == 0 {
            out.gone()
        } else {
            out.moved_to(block.cast(), new)
        }
        Ok(block)
    }

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

    /// This thread's part of the total. What the thread has counted on its line so far is counted there then.
    #[inline(always)]
    fn part(&self) -> Option<&Part> {
        self.parts.own_or_made(|part| self.leave_line(part))
    }

    /// Nobody has a line to count on any more: who uses tags is to see from the first call on how far it is in all.
    #[cold]
    fn leave_line(&self, part: &Part) {
        let Some(line) = self.meter.own_before() else { return };
        if let Some(moved) = moved(line)
            && self.untagged.take_over(line, moved)
        {
            part.set(moved);
            line.reset();
        }
    }

    /// Counts bytes on a line. False where there is none, and nothing was counted.
    #[inline(always)]
    fn more(&self, line: &Line, bytes: usize) -> bool {
        line.take(bytes) || self.more_slowly(line, bytes)
    }
    #[inline(always)]
    fn fewer(&self, line: &Line, bytes: usize) -> bool {
        line.give(bytes) || self.fewer_slowly(line, bytes)
    }

    #[cold]
    #[inline(never)]
    fn more_slowly(&self, tripped: &Line, bytes: usize) -> bool {
        let Some(line) = self.open_line(tripped) else { return false };
        if line.is_some_and(|line| line.take(bytes)) {
            return true;
        }
        let line = line.unwrap_or(tripped);
        line.note_least();
        self.settle(line);
        true
    }

    #[cold]
    #[inline(never)]
    fn fewer_slowly(&self, tripped: &Line, bytes: usize) -> bool {
        let Some(line) = self.open_line(tripped) else { return false };
        if line.is_some_and(|line| line.give(bytes)) {
            return true;
        }
        self.settle(line.unwrap_or(tripped));
        true
    }

    /// This thread's line, where what tripped was closed: then that step is forgotten. None in `Some` where it was open, and
    /// the step counts; `None` where there is no line to be had.
    fn open_line(&self, tripped: &Line) -> Option<Option<&Line>> {
        if tripped.is_open() {
            return Some(None);
        }
        tripped.forget_step();
        let line = self.meter.own()?;
        // The thread that had this one's record before may have left something there.
        if !line.is_open() {
            begin(line);
        }
        Some(Some(line))
    }

    /// Tells the others, if the thread is far enough ahead or behind.
    fn settle(&self, line: &Line) {
        let (moved, most) = (line.moved(), line.most());
        if moved.abs() > OWN {
            begin(line);
            self.total.tell(moved, most);
            self.untagged.bytes.tell(moved, most);
        }
    }

    #[cold]
    #[inline(never)]
    fn allocated_slowly(&self, tripped: &Line, block: NonNull<u8>, layout: Layout) {
        if self.more_slowly(tripped, layout.size()) {
            self.meter.line().count(ALLOCATIONS, Relaxed);
        } else {
            self.untagged().allocated(block, layout);
        }
    }

    /// As [`Tagged::freed`].
    #[inline(always)]
    fn count_free(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            let line = self.meter.line();
            if line.give(layout.size()) {
                // ORDER: Release, pairs with Acquire in `Tag::read`: who sees the free sees the allocation, too.
                line.count(FREES, Release);
            } else {
                self.freed_slowly(line, block, layout);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn freed_slowly(&self, tripped: &Line, block: NonNull<u8>, layout: Layout) {
        if self.fewer_slowly(tripped, layout.size()) {
            self.meter.line().count(FREES, Release);
        } else {
            self.untagged().freed(block, layout);
        }
    }

    #[cold]
    #[inline(never)]
    fn resized(&self, more: usize, fewer: usize) {
        let line = self.meter.line();
        if self.more(line, more) {
            // The one above may have opened it.
            self.fewer(self.meter.line(), fewer);
            self.untagged.resized_on_line();
        } else {
            self.untagged().resized(more, fewer);
        }
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

/// Opens a line, on which nothing has moved yet.
fn begin(line: &Line) {
    /// So much that it is never used up, and more fits above.
    const PLENTY: isize = isize::MAX / 2;
    line.open(PLENTY, PLENTY, PLENTY + OWN, 0);
}

impl<A> Tagged<'_, A> {
    #[inline]
    fn allocated(&self, block: NonNull<u8>, layout: Layout) {
        self.tracking.total.add(self.tracking.part(), layout.size());
        self.tag.allocated(layout.size());
        if let Some(live) = &self.tracking.live {
            live.add(block, layout, self.tag.index());
        }
    }

    #[inline]
    fn resized(&self, more: usize, fewer: usize) {
        self.tracking.total.add(self.tracking.part(), more);
        self.tracking.total.take(self.tracking.part(), fewer);
        self.tag.resized(more, fewer);
    }

    /// Counts a free, before the child does it: its address may be another block's at once.
    #[inline]
    fn freed(&self, block: NonNull<u8>, layout: Layout) {
        if let Some(live) = &self.tracking.live {
            live.take_out(block).gone();
        }
        if layout.size() != 0 {
            self.tracking.total.take(self.tracking.part(), layout.size());
            self.tag.freed(layout.size());
        }
    }
}

impl<A: Allocator> Around for Tagged<'_, A> {
    type Child = A;

    #[inline(always)]
    fn child(&self) -> &A {
        &self.tracking.child
    }

    #[inline]
    fn on_allocate(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        let block = ask().inspect_err(|_| self.tag.refused())?;
        if layout.size() != 0 {
            self.allocated(block.cast(), layout);
        }
        Ok(block)
    }

    #[inline]
    fn on_grow(&self, block: NonNull<u8>, old: Layout, new: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        if old.size() == 0 {
            return self.on_allocate(new, ask);
        }
        let block = self.listed(block, new, ask).inspect_err(|_| self.tag.refused())?;
        self.resized(new.size() - old.size(), 0);
        Ok(block)
    }

    #[inline]
    fn on_shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        ask: impl FnOnce() -> Answer,
    ) -> Answer {
        let moved = self.listed(block, new, ask).inspect_err(|_| self.tag.refused())?;
        if new.size() != 0 {
            self.resized(0, old.size() - new.size());
        } else if old.size() != 0 {
            self.freed(block, old);
        }
        Ok(moved)
    }

    #[inline]
    fn on_free(&self, block: NonNull<u8>, layout: Layout, free: impl FnOnce()) {
        self.freed(block, layout);
        free();
    }
}
implement_around!([A: Allocator] Tagged<'_, A>);

impl<A: Allocator> Around for Tracking<A> {
    type Child = A;

    #[inline(always)]
    fn child(&self) -> &A {
        &self.child
    }

    #[inline(always)]
    fn on_allocate(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        let block = ask().inspect_err(|_| self.untagged.refused())?;
        if layout.size() != 0 {
            let line = self.meter.line();
            if line.take(layout.size()) {
                line.count(ALLOCATIONS, Relaxed);
            } else {
                self.allocated_slowly(line, block.cast(), layout);
            }
        }
        Ok(block)
    }

    #[inline]
    fn on_grow(&self, block: NonNull<u8>, old: Layout, new: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        if old.size() == 0 {
            return self.on_allocate(new, ask);
        }
        let block = self.untagged().listed(block, new, ask).inspect_err(|_| self.untagged.refused())?;
        self.resized(new.size() - old.size(), 0);
        Ok(block)
    }

    #[inline]
    fn on_shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        ask: impl FnOnce() -> Answer,
    ) -> Answer {
        let moved = self.untagged().listed(block, new, ask).inspect_err(|_| self.untagged.refused())?;
        if new.size() != 0 {
            self.resized(0, old.size() - new.size());
        } else if old.size() != 0 {
            self.count_free(block, old);
        }
        Ok(moved)
    }

    #[inline(always)]
    fn on_free(&self, block: NonNull<u8>, layout: Layout, free: impl FnOnce()) {
        self.count_free(block, layout);
        free();
    }
}
implement_around!([A: Allocator] Tracking<A>);

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
