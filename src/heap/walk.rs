//! Walks: what is in a heap, chunk by chunk and block by block.
//!
//! The free lists of a chunk are its owner's alone, so which of its blocks are live is the owner's secret while
//! that thread runs. Hence three ways to look:
//!
//! | | who may run meanwhile | shows |
//! |---|---|---|
//! | [`Heap::chunks`] | anyone | every chunk, about how full; from counters, as statistics |
//! | [`LocalHeap::walk`] | anyone | this thread's blocks |
//! | [`Heap::walk`], [`Heap::walk_while_quiet`] | nobody | every chunk, every live block, exactly |
//!
//! A walk that has the heap to itself first sends home what waits in outboxes and takes in what waits in
//! inboxes. Then a block is free if and only if it is on its chunk's list, in its owner's block cache, or was
//! never carved. What even `&mut Heap` does not exclude is a thread that is just ending: it sends home what it
//! holds of every heap. So the local heaps are taken off their records' lists for the time, which waits for
//! such a thread, as dropping a heap does.

use core::fmt;
use core::ptr;
use core::sync::atomic::Ordering;
use std::collections::HashMap;

use super::core::HeapCore;
use super::handle::{Heap, LocalHeap};
use super::route::unrouted;
use crate::config::{CHUNK_SIZE, CHUNKS_PER_SEGMENT};
use crate::local_heap::{LocalCore, untagged};
use crate::raw::chunk::{Chunk, State};
use crate::raw::segment::{Kind, Segment};
use crate::size_class::{CLASSES, block_size};
use crate::stats::ClassKind;

/// What a chunk is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ChunkRole {
    /// Blocks, or one block: see [`ChunkView::kind`].
    Blocks,
    /// Empty, kept by a thread for its next blocks.
    Kept,
    /// Nobody's: in the heap's pool, with memory behind it or without.
    Free,
    /// The heap's own records.
    Records,
}

/// One chunk of a heap: a run of neighbouring 64 KiB chunks used as one, or a mapping of its own, too.
///
/// # Examples
///
/// ```
/// use blockyard::{ChunkRole, ClassKind, Heap, allocator_api2::vec::Vec};
///
/// let heap = Heap::new();
/// let words: Vec<[u64; 8], _> = Vec::with_capacity_in(10, &heap);
/// let chunks = heap.chunks();
/// let used: std::vec::Vec<_> = chunks.iter().filter(|chunk| chunk.role == ChunkRole::Blocks).collect();
/// assert_eq!(used.len(), 1);
/// assert!(matches!(used[0].kind, Some(ClassKind::Sized(640..=704))));
/// assert_eq!(used[0].owner, Some(0)); // the heap's first thread
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ChunkView {
    /// Address of the first byte.
    pub address: usize,
    /// Bytes.
    pub size: usize,
    /// Address of the segment or mapping that it lies in.
    pub segment: usize,
    /// What it is used for.
    pub role: ChunkRole,
    /// The blocks' size, or that the one block is a run of chunks or a mapping. `None` where there are no blocks;
    /// a free mapping is still one.
    pub kind: Option<ClassKind>,
    /// Place of the local heap that owns the blocks, in [`HeapStats::threads`](crate::HeapStats::threads).
    pub owner: Option<usize>,
    /// The owner's thread: [`ThreadStats::id`](crate::ThreadStats::id).
    pub thread: Option<u64>,
    /// Bytes of one block; 0 where there are no blocks.
    pub block_size: usize,
    /// Blocks that fit.
    pub capacity: usize,
    /// Blocks in use. In a [`HeapWalk`] those that are live. Else from counters that may be a little old, with
    /// those that the owner has at hand for its next allocations, one page's worth as a rule, and those on their
    /// way home.
    pub used: usize,
}

/// One live block.
///
/// # Examples
///
/// ```
/// use blockyard::{BlockView, ClassKind, Heap};
///
/// # fn main() -> Result<(), blockyard::WalkError> {
/// let mut heap = Heap::new();
/// let leaked = blockyard::allocator_api2::boxed::Box::leak(
///     blockyard::allocator_api2::boxed::Box::new_in([0_u8; 129], &heap),
/// );
/// let address = leaked.as_ptr().addr();
/// let blocks: Vec<BlockView> = heap.walk()?.blocks().collect();
/// assert_eq!(blocks[0].address, address);
/// assert!((129..=144).contains(&blocks[0].size));
/// assert_eq!(blocks[0].kind, ClassKind::Sized(144));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BlockView {
    /// Address of the first byte.
    pub address: usize,
    /// Bytes that may be used, at least those asked for: [`Heap::usable_size`].
    pub size: usize,
    /// Its size class.
    pub kind: ClassKind,
    /// Place of the local heap that owns it, in [`HeapStats::threads`](crate::HeapStats::threads).
    pub owner: usize,
    /// The owner's thread: [`ThreadStats::id`](crate::ThreadStats::id).
    pub thread: u64,
}

/// What was in a heap, or in one thread's part of it, at one moment: plain data that borrows nothing.
///
/// It takes a bit for each block that its chunk has room for, and some 100 bytes per chunk, of the program's
/// global allocator.
///
/// # Examples
///
/// What is left in a heap that should be empty:
///
/// ```
/// use blockyard::Heap;
///
/// # fn main() -> Result<(), blockyard::WalkError> {
/// let mut heap = Heap::new();
/// for block in heap.walk()?.blocks() {
///     println!("{} bytes at {:#x}, of thread {}", block.size, block.address, block.thread);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeapWalk {
    chunks: Vec<ChunkView>,
    /// For each chunk, a bit per block.
    live: Vec<Box<[u64]>>,
    /// Bytes at the end of each block that are not the caller's.
    margin: usize,
}

/// Why a heap cannot be walked.
///
/// # Examples
///
/// ```
/// let refused = blockyard::WalkError::Routed;
/// assert!(refused.to_string().contains("routed"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WalkError {
    /// Allocations were [routed](Heap::route) to the heap: their blocks are freed without a borrow of it, by any
    /// thread at any moment, so `&mut Heap` does not keep anybody away.
    Routed,
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Routed => f.write_str("the heap was routed into: any thread may free its blocks meanwhile"),
        }
    }
}

impl core::error::Error for WalkError {}

impl HeapWalk {
    /// The chunks; [`used`](ChunkView::used) is exact.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), blockyard::WalkError> {
    /// let mut heap = blockyard::Heap::new();
    /// assert!(heap.walk()?.chunks().is_empty()); // nothing was ever allocated
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn chunks(&self) -> &[ChunkView] {
        &self.chunks
    }

    /// The live blocks, chunk by chunk; in a chunk by address.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::vec::Vec};
    ///
    /// let heap = Heap::new();
    /// let local = heap.local();
    /// let numbers: Vec<u64, _> = Vec::with_capacity_in(100, &local);
    /// let bytes: usize = local.walk().blocks().map(|block| block.size).sum();
    /// assert!((800..=832).contains(&bytes));
    /// ```
    pub fn blocks(&self) -> impl Iterator<Item = BlockView> {
        self.chunks.iter().zip(&self.live).filter_map(|(chunk, live)| self.blocks_of(chunk, live)).flatten()
    }

    /// The live blocks of a chunk that has any.
    fn blocks_of<'a>(
        &self,
        chunk: &ChunkView,
        live: &'a [u64],
    ) -> Option<impl Iterator<Item = BlockView> + use<'a>> {
        let (kind, owner, thread) = (chunk.kind?, chunk.owner?, chunk.thread?);
        let (start, whole) = (chunk.address, chunk.block_size);
        let size = whole - self.margin;
        let is_live = |index: &usize| live[index / 64] >> (index % 64) & 1 == 1;
        let view =
            move |index: usize| BlockView { address: start + index * whole, size, kind, owner, thread };
        Some((0..live.len() * 64).filter(is_live).map(view))
    }
}

impl Heap {
    /// Every chunk and about how full it is, at any time, without waiting for any thread or making one wait.
    ///
    /// The numbers come from what the owners count. While threads allocate, a chunk that changes its role
    /// meanwhile may show the old or the new one, and its numbers may be from between; segments made meanwhile may
    /// be missing.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{ChunkRole, Heap, allocator_api2::vec::Vec};
    ///
    /// let heap = Heap::new();
    /// let numbers: Vec<u8, _> = Vec::with_capacity_in(3 << 20, &heap);
    /// for chunk in heap.chunks().iter().filter(|chunk| chunk.role == ChunkRole::Blocks) {
    ///     println!("{} of {} blocks of {} bytes", chunk.used, chunk.capacity, chunk.block_size);
    /// }
    /// ```
    #[must_use]
    pub fn chunks(&self) -> Vec<ChunkView> {
        chunks(self.core())
    }

    /// Every chunk and every live block, exactly.
    ///
    /// The exclusive borrow keeps everybody else away: containers and [`LocalHeap`]s borrow the heap, so what is
    /// live then is what was leaked, forgotten, or is held as raw pointers. For a heap in use there are
    /// [`chunks`](Self::chunks), [`LocalHeap::walk`] and [`walk_while_quiet`](Self::walk_while_quiet).
    ///
    /// A block that was freed is not shown, wherever it waits to go home: the walk sends home what waits, as
    /// [`flush`](Self::flush) does, for all threads. A thread that ends just now is waited for.
    ///
    /// # Errors
    ///
    /// [`WalkError::Routed`] when [`route`](Self::route) was ever called on this heap.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::boxed::Box};
    ///
    /// # fn main() -> Result<(), blockyard::WalkError> {
    /// let mut heap = Heap::new();
    /// drop(Box::new_in(7_u64, &heap));
    /// Box::leak(Box::new_in([7_u64; 4], &heap));
    /// let walk = heap.walk()?;
    /// assert_eq!(walk.blocks().map(|block| block.size).collect::<Vec<_>>(), [32]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn walk(&mut self) -> Result<HeapWalk, WalkError> {
        if self.core().was_routed() {
            return Err(WalkError::Routed);
        }
        // SAFETY: nothing borrows the heap, and it was never routed into, so nobody uses it or frees a block of
        // it, and whoever did before came before this borrow.
        Ok(unsafe { self.walk_while_quiet() })
    }

    /// As [`walk`](Self::walk), while containers and handles borrow the heap: for a dump at a moment when all
    /// threads stand still.
    ///
    /// # Safety
    ///
    /// Until it returns, no other thread allocates from this heap, frees a block of it, or calls anything of it
    /// but [`stats`](Self::stats), [`chunks`](Self::chunks) and [`owns`](Self::owns); and what other threads did
    /// before *happened before* this call, as by a lock, a barrier or a join. A thread may end meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::vec::Vec};
    ///
    /// let heap = Heap::new();
    /// let numbers = std::thread::scope(|scope| {
    ///     scope.spawn(|| Vec::<u64, _>::with_capacity_in(100, &heap)).join().unwrap()
    /// });
    /// // SAFETY: the only other thread has been joined.
    /// let walk = unsafe { heap.walk_while_quiet() };
    /// assert_eq!(walk.blocks().next().unwrap().address, numbers.as_ptr().addr());
    /// ```
    #[must_use]
    pub unsafe fn walk_while_quiet(&self) -> HeapWalk {
        let core = self.core();
        unrouted(|| {
            let aside = Aside::new(core);
            // SAFETY: (I7) nobody uses a local heap of this heap, as the caller promises, nor does a thread that
            // ends or empties orphans at its end, which finds none.
            unsafe {
                aside.0.iter().for_each(|local| local.flush());
                aside.0.iter().for_each(|local| _ = local.drain());
                take(core, None)
            }
        })
    }
}

impl LocalHeap<'_> {
    /// This thread's blocks in the heap, whatever other threads do meanwhile.
    ///
    /// What others have freed and sent home is taken in first. A block that another thread has freed and still
    /// holds, 16 KiB of them at most per thread (see [`Heap::flush`]), is shown as live; so may be a run or
    /// mapping that another thread frees just now.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::boxed::Box};
    ///
    /// let heap = Heap::new();
    /// let mine = Box::new_in(7_u64, heap.local());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let _theirs = Box::new_in(8_u64, &heap);
    ///         assert_eq!(heap.local().walk().blocks().count(), 1);
    ///     });
    /// });
    /// let walk = heap.local().walk();
    /// assert_eq!(walk.blocks().next().unwrap().address, std::ptr::from_ref(&*mine).addr());
    /// ```
    #[must_use]
    pub fn walk(&self) -> HeapWalk {
        let local = self.core();
        unrouted(|| {
            // SAFETY: (I7) the handle keeps the record with this thread.
            unsafe {
                local.drain();
                take(local.heap(), Some(local))
            }
        })
    }
}

/// As [`Heap::chunks`].
pub(crate) fn chunks(core: &HeapCore) -> Vec<ChunkView> {
    unrouted(|| {
        let owners = Owners::of(core);
        let mut chunks = Vec::new();
        each(core, &owners, |_, _, view| chunks.push(view));
        chunks
    })
}

/// A heap's local heaps off their records' lists, so that no thread that ends finds them there. What it would
/// have done for them, `walk_while_quiet` has done when they are put back, but for empty chunks: those stay with
/// the record until its next thread wants them, or `collect` is called there.
struct Aside<'a>(Vec<&'a LocalCore>);

impl<'a> Aside<'a> {
    fn new(core: &'a HeapCore) -> Self {
        let locals: Vec<&LocalCore> = core.locals().collect();
        // As at a heap's drop: after the last one, no thread that was ending works on this heap, neither on its
        // own part nor on an orphan's.
        locals.iter().for_each(|local| local.detach());
        Self(locals)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|local| local.attach());
    }
}

/// Number and thread of every local heap.
struct Owners(HashMap<*const LocalCore, (usize, u64)>);

impl Owners {
    fn of(core: &HeapCore) -> Self {
        let mut locals: Vec<&LocalCore> = core.locals().collect();
        locals.reverse();
        let numbered = locals.into_iter().enumerate().map(|(number, local)| {
            // SAFETY: (I7) records are never freed; the thread's number is an atomic.
            let thread = unsafe { (*local.record()).os_id() };
            (ptr::from_ref(local), (number, thread))
        });
        Self(numbered.collect())
    }
}

/// Every chunk with its live blocks; of `only` this local heap, if one is named.
///
/// # Safety
/// (I7) The caller holds the record of `only`; without one, the records of all local heaps, or as good as: nobody
/// else uses them.
unsafe fn take(core: &HeapCore, only: Option<&LocalCore>) -> HeapWalk {
    let owners = Owners::of(core);
    let mut walk = HeapWalk { chunks: Vec::new(), live: Vec::new(), margin: core.margin() };
    each(core, &owners, |segment, index, mut view| {
        let mut live: Box<[u64]> = Box::default();
        match view.kind {
            Some(ClassKind::Sized(_)) => {
                let chunk = &segment.chunks[index];
                // Not by the chunk's own word: that names its last owner still when it is the next one's. This one
                // a record's holder sets and clears itself, so what it finds to be its own is.
                let owner = segment.owners[index].load(Ordering::Relaxed).cast_const();
                let owner = untagged(owner);
                let is_own = |local: &LocalCore| owner == local.record();
                if owner.is_null() || !only.is_none_or(is_own) {
                    return;
                }
                // SAFETY: (I4) a chunk with an owner is one of blocks; (I6) its local heap is alive, and the
                // caller's to read (I7).
                (live, view.used) = unsafe { (*chunk.local()).live_blocks(chunk) };
            }
            Some(_) => {
                let number = only.and_then(|local| owners.0.get(&ptr::from_ref(local)));
                if only.is_some() && number.map(|&(number, _)| number) != view.owner {
                    return;
                }
                live = Box::new([view.used as u64]);
            }
            None if only.is_some() => return,
            None => {}
        }
        walk.chunks.push(view);
        walk.live.push(live);
    });
    walk
}

/// Runs `f` on every chunk: its segment, its place there, and what its atomics say.
fn each(core: &HeapCore, owners: &Owners, mut f: impl FnMut(&Segment, usize, ChunkView)) {
    core.for_each_segment(|segment| {
        let start = ptr::from_ref(segment).addr();
        if segment.kind() == Kind::Big {
            f(segment, 0, mapping(segment, start, owners));
            return;
        }
        let mut index = 0;
        while index < CHUNKS_PER_SEGMENT {
            let tails = segment.chunks[index + 1..].iter();
            let span = 1 + tails.take_while(|chunk| chunk.state() == State::Tail).count();
            let mut view = chunk_view(&segment.chunks[index], span, owners);
            if index == 0 {
                // The segment's head.
                view.role = ChunkRole::Records;
            }
            view.segment = start;
            view.address = start + index * CHUNK_SIZE;
            f(segment, index, view);
            index += span;
        }
    });
}

/// A chunk of no use, address to be filled in.
fn nobodys(size: usize) -> ChunkView {
    ChunkView {
        address: 0,
        size,
        segment: 0,
        role: ChunkRole::Free,
        kind: None,
        owner: None,
        thread: None,
        block_size: 0,
        capacity: 0,
        used: 0,
    }
}

fn chunk_view(chunk: &Chunk, span: usize, owners: &Owners) -> ChunkView {
    let mut view = nobodys(span * CHUNK_SIZE);
    let (state, class, block) = (chunk.state(), chunk.class(), chunk.block_size());
    let owner = owners.0.get(&chunk.local());
    match (state, owner) {
        (State::Current | State::Available | State::Full, Some(&(number, thread)))
            if class < CLASSES && block == block_size(class) =>
        {
            view.role = ChunkRole::Blocks;
            view.kind = Some(ClassKind::Sized(block));
            view.capacity = view.size / block;
            view.used = (chunk.outstanding() as usize).min(view.capacity);
            (view.owner, view.thread, view.block_size) = (Some(number), Some(thread), block);
        }
        (State::Span, Some(&(number, thread))) => {
            view.role = ChunkRole::Blocks;
            view.kind = Some(ClassKind::Run);
            (view.capacity, view.used) = (1, 1);
            (view.owner, view.thread, view.block_size) = (Some(number), Some(thread), block);
        }
        (State::Cached, Some(&(number, thread))) => {
            view.role = ChunkRole::Kept;
            (view.owner, view.thread) = (Some(number), Some(thread));
        }
        (State::Metadata, _) => view.role = ChunkRole::Records,
        _ => {}
    }
    view
}

fn mapping(segment: &Segment, start: usize, owners: &Owners) -> ChunkView {
    let offset = segment.big.offset.get();
    let size = segment.size.get() - offset;
    let mut view = ChunkView { address: start + offset, segment: start, ..nobodys(size) };
    (view.kind, view.capacity) = (Some(ClassKind::Mapping), 1);
    if let Some(&(number, thread)) = owners.0.get(&segment.big.local()) {
        (view.role, view.used) = (ChunkRole::Blocks, 1);
        (view.owner, view.thread) = (Some(number), Some(thread));
        view.block_size = segment.big.block_size.get() as usize;
    }
    view
}
