//! The table of live heaps.

use core::ptr::NonNull;

use parking_lot::{Mutex, MutexGuard};

use super::read::snapshot;
use super::snapshot::{ProcessStats, Stats};
use crate::heap::{GLOBAL, HeapCore, bury, unrouted};
use crate::stats::PROCESS;

struct Entry(NonNull<HeapCore>);

// SAFETY: the pointer is used under the registry's lock, and a heap leaves the registry before it
// goes; `HeapCore` is `Sync`.
unsafe impl Send for Entry {}

/// Locked to make and drop heaps and to read statistics, never to allocate.
static HEAPS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// A lock that somebody waits for may allocate what it keeps.
fn lock() -> MutexGuard<'static, Vec<Entry>> {
    unrouted(|| HEAPS.lock())
}

/// Lists a heap. False when there is no memory for that.
///
/// # Safety
/// The heap stays until [`unregister`].
pub(crate) unsafe fn register(core: NonNull<HeapCore>) -> bool {
    let mut heaps = lock();
    if unrouted(|| heaps.try_reserve(1)).is_err() {
        return false;
    }
    heaps.push(Entry(core));
    drop(heaps);
    bury();
    true
}

/// Takes a heap off the list; waits for a snapshot that is being taken.
pub(crate) fn unregister(core: NonNull<HeapCore>) {
    Listed(&mut lock()).remove(core);
    bury();
}

/// The list, locked.
pub(crate) struct Listed<'a>(&'a mut Vec<Entry>);

impl Listed<'_> {
    /// Takes a heap off the list.
    pub(crate) fn remove(&mut self, core: NonNull<HeapCore>) {
        if let Some(at) = self.0.iter().rposition(|entry| entry.0 == core) {
            self.0.swap_remove(at);
        }
    }
}

/// Runs `f` on the list, unless somebody has it, perhaps this thread: that one calls [`bury`] then.
pub(crate) fn try_edit<R>(f: impl FnOnce(Listed<'_>) -> R) -> Option<R> {
    loop {
        if let Some(mut heaps) = HEAPS.try_lock() {
            return Some(f(Listed(&mut heaps)));
        }
        if HEAPS.is_locked() {
            return None;
        }
    }
}

/// One reading of every heap of the process and of every arena with a name, the heap behind
/// [`Global`](crate::Global) first.
///
/// # Cost
///
/// A walk over all segments (one per 4 MiB) and all threads' counters. No thread that allocates waits;
/// making or dropping a heap waits until the reading is done.
///
/// # Examples
///
/// ```
/// let heap = blockyard::Heap::builder().name("scene").build()?;
/// let stats = blockyard::stats();
/// assert!(stats.heaps.iter().any(|heap| heap.name.as_deref() == Some("scene")));
/// println!("{stats}");
/// # Ok::<(), blockyard::BuildError>(())
/// ```
#[must_use]
pub fn stats() -> Stats {
    let listed = lock();
    let mut heaps = vec![snapshot(&GLOBAL)];
    // SAFETY: a listed heap is alive while the lock is held.
    heaps.extend(listed.iter().map(|entry| snapshot(unsafe { entry.0.as_ref() })));
    drop(listed);
    bury();
    heaps[1..].sort_by_key(|heap| heap.id);
    let ((in_chunks, in_chunks_peak), (mapped, mapped_peak)) = (PROCESS.in_use.read(), PROCESS.mapped.read());
    Stats {
        process: ProcessStats { in_chunks, in_chunks_peak, mapped, mapped_peak },
        heaps,
        #[cfg(feature = "allocator-api2-02")]
        arenas: crate::arena::named_arenas(),
        #[cfg(not(feature = "allocator-api2-02"))]
        arenas: Vec::new(),
    }
}
