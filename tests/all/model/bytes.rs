//! Operations read from bytes that a fuzzer makes up.

use std::alloc::Layout;

use super::{Op, Step};
use crate::support::{KIB, MIB, layout};

/// Any bytes, as choices. When they have run out every choice is the first.
pub(crate) struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
    pub(crate) fn small(&mut self) -> usize {
        usize::from(self.byte())
    }
    pub(crate) fn short(&mut self) -> usize {
        self.small() << 8 | self.small()
    }
    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A layout of any kind of block: in classes and at their borders, runs of chunks, mappings; most are small. One
    /// byte says the kind and the alignment.
    pub(crate) fn layout(&mut self) -> Layout {
        let kind = self.small();
        let size = match kind % 8 {
            0..3 => self.small(),
            3 => self.short() % (KIB + 1),
            4 => border(self.small()) + self.small() % 3 - 1,
            5 => self.short() + 1,
            6 => 60 * KIB + self.short() * 17,
            _ if self.byte() < 32 => MIB - KIB + self.short() * 64,
            _ => self.small() * 16,
        };
        let shift = match kind / 8 {
            kind @ 0..26 => kind % 7,
            26..31 => 7 + self.small() % 10,
            _ => 17 + self.small() % 7,
        };
        layout(size, 1 << shift)
    }

    pub(crate) fn op(&mut self) -> Step {
        let byte = self.small();
        let flag = byte & 8 != 0;
        let op = match byte % 8 {
            0..3 => Op::Alloc { layout: self.layout(), zeroed: flag },
            3..5 => Op::Resize { pick: self.small(), layout: self.layout(), zeroed: flag },
            7 if byte >= 0xf0 => {
                if flag {
                    Op::Collect
                } else {
                    Op::Flush
                }
            }
            _ => Op::Free { pick: self.small(), unsized_: flag },
        };
        let times = if byte >> 5 == 5 { self.small() } else { 1 };
        Step { op, times: op.at_most(times), elsewhere: byte & 16 != 0 }
    }

    /// All that is left, as operations; on one thread or two.
    pub(crate) fn steps(mut self, two: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        while !self.is_empty() {
            let step = self.op();
            steps.push(Step { elsewhere: step.elsewhere && two, ..step });
        }
        steps
    }
}

/// The largest size of some class: every 8 bytes to 128, then 8 per doubling to 64 KiB.
fn border(number: usize) -> usize {
    match number % 88 {
        fine @ 0..16 => (fine + 1) * 8,
        coarse => (9 + coarse % 8) << (coarse / 8 + 2),
    }
}
