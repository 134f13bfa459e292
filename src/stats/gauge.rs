//! Levels with a peak.

use core::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that many threads change, and the most it ever was.
#[derive(Debug)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// All heaps together.
pub(crate) struct Process {
    pub(crate) in_use: Gauge,
    pub(crate) mapped: Gauge,
}

/// The process's levels: peaks of the process, not sums of peaks.
pub(crate) static PROCESS: Process = Process { in_use: Gauge::new(), mapped: Gauge::new() };

// ORDER: Relaxed throughout: a gauge publishes nothing but itself.
impl Gauge {
    pub(crate) const fn new() -> Self {
        Self { now: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }
    /// The level and the peak for statistics. What is charged but not served yet, and perhaps never, is not in them.
    pub(crate) fn read(&self) -> (usize, usize) {
        let (now, peak) = (self.now(), self.peak.load(Ordering::Relaxed));
        (now.min(peak), peak)
    }
    pub(crate) fn add(&self, n: usize) {
        self.now.fetch_add(n, Ordering::Relaxed);
    }
    /// Adds unless the sum would exceed `limit`.
    pub(crate) fn try_add(&self, n: usize, limit: usize) -> bool {
        let sum = |now: usize| now.checked_add(n).filter(|&sum| sum <= limit);
        self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
    pub(crate) fn sub(&self, n: usize) {
        self.now.fetch_sub(n, Ordering::Relaxed);
    }
    /// The level as it is now may be the highest so far.
    pub(crate) fn raise_peak(&self) {
        let now = self.now();
        if now > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
    }
}
