//! A contender that counts the live bytes of another one. For memory runs only: the counts are shared.

use std::alloc::Layout;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Contender, Need, Reach, Role, ThreadAlloc};

// Bytes in live blocks, by the sizes that the workload asked for. They publish nothing, so `Relaxed`.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Bytes that the counted contender's callers hold, by the sizes they asked for.
pub(crate) struct LiveBytes {
    pub(crate) now: usize,
    pub(crate) peak: usize,
}

impl LiveBytes {
    pub(crate) fn read() -> Self {
        Self { now: LIVE.load(Relaxed), peak: PEAK.load(Relaxed) }
    }

    fn grow(bytes: usize) {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        if live > PEAK.load(Relaxed) {
            PEAK.fetch_max(live, Relaxed);
        }
    }

    fn shrink(bytes: usize) {
        LIVE.fetch_sub(bytes, Relaxed);
    }
}

/// `C`, with every request counted.
pub(crate) struct Counting<C: Contender>(pub(crate) &'static C);

impl<C: Contender> Contender for Counting<C> {
    type Local = CountingLocal<C::Local>;

    const NAME: &'static str = C::NAME;
    const ROLE: Role = C::ROLE;
    const REACH: Reach = C::REACH;
    const COLLECTS: bool = C::COLLECTS;

    fn start() -> Self {
        Self(Box::leak(Box::new(C::start())))
    }

    fn thread_start(&'static self) {
        self.0.thread_start();
    }

    fn thread_end(&'static self) {
        self.0.thread_end();
    }

    fn local(&'static self, need: Need) -> Self::Local {
        CountingLocal(self.0.local(need))
    }

    fn collect(&'static self) {
        self.0.collect();
    }
}

pub(crate) struct CountingLocal<L>(L);

// SAFETY: forwards to a `ThreadAlloc` and counts.
unsafe impl<L: ThreadAlloc> ThreadAlloc for CountingLocal<L> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LiveBytes::grow(layout.size());
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.dealloc(block, layout) };
        LiveBytes::shrink(layout.size());
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LiveBytes::grow(layout.size());
        // SAFETY: the caller's promise is the same.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LiveBytes::grow(new_size);
        // SAFETY: the caller's promise is the same.
        let block = unsafe { self.0.realloc(block, layout, new_size) };
        LiveBytes::shrink(layout.size());
        block
    }
}
