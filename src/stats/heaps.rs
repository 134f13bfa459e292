//! The table of live heaps.

use core::ptr::NonNull;

use super::read::snapshot;
use super::registry::{Listed, Member, Registry};
use super::snapshot::{ProcessStats, Stats};
use crate::heap::{GLOBAL, HeapCore, bury, unrouted};
use crate::stats::PROCESS;
use crate::sync::AtomicPtr;

/// Locked to make and drop heaps and to read statistics, never to allocate.
pub(crate) static HEAPS: Registry<HeapCore> = Registry::new();

impl Member for HeapCore {
    fn next_dead(&self) -> &AtomicPtr<Self> {
        &self.next_dead
    }
}

/// A lock that somebody waits for may allocate what it keeps.
fn lock() -> Listed<'static, HeapCore> {
    unrouted(|| HEAPS.lock())
}

/// Lists a heap. False when there is no memory for that.
///
/// # Safety
/// The heap stays until [`unregister`].
pub(crate) unsafe fn register(core: NonNull<HeapCore>) -> bool {
    let mut heaps = lock();
    // SAFETY: passed on.
    let listed = unrouted(|| unsafe { heaps.add(core) });
    drop(heaps);
    bury();
    listed
}

/// Takes a heap off the list; waits for a snapshot that is being taken.
pub(crate) fn unregister(core: NonNull<HeapCore>) {
    _ = lock().remove(core);
    bury();
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
    heaps.extend(listed.iter().map(snapshot));
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
