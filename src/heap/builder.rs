//! How a heap is made.

use core::fmt;
use core::time::Duration;
use std::alloc::Layout;
use std::ptr::NonNull;

use super::hardening::Level;
use super::route::OnLimit;
use super::{Heap, HeapCore, LimitExceeded, Settings};
use crate::config::PURGE_DELAY_MS;
use crate::source::Source;

/// Settings of a [`Heap`] to be made; see [`Heap::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use blockyard::Heap;
///
/// let heap = Heap::builder()
///     .name("textures")
///     .limit(256 << 20)
///     .purge_delay(Duration::from_millis(100))
///     .build()?;
/// assert_eq!(heap.name(), Some("textures"));
/// # Ok::<(), blockyard::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct HeapBuilder {
    name: Option<Box<str>>,
    source: Option<Box<dyn Source>>,
    limit: usize,
    purge_delay: Duration,
    hard_limit: bool,
    on_limit: Option<Box<OnLimit>>,
    purge_thread: bool,
    level: Level,
}

impl fmt::Debug for HeapBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeapBuilder")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("purge_delay", &self.purge_delay)
            .finish_non_exhaustive()
    }
}

/// Why a heap could not be made.
///
/// # Examples
///
/// ```
/// use blockyard::{BuildError, Heap};
///
/// assert_eq!(Heap::builder().limit(1000).build().unwrap_err(), BuildError::LimitTooSmall);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no memory for the heap's own record.
    OutOfMemory,
    /// The limit is below 64 KiB, the least that a heap can hand out anything from.
    LimitTooSmall,
    /// The system would not start the [purge thread](HeapBuilder::purge_thread).
    NoThread,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfMemory => "no memory for the heap's record",
            Self::NoThread => "the heap's purge thread could not be started",
            Self::LimitTooSmall => "a heap's limit must be at least 65536 bytes, the size of one chunk",
        })
    }
}

impl core::error::Error for BuildError {}

impl HeapBuilder {
    pub(super) fn new() -> Self {
        Self {
            name: None,
            source: None,
            limit: usize::MAX,
            purge_delay: Duration::from_millis(PURGE_DELAY_MS),
            hard_limit: false,
            on_limit: None,
            purge_thread: false,
            level: Level::DEFAULT,
        }
    }

    /// Names the heap in statistics and reports. The default is no name.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Bounds the memory in use, in bytes: at least 65536. The default is no bound.
    ///
    /// Counted are whole chunks (64 KiB, for one class on one thread each) and big blocks with their
    /// mapping; an allocation that would exceed the bound fails. The heap's own records, some 20 KB
    /// and 7 KB per thread, are not counted.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Makes the limit hold for [routed](Heap::route) allocations too: one that would exceed it fails, which
    /// as a rule ends the program. The default is that they exceed it, and that
    /// [`on_limit`](Self::on_limit) is called.
    pub fn hard_limit(mut self) -> Self {
        self.hard_limit = true;
        self
    }

    /// Calls `f` when a [routed](Heap::route) allocation has exceeded the limit: once, and again when the
    /// memory in use was below the limit in between.
    ///
    /// It is called on the thread that allocates, after it got its block. What `f` allocates is not routed
    /// to the heap. A panic in it goes no further than its message.
    pub fn on_limit(mut self, f: impl Fn(&LimitExceeded<'_>) + Send + Sync + 'static) -> Self {
        self.on_limit = Some(Box::new(f));
        self
    }

    /// Takes memory from `source`. The default is [`System`](crate::source::System).
    pub fn source(mut self, source: impl Source + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// How long free memory stays resident, to the millisecond. The default is 400 ms.
    ///
    /// Free chunks are given back between one and two delays after they became free, by whichever
    /// thread visits the heap's slow path then; [`Heap::collect`] does not wait. Shorter delays cost
    /// page faults where the program uses the memory again, each about as much as a hundred
    /// allocations.
    pub fn purge_delay(mut self, delay: Duration) -> Self {
        self.purge_delay = delay;
        self
    }

    /// Makes a heap that finds out how it is misused: double and invalid frees, frees with a wrong size,
    /// writes past a block's end or into a freed block. It says so in one line on standard error and aborts the
    /// process. The default is a heap that trusts its callers, unless the crate's feature `hardened` is on.
    ///
    /// Such a heap keeps nothing of its own in blocks, hands free blocks out in random order, ends each block with
    /// eight bytes that tell of an overflow, and has pages that cannot be accessed behind its records, its segments
    /// and its big blocks. Blocks are at least 32 bytes, and a resize that needs another size class, page count or
    /// alignment moves. `docs/hardening.md` says what is found, what is not, and what it costs.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::vec::Vec};
    ///
    /// let heap = Heap::builder().hardened(true).build()?;
    /// let mut untrusted = Vec::new_in(&heap);
    /// untrusted.extend_from_slice(b"from the network");
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    ///
    /// A block that is freed twice ends the process:
    ///
    /// ```no_run
    /// use blockyard::{Heap, allocator_api2::alloc::{Allocator, Layout}};
    ///
    /// let heap = Heap::builder().name("parser").hardened(true).build()?;
    /// let block = (&heap).allocate(Layout::new::<[u8; 40]>()).unwrap().cast();
    /// unsafe {
    ///     heap.free(block);
    ///     heap.free(block);
    ///     // blockyard: heap "parser": double free at 0x7faf08420000, 40 bytes, class 48, of thread 7120, found on
    ///     // thread 7120; process aborts
    /// }
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn hardened(mut self, yes: bool) -> Self {
        self.level = match (yes, self.level) {
            (false, _) => Level::Plain,
            (true, Level::Plain) => Level::Checks,
            (true, level) => level,
        };
        self
    }

    /// Makes a [hardened](Self::hardened) heap that overwrites freed blocks to their last byte, so that nothing
    /// stays in them, and checks all of it before they are handed out again. The default is 16 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// let keys = blockyard::Heap::builder().wipe(true).build()?;
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn wipe(mut self, yes: bool) -> Self {
        self.level = match (yes, self.level) {
            (true, _) => Level::Wipe,
            (false, Level::Wipe) => Level::Checks,
            (false, level) => level,
        };
        self
    }

    /// Gives the heap a thread of its own that gives memory back once per
    /// [`purge_delay`](Self::purge_delay), in an idle program too. The default is none: then threads that
    /// allocate, or end, do it on the way, and a program that does neither keeps what it has.
    ///
    /// What live threads hold stays theirs: up to four empty chunks of 64 KiB each, and one chunk for each size class
    /// they last used. The thread, named `blockyard-purge`, ends when the heap is dropped; the drop waits for it.
    /// After a `fork` the child has none, and its drop of the heap waits for nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::Heap;
    ///
    /// let heap = Heap::builder().name("level").purge_thread().build()?;
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn purge_thread(mut self) -> Self {
        self.purge_thread = true;
        self
    }

    /// Makes the heap. It asks its source for memory when it is first used, not before.
    ///
    /// # Errors
    ///
    /// [`BuildError::LimitTooSmall`] for a limit below 65536 bytes, [`BuildError::OutOfMemory`] when the
    /// program's allocator has no room for the heap's record (some 500 bytes), [`BuildError::NoThread`] when its
    /// purge thread cannot be started.
    pub fn build(self) -> Result<Heap, BuildError> {
        if self.limit < crate::config::CHUNK_SIZE {
            return Err(BuildError::LimitTooSmall);
        }
        let layout = Layout::new::<HeapCore>();
        // SAFETY: the layout is not empty.
        let place = NonNull::new(unsafe { std::alloc::alloc(layout) }.cast::<HeapCore>())
            .ok_or(BuildError::OutOfMemory)?;
        let core = HeapCore::new(Settings {
            name: self.name,
            source: self.source,
            limit: self.limit,
            purge_delay_ms: u64::try_from(self.purge_delay.as_millis()).unwrap_or(u64::MAX),
            hard_limit: self.hard_limit,
            on_limit: self.on_limit,
            level: self.level,
        });
        // SAFETY: just allocated for it; `Heap` frees it as the box that this makes it.
        let heap = unsafe {
            place.write(core);
            Heap::from_core(place)
        };
        let heap = heap.ok_or(BuildError::OutOfMemory)?;
        if self.purge_thread {
            // SAFETY: dropping the heap stops the thread before anything else.
            unsafe { heap.core().start_purger() }.map_err(|_| BuildError::NoThread)?;
        }
        Ok(heap)
    }
}
