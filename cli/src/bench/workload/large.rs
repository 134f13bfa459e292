//! `large-*` and `malloc-large`: blocks that come from mappings rather than from size classes.

use super::{Needs, Pace, Rng, Sample, Slot, Spec, Workload, layout, opaque};
use crate::bench::contender::{Contender, Need, ThreadAlloc};

const PAGE: usize = 4 << 10;

/// One large block: allocated, a byte of every page written, freed.
pub(crate) struct Large<const SIZE: usize>;

impl<const SIZE: usize> Workload for Large<SIZE> {
    fn spec(&self) -> Spec {
        const KIB64: usize = 64 << 10;
        const MIB1: usize = 1 << 20;
        const MIB8: usize = 8 << 20;
        Spec {
            name: match SIZE {
                KIB64 => "large-64k",
                MIB1 => "large-1m",
                MIB8 => "large-8m",
                _ => unreachable!("a size without a row"),
            },
            group: "large",
            about: "allocate one large block, write to each of its pages, free it",
            op: "one block",
            stresses: "keeping mappings for reuse instead of giving each back",
            threads: 1,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let layout = const { layout(SIZE) };
        let local = contender.local(Need::ANY);
        Sample::time(reps, || {
            for _ in 0..reps {
                // SAFETY: the size is above zero; bytes within the block are written; it is freed once with
                // its layout. No memory at all would end the run with a fault at a low address.
                unsafe {
                    let block = opaque(local.alloc(layout));
                    for offset in (0..SIZE).step_by(PAGE) {
                        block.add(offset).write_volatile(1);
                    }
                    local.dealloc(block, layout);
                }
            }
        })
    }
}

/// Replaces one of 20 buffers of 5 to 25 MiB: sizes never repeat, so no cached mapping quite fits.
pub(crate) struct Buffers {
    /// Which buffer next, and how large.
    plan: Vec<(usize, usize)>,
}

const BUFFERS: usize = 20;
/// A repetition replaces as many buffers as there are: who needs long for the first is not measured by that one alone.
const PER_REPETITION: u64 = BUFFERS as u64;

impl Buffers {
    pub(crate) fn new() -> Self {
        let mut rng = Rng::with_seed(0xb1f);
        let plan = (0..512).map(|_| (rng.usize(..BUFFERS), rng.usize(5 << 20..=25 << 20))).collect();
        Self { plan }
    }
}

impl Workload for Buffers {
    fn spec(&self) -> Spec {
        Spec {
            name: "malloc-large",
            group: "large",
            about: "replace one of 20 zeroed buffers of 5 to 25 MiB, write to each of its pages",
            op: "one replacement: a free and an allocation",
            stresses: "cost of mapping, of page faults, and of zeroing what is zero",
            threads: 1,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let local = contender.local(Need::ANY);
        let mut buffers = Slot::<C>::array(BUFFERS);
        // Filled but not touched: page faults here would only lengthen the run.
        for (slot, &(_, size)) in buffers.iter_mut().zip(&self.plan) {
            slot.fill_zeroed(&local, size);
        }
        let mut zero = true;
        let plan = self.plan.iter().cycle();
        let replacements = reps * PER_REPETITION;
        let sample = Sample::time(replacements, || {
            for (_, &(index, size)) in (0..replacements).zip(plan) {
                let slot = &mut buffers[index];
                slot.clear(&local);
                slot.fill_zeroed(&local, size);
                zero &= slot.touch_zeroed_pages();
            }
        });
        assert!(zero, "{}: a zeroed buffer was not", C::NAME);
        Slot::clear_all(&mut buffers, &local);
        sample
    }
}
