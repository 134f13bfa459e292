//! `realloc-*`: one block grown, as a `Vec` that is pushed to (doubling) or a buffer that is appended to
//! (steps).
//!
//! An operation is one step of the growth: an allocation, a `realloc` or the final free. The last word of
//! each extension is written, and the first word must survive all moves.

use std::alloc::Layout;

use super::{Needs, Pace, Sample, Spec, Workload, layout, opaque};
use crate::bench::contender::{Contender, Need, ThreadAlloc};

/// A block from 16 bytes to 1 MiB, doubling.
pub(crate) struct Doubling;

impl Workload for Doubling {
    fn spec(&self) -> Spec {
        Spec {
            name: "realloc-double",
            group: "realloc",
            about: "grow a block from 16 bytes to 1 MiB by doubling, then free it",
            op: "one step of the growth",
            stresses: "growing in place or by remapping instead of copying",
            threads: 1,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        grow_in_a_loop(contender, reps, |size| size * 2, 1 << 20)
    }
}

/// A block from 16 bytes to 8 KiB, 16 bytes at a time.
pub(crate) struct Steps;

impl Workload for Steps {
    fn spec(&self) -> Spec {
        Spec {
            name: "realloc-steps",
            group: "realloc",
            about: "grow a block to 8 KiB in steps of 16 bytes, then free it",
            op: "one step of the growth",
            stresses: "realloc within a size class, and noticing that it is",
            threads: 1,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        grow_in_a_loop(contender, reps, |size| size + 16, 8 << 10)
    }
}

fn grow_in_a_loop<C: Contender>(
    contender: &'static C,
    reps: u64,
    next: impl Fn(usize) -> usize,
    last: usize,
) -> Sample {
    let local = contender.local(Need::ANY);
    let mut steps = 0;
    let mut intact = true;
    let timed = Sample::time(1, || {
        for round in 0..reps {
            let growth = grow(&local, round, &next, last);
            steps += growth.steps;
            intact &= growth.intact;
        }
    });
    assert!(intact, "{}: a block changed when it grew", C::NAME);
    Sample::new(timed.elapsed, steps)
}

struct Growth {
    steps: u64,
    intact: bool,
}

#[inline(always)]
fn grow(local: &impl ThreadAlloc, cookie: u64, next: &impl Fn(usize) -> usize, last: usize) -> Growth {
    let mut size = 16;
    // SAFETY: sizes are above zero and far below a layout's limit; `block` is always the live block, with
    // the layout of `size`; the words written and read lie within it. No memory at all would end the run
    // with a fault at a low address.
    unsafe {
        let mut block = opaque(local.alloc(const { layout(16) }));
        block.cast::<u64>().write(cookie);
        let mut steps = 2;
        while size < last {
            let larger = next(size);
            let old = Layout::from_size_align_unchecked(size, 8);
            block = opaque(local.realloc(block, old, larger));
            block.add(larger - 8).cast::<u64>().write(cookie);
            size = larger;
            steps += 1;
        }
        let intact = block.cast::<u64>().read() == cookie;
        local.dealloc(block, Layout::from_size_align_unchecked(size, 8));
        Growth { steps, intact }
    }
}
