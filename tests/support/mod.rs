//! What the tests share.
#![allow(dead_code, reason = "each binary uses a part of it")]

pub(crate) mod block;
pub(crate) mod pattern;
pub(crate) mod probe;
pub(crate) mod reconcile;

use std::alloc::Layout;
use std::cell::RefCell;
use std::thread::{self, Scope, ScopedJoinHandle};

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;
/// Bytes of each block that are not the caller's, where heaps are hardened unless their builder says otherwise.
pub(crate) const MARGIN: usize = if cfg!(feature = "hardened") { 8 } else { 0 };

/// A heap that trusts its callers, whatever the default is: for tests of what only such a heap does.
pub(crate) fn plain() -> blockyard::HeapBuilder {
    blockyard::Heap::builder().hardened(false)
}

pub(crate) fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("tests ask for valid layouts")
}

/// Threads that are waited for to their very end.
pub(crate) struct Team<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    threads: RefCell<Vec<ScopedJoinHandle<'scope, ()>>>,
}

impl<'scope> Team<'scope, '_> {
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'scope) {
        self.threads.borrow_mut().push(self.scope.spawn(work));
    }
}

/// A [`thread::scope`] whose end waits for the ends of its threads' locals as well. Until then what
/// the threads hold of a heap is on its way home, and statistics are a little blurred.
pub(crate) fn team<'env>(work: impl for<'scope> FnOnce(&Team<'scope, 'env>)) {
    thread::scope(|scope| {
        let team = Team { scope, threads: RefCell::default() };
        work(&team);
        team.threads.into_inner().into_iter().for_each(|thread| thread.join().expect("checks hold"));
    });
}

/// A sequence of numbers that differs by seed and is the same in every run.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A power of two below `1 << usual`, and now and then below `1 << rare`.
    pub(crate) fn power(&mut self, usual: usize, rare: usize) -> usize {
        let bits = if self.below(32) == 0 { rare } else { usual };
        1 << self.below(bits)
    }
}
