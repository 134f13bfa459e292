//! `Global`: the block heap as the program's allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::checkers;
use crate::config::{MAX_CLASS_SIZE, SEGMENT_SIZE};
use crate::heap::{ChunkView, GLOBAL, chunks, collect};
use crate::local_heap::{BlockCache, LocalCore, free_layout, rounded};
use crate::size_class::class_of;
use crate::threads::{binding, current_blocks, current_record, own_blocks};

/// The process-wide block heap, as `#[global_allocator]` and as an allocator handle.
///
/// It serves from the first allocation before `main` to the last thread-local destructor: a thread
/// past our own destructor borrows the record of another for the length of each call.
///
/// # Cost
///
/// An allocation that finds a free block of its class, and a free on the block's own thread, take a
/// dozen instructions each and touch no memory that other threads write.
///
/// # Examples
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: blockyard::Global = blockyard::Global;
///
/// let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
/// assert_eq!(words[999], "999");
/// println!("{}", blockyard::stats());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Global;

impl Global {
    /// Gives back everything that can be given back now; returns how many bytes of memory the system
    /// took. See [`Heap::collect`](crate::Heap::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// blockyard::Global.collect();
    /// ```
    pub fn collect(&self) -> usize {
        collect(&GLOBAL)
    }

    /// Starts a thread that gives memory back once per purge delay (400 ms), in an idle program too; see
    /// [`HeapBuilder::purge_thread`](crate::HeapBuilder::purge_thread). It runs as long as the program; further
    /// calls change nothing, but in the child of a `fork`, which has no such thread until it calls this.
    ///
    /// # Errors
    ///
    /// When the system does not start a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// blockyard::Global.start_purge_thread()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn start_purge_thread(&self) -> std::io::Result<()> {
        // SAFETY: the heap lives for ever.
        unsafe { GLOBAL.start_purger() }
    }

    /// Every chunk and about how full it is: see [`Heap::chunks`](crate::Heap::chunks).
    ///
    /// # Examples
    ///
    /// ```
    /// #[global_allocator]
    /// static ALLOCATOR: blockyard::Global = blockyard::Global;
    ///
    /// let chunks = blockyard::Global.chunks();
    /// assert!(chunks.iter().any(|chunk| chunk.used > 0));
    /// ```
    #[must_use]
    pub fn chunks(&self) -> Vec<ChunkView> {
        chunks(&GLOBAL)
    }

    /// Sends home the foreign blocks that this thread has freed but still holds: at most 16 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// blockyard::Global.flush();
    /// ```
    pub fn flush(&self) {
        if let Some(local) = own() {
            // SAFETY: (I7) this thread's own local heap; (I6) it lives for ever.
            unsafe { (*local).flush() };
        }
    }
}

/// Which local heap serves a request.
pub(crate) trait Way {
    /// Its block cache, or the static empty one.
    fn blocks() -> *const BlockCache;
    /// It, made if need be; `None` when there can be none.
    fn local(layout: Layout) -> Option<*const LocalCore>;
}

/// This thread's own local heap behind `Global`: the way of the handle.
pub(crate) struct Own;

impl Way for Own {
    #[inline(always)]
    fn blocks() -> *const BlockCache {
        own_blocks()
    }
    fn local(_layout: Layout) -> Option<*const LocalCore> {
        own()
    }
}

/// Where the thread is [routed](crate::Heap::route) to: the way of the program's global allocations.
pub(crate) struct Routed;

impl Way for Routed {
    #[inline(always)]
    fn blocks() -> *const BlockCache {
        current_blocks()
    }
    fn local(layout: Layout) -> Option<*const LocalCore> {
        if !is_routable(layout) {
            return own();
        }
        BlockCache::local(current_blocks()).or_else(|| {
            let own = own()?;
            // The cache is the first field.
            binding(|binding| binding.blocks.set(own.cast()));
            Some(own)
        })
    }
}

/// This thread's local heap behind `Global`, wherever that is routed to; `None` when there can be none.
#[inline]
pub(crate) fn own() -> Option<*const LocalCore> {
    BlockCache::local(own_blocks()).or_else(bind)
}

#[cold]
fn bind() -> Option<*const LocalCore> {
    let own = GLOBAL.local()?;
    // The cache is the first field.
    binding(|binding| binding.own_blocks.set(own.cast()));
    Some(own)
}

/// Whether `Global` is the program's global allocator.
pub(crate) fn is_installed() -> bool {
    /// 0 is "not known yet".
    static INSTALLED: AtomicU8 = AtomicU8::new(0);
    const YES: u8 = 1;
    const NO: u8 = 2;
    // ORDER: Relaxed: whoever looks for himself finds the same.
    match INSTALLED.load(Ordering::Relaxed) {
        0 => {
            // Nothing is routed before this is known, so what comes from `Global` is `GLOBAL`'s.
            let layout = Layout::new::<u64>();
            // SAFETY: the layout is not empty; the block is freed as it was made. Where it could see that
            // nobody looks, the compiler would leave the pair out.
            let installed = unsafe {
                let block = core::hint::black_box(std::alloc::alloc(layout));
                let installed = GLOBAL.owns(block);
                if !block.is_null() {
                    std::alloc::dealloc(block, layout);
                }
                installed
            };
            INSTALLED.store(if installed { YES } else { NO }, Ordering::Relaxed);
            installed
        }
        known => known == YES,
    }
}

/// Resizes a block of `Global`, whose heap another is where it was routed; null when out of memory.
///
/// # Safety
/// (I1) `block` is a live block for `old`, and of `GLOBAL` if it is not routable; the caller gives it up
/// unless null comes back.
#[inline(always)]
pub(crate) unsafe fn realloc<W: Way>(block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
    // SAFETY: (I7) this thread's own local heap, or a leased one; (I1) passed on.
    unsafe {
        if checkers::is_on() {
            return checkers::realloc(block, old, new, alloc_raw::<W>, |block, layout| {
                dealloc_raw(block, layout)
            });
        }
        match BlockCache::local(W::blocks()) {
            Some(local) if is_routable(old) && is_routable(new) => (*local).realloc(block, old, new),
            _ => realloc_slow::<W>(block, old, new),
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn realloc_slow<W: Way>(block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
    let rarer = if is_routable(old) { new } else { old };
    // SAFETY: (I7) and (I1) as in `realloc`.
    with_local::<W>(rarer, |local| unsafe { local.realloc(block, old, new) })
}

/// Blocks that are aligned to segments are looked for in `GLOBAL` when they are freed.
#[inline(always)]
fn is_routable(layout: Layout) -> bool {
    layout.align() < SEGMENT_SIZE
}

/// Runs `f`, which serves a request for `layout`, on a local heap.
fn with_local<W: Way>(layout: Layout, f: impl FnOnce(&LocalCore) -> *mut u8) -> *mut u8 {
    match W::local(layout) {
        // SAFETY: (I6) this thread's local heap lives for ever, and one it is routed to as long as the
        // route, since that borrows its heap.
        Some(local) => unsafe {
            let block = f(&*local);
            // Nothing is half done any more, and user code may run.
            (*local).heap().report_limit();
            block
        },
        None => GLOBAL.with_local(f).unwrap_or(ptr::null_mut()),
    }
}

/// The block cache has no block of `class`, which is the layout's.
#[cold]
#[inline(never)]
fn alloc_missed<W: Way>(class: usize, layout: Layout) -> *mut u8 {
    match BlockCache::local(W::blocks()) {
        // Behind `Global` itself there is no limit to report.
        // SAFETY: (I7) this thread's own local heap.
        Some(local) if local.cast() == own_blocks() => unsafe { (*local).alloc_slow(class, layout) },
        _ => alloc_slow::<W>(layout),
    }
}

#[cold]
#[inline(never)]
fn alloc_slow<W: Way>(layout: Layout) -> *mut u8 {
    // SAFETY: (I7) this thread's own local heap, or a leased one.
    with_local::<W>(layout, |local| unsafe { local.alloc(layout) })
}

/// A block for `layout`; null when out of memory.
#[inline(always)]
pub(crate) fn alloc<W: Way>(layout: Layout) -> *mut u8 {
    if checkers::is_on() { checkers::alloc(layout, alloc_raw::<W>) } else { alloc_raw::<W>(layout) }
}

#[inline(always)]
fn alloc_raw<W: Way>(layout: Layout) -> *mut u8 {
    let size = rounded(layout);
    if size <= MAX_CLASS_SIZE {
        let class = class_of(size);
        // SAFETY: (I7) the binding's caches are of the record this thread holds, or the empty one.
        let block = unsafe { (*W::blocks()).alloc(class, layout.size()) };
        if block.is_null() { alloc_missed::<W>(class, layout) } else { block }
    } else {
        alloc_slow::<W>(layout)
    }
}

/// # Safety
/// (I1) The caller gives up `block`, a live block for `layout`, and of `GLOBAL` if it is not routable.
#[inline(always)]
unsafe fn dealloc_raw(block: *mut u8, layout: Layout) {
    // SAFETY: (I1) the caller gives up the block, which finds its own heap; `GLOBAL` is asked only for
    // blocks that are aligned to segments, and those are never routed.
    unsafe { free_layout(|| None, current_record(), block, layout) };
}

/// A block for `layout`, its first `layout.size()` bytes zero; null when out of memory.
pub(crate) fn alloc_zero<W: Way>(layout: Layout) -> *mut u8 {
    if checkers::is_on() {
        return checkers::alloc_zero(layout, alloc_raw::<W>);
    }
    // SAFETY: (I7) this thread's own local heap, or a leased one.
    with_local::<W>(layout, |local| unsafe { local.alloc_zero(layout) })
}

// SAFETY: blocks are at least as long and as aligned as their layout, nobody else's until they are
// freed, and nothing here unwinds.
unsafe impl GlobalAlloc for Global {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        alloc::<Routed>(layout)
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: (I1) passed on.
        unsafe {
            if checkers::is_on() {
                return checkers::dealloc(block, layout, |block, layout| dealloc_raw(block, layout));
            }
            dealloc_raw(block, layout);
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        alloc_zero::<Routed>(layout)
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size is a valid one for this alignment, and (I1).
        unsafe {
            realloc::<Routed>(block, layout, Layout::from_size_align_unchecked(new_size, layout.align()))
        }
    }
}
