//! `cold-*`: 100,000 blocks of 64 bytes where nothing is warm yet: on a fresh thread, in a fresh process.
//!
//! jank publishes 78 ns for the cold run. On a fresh thread an allocator may hand on what threads before it
//! left; in a fresh process every page is touched for the first time, which is mostly the system's time.

use std::alloc::Layout;
use std::ptr;

use super::batch::{MANY, Order, fill_and_free};
use super::{Needs, Pace, Sample, Spec, Took, Workload, layout, opaque, team};
use crate::bench::child;
use crate::bench::contender::{Contender, Need, ThreadAlloc};

/// The job itself, on the calling thread.
pub(crate) fn first_hundred_thousand<C: Contender>(contender: &'static C) -> Sample {
    let mut blocks = vec![ptr::null_mut(); MANY];
    // The array's own pages are touched before the clock starts: `vec!` of null leaves them untouched.
    blocks.fill(ptr::without_provenance_mut(1));
    let local = contender.local(Need::ANY);
    Sample::time(MANY as u64, || {
        fill_and_free(&local, &mut blocks, Order::FirstInFirstOut);
    })
}

pub(crate) struct FreshThread;

impl Workload for FreshThread {
    fn spec(&self) -> Spec {
        Spec {
            name: "cold-thread",
            group: "cold",
            about: "allocate and free 100,000 blocks of 64 bytes, first thing on a fresh thread",
            op: "one block",
            stresses: "a thread's birth; memory handed on by threads before it",
            threads: 1,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let mut elapsed = Took::default();
        for _ in 0..reps {
            elapsed += team(contender, 1, |_, gate| {
                let mut blocks = vec![ptr::null_mut(); MANY];
                blocks.fill(ptr::without_provenance_mut(1));
                // The thread's handle is made inside the timed part: it is part of what is cold.
                gate.time(|| {
                    let local = contender.local(Need::ANY);
                    fill_and_free(&local, &mut blocks, Order::FirstInFirstOut);
                })
            });
        }
        Sample::new(elapsed, reps * MANY as u64)
    }
}

pub(crate) struct FreshProcess;

impl Workload for FreshProcess {
    fn spec(&self) -> Spec {
        Spec {
            name: "cold-process",
            group: "cold",
            about: "allocate and free 100,000 blocks of 64 bytes, first thing in a fresh process",
            op: "one block",
            stresses: "reserving from the system; page faults",
            threads: 1,
            needs: Needs::OwnThread,
            pace: Pace::Once,
        }
    }

    fn round<C: Contender>(&self, _: &'static C, _: u64) -> Sample {
        child::cold(C::NAME).expect("a child process for the cold run")
    }
}

/// The same job for the memory table: the blocks are linked through their first words, so that there is no
/// array to count.
pub(crate) struct Linked;

impl Workload for Linked {
    fn spec(&self) -> Spec {
        FreshProcess.spec()
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let local = contender.local(Need::ANY);
        Sample::time(reps * MANY as u64, || {
            for _ in 0..reps {
                Chain::grow(&local, MANY).free(&local);
            }
        })
    }
}

/// Blocks of 64 bytes, linked through their first words.
pub(crate) struct Chain {
    head: *mut u8,
}

impl Chain {
    /// A chain of `blocks` blocks.
    pub(crate) fn grow(local: &impl ThreadAlloc, blocks: usize) -> Self {
        let mut chain = Self { head: ptr::null_mut() };
        chain.extend(local, blocks);
        chain
    }

    /// Adds `blocks` blocks.
    pub(crate) fn extend(&mut self, local: &impl ThreadAlloc, blocks: usize) {
        for _ in 0..blocks {
            // SAFETY: the size is above zero, and the block has room for a link.
            unsafe {
                let block = opaque(local.alloc(BLOCK));
                block.cast::<*mut u8>().write(self.head);
                self.head = block;
            }
        }
    }

    /// Frees them all.
    pub(crate) fn free(mut self, local: &impl ThreadAlloc) {
        while !self.head.is_null() {
            // SAFETY: a live block of this chain, whose first word is the link; freed with its layout.
            unsafe {
                let next = self.head.cast::<*mut u8>().read();
                local.dealloc(self.head, BLOCK);
                self.head = next;
            }
        }
    }
}

const BLOCK: Layout = layout(64);
