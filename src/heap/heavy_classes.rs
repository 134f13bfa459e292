//! Which classes fill their chunks.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::size_class::CLASSES;

/// A bit per class, set for good where a thread used more of a chunk than makes a thin one. A class is light
/// until then.
#[derive(Debug)]
pub(crate) struct HeavyClasses([AtomicU64; CLASSES.div_ceil(64)]);

impl HeavyClasses {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; CLASSES.div_ceil(64)])
    }

    // ORDER: Relaxed throughout: a hint, and nothing but itself.
    pub(crate) fn has(&self, class: usize) -> bool {
        self.0[class / 64].load(Ordering::Relaxed) >> (class % 64) & 1 == 1
    }

    pub(crate) fn add(&self, class: usize) {
        self.0[class / 64].fetch_or(1 << (class % 64), Ordering::Relaxed);
    }
}
