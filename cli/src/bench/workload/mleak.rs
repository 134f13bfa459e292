//! `mleak`: threads are born and die while blocks pass through an exchange of 1,000 places.
//!
//! Every thread swaps new blocks of 8 to 1,000 bytes into random places and frees what comes out, mostly
//! the work of threads that have ended. Live bytes stay the same for ever, so the footprint must too: the
//! memory table shows whether it does.

use std::alloc::{Layout, handle_alloc_error};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::tape::Reader;
use super::{Needs, Pace, Sample, Spec, Tape, Workload, generation, opaque, sizes, watch};
use crate::bench::contender::{Contender, Need, ThreadAlloc};

const PLACES: usize = 1_000;
/// Swaps in a thread's life.
const SWAPS: u64 = 10_000;

pub(crate) struct Mleak {
    threads: usize,
    tape: Tape,
}

impl Mleak {
    pub(crate) fn new(threads: usize) -> Self {
        let tape = Tape::draw(0x3137ea, |rng| rng.usize(0..PLACES), |rng| sizes::uniform(rng, 8, 1_000));
        Self { threads, tape }
    }
}

impl Workload for Mleak {
    fn spec(&self) -> Spec {
        Spec {
            name: "mleak",
            group: "mleak",
            about: "short-lived threads swap blocks through 1,000 shared places",
            op: "one swap: an allocation, and a free of a stranger's block",
            stresses: "births and ends of threads; blocks of the dead must not be stranded",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    /// One repetition is one generation of threads, their birth and end included.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let exchange: Vec<AtomicPtr<u64>> = (0..PLACES).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        let elapsed = watch(self.threads, || {
            for number in 0..reps as usize {
                generation(contender, self.threads, |member| {
                    let local = contender.local(Need::ANY);
                    let tape = self.tape.reader(number * self.threads + member);
                    live(&local, &exchange, tape);
                });
            }
        });
        let local = contender.local(Need::ANY);
        for place in &exchange {
            free(&local, place.swap(ptr::null_mut(), Ordering::Acquire));
        }
        Sample::new(elapsed, reps * SWAPS * self.threads as u64)
    }
}

fn live(local: &impl ThreadAlloc, exchange: &[AtomicPtr<u64>], mut tape: Reader<'_>) {
    for _ in 0..SWAPS {
        let step = tape.step();
        let block = make(local, step.size as usize);
        // ORDER: AcqRel pairs with itself on the other threads: the size written before a block goes in is
        // seen by whoever takes it out.
        let other = exchange[step.slot as usize].swap(block, Ordering::AcqRel);
        free(local, other);
    }
}

/// A block whose first word is its size.
#[inline(always)]
fn make(local: &impl ThreadAlloc, size: usize) -> *mut u64 {
    let layout = layout_of(size);
    // SAFETY: the size is above zero.
    let block: *mut u64 = opaque(unsafe { local.alloc(layout) }).cast();
    if block.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: the block is at least 8 bytes long.
    unsafe { block.write(size as u64) };
    block
}

/// Frees what `make` made, or nothing.
#[inline(always)]
fn free(local: &impl ThreadAlloc, block: *mut u64) {
    if block.is_null() {
        return;
    }
    // SAFETY: the first word is the size, as `make` wrote it; checked, in case memory was handed out twice.
    let size = unsafe { block.read() } as usize;
    assert!((8..=1_000).contains(&size), "a block was overwritten");
    // SAFETY: a live block with this layout, which nobody else has: it came out of a swap.
    unsafe { local.dealloc(block.cast(), layout_of(size)) };
}

fn layout_of(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a size of this workload")
}
