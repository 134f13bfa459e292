//! Snapshots: plain data.

use core::iter::Sum;
use core::ops::{Add, AddAssign};

/// One reading of every heap of the process. See [`stats`](crate::stats()).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stats {
    /// All heaps together.
    pub process: ProcessStats,
    /// Every live heap: first the one behind [`Global`](crate::Global), then the others by number.
    pub heaps: Vec<HeapStats>,
    /// Every live arena that has a name, by name: those of an [`ArenaPool`](crate::ArenaPool), too.
    pub arenas: Vec<NamedArenaStats>,
}

/// One arena with a name, in bytes, as of when it last took a chunk or was reset.
///
/// # Examples
///
/// ```
/// let mut arena = blockyard::Arena::builder().name("parser").build();
/// arena.alloc([0_u8; 1000]);
/// let stats = blockyard::stats();
/// let row = stats.arenas.iter().find(|row| row.name == "parser").unwrap();
/// assert_eq!(row.reserved, 4096);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NamedArenaStats {
    /// The name given to the builder.
    pub name: String,
    /// The most that the arena takes from its child, if there is a bound.
    pub limit: Option<usize>,
    /// Given out then.
    pub used: usize,
    /// Taken from the child allocator and not given back.
    pub reserved: usize,
    /// The most that `used` had been since the arena was made.
    pub peak: usize,
}

/// Levels and peaks of the process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProcessStats {
    /// Chunks and big blocks in use.
    pub in_chunks: usize,
    /// The most that was in use at once in the whole process.
    pub in_chunks_peak: usize,
    /// Address space reserved.
    pub mapped: usize,
    /// The most that was reserved at once in the whole process.
    pub mapped_peak: usize,
}

/// One reading of a heap. See [`Heap::stats`](crate::Heap::stats).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HeapStats {
    /// Number of the heap, never given twice in a process. [`Global`](crate::Global)'s is 1.
    pub id: u64,
    /// The name given to its builder.
    pub name: Option<String>,
    /// The limit given to its builder, in bytes.
    pub limit: Option<usize>,
    /// All threads' blocks.
    pub blocks: BlockStats,
    /// All threads' bytes, and the heap's.
    pub bytes: ByteStats,
    /// All threads' blocks by class; classes never used are left out.
    pub classes: Vec<ClassStats>,
    /// The local heaps, oldest first.
    pub threads: Vec<ThreadStats>,
}

/// One reading of a local heap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThreadStats {
    /// The thread's number in the operating system; of an orphan, its last holder's.
    pub id: u64,
    /// The thread's name in the operating system, where that can be found out.
    pub name: Option<String>,
    /// Whether there is a thread.
    pub state: ThreadState,
    /// Blocks this local heap owns, whoever freed them; and, in `returned`, those it sent to others.
    pub blocks: BlockStats,
    /// Bytes of the callers' layouts for live blocks. The layouts of blocks resized in place are
    /// charged to the thread that resized them, so a thread's number may be negative.
    pub requested: i64,
    /// Bytes of live blocks.
    pub in_blocks: u64,
    /// By class; classes never used are left out.
    pub classes: Vec<ClassStats>,
}

/// Who holds a local heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ThreadState {
    /// A thread that is running.
    Live,
    /// Nobody; the next thread takes it over.
    Orphan,
    /// Somebody who empties it, or a thread near its end.
    Leased,
}

/// One reading of a class of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClassStats {
    /// What blocks of the class are.
    pub kind: ClassKind,
    /// The blocks.
    pub blocks: BlockStats,
    /// Bytes of live blocks.
    pub in_blocks: u64,
}

/// What the blocks of a class are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ClassKind {
    /// Blocks of this many bytes, cut from chunks.
    Sized(usize),
    /// Runs of whole chunks: blocks above 64 KiB, up to 1 MiB, and those above 32 KiB that `realloc` doubled to that.
    Run,
    /// Mappings of their own: above 1 MiB, or aligned to more than 64 KiB.
    Mapping,
}

/// Numbers of blocks since the heap was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BlockStats {
    /// Handed out.
    pub allocated: u64,
    /// Freed by any thread, those still on their way home included.
    pub freed: u64,
    /// Blocks of others that were freed here and sent home.
    pub returned: u64,
    /// Blocks freed by others that came home.
    pub received: u64,
    /// Blocks freed by others that are on their way: in an outbox or in the queue.
    pub queued: u64,
}

/// Bytes of a heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ByteStats {
    /// Of the callers' layouts, for live blocks; where a block was freed without its layout, the
    /// block's size was taken off.
    pub requested: u64,
    /// Live blocks.
    pub in_blocks: u64,
    /// Chunks and big blocks in use.
    pub in_chunks: usize,
    /// The most that was in use at once.
    pub in_chunks_peak: usize,
    /// Address space reserved from the source.
    pub mapped: usize,
    /// The most that was reserved at once.
    pub mapped_peak: usize,
    /// Given back to the source since the heap was made: purged or released.
    pub purged: u64,
}

impl BlockStats {
    /// Blocks handed out and not freed.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::new();
    /// assert_eq!(heap.stats().blocks.live(), 0);
    /// ```
    #[must_use]
    pub const fn live(&self) -> u64 {
        self.allocated.saturating_sub(self.freed)
    }
}

impl AddAssign for BlockStats {
    fn add_assign(&mut self, other: Self) {
        self.allocated += other.allocated;
        self.freed += other.freed;
        self.returned += other.returned;
        self.received += other.received;
        self.queued += other.queued;
    }
}

impl Add for BlockStats {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for BlockStats {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}
