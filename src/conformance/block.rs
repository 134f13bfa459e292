//! A block whose contents are known.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::broken;
use crate::allocator_api2::alloc::Allocator;

/// Contents are written and verified over a whole block up to this size, and at its ends and in places beyond.
const WHOLE: usize = 256;
const ZEROES: [u8; 4096] = [0; 4096];

/// A live block of the allocator that each method is given, filled with numbers that its seed makes.
pub(super) struct Block {
    start: NonNull<u8>,
    /// As asked for last.
    layout: Layout,
    /// As given last: at least the layout's size.
    given: usize,
    seed: u64,
}

// SAFETY: the block is nobody else's; it is sent only where the allocator is shared.
unsafe impl Send for Block {}

/// How a block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Any,
    Zeroed,
}

fn number(seed: u64, index: usize) -> u8 {
    let mixed = (seed ^ index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

/// The places of `size` bytes that are looked at.
fn places(size: usize) -> impl Iterator<Item = usize> {
    let (head, tail) = if size <= WHOLE { (size, size) } else { (WHOLE / 2, size - WHOLE / 2) };
    (0..head).chain((head..tail).step_by((size / 64).max(1))).chain(tail..size)
}

impl Block {
    /// `None` where the allocator refuses.
    #[track_caller]
    pub(super) fn new(
        law: &str,
        allocator: &impl Allocator,
        layout: Layout,
        fill: Fill,
        seed: u64,
    ) -> Option<Self> {
        let made = match fill {
            Fill::Any => allocator.allocate(layout),
            Fill::Zeroed => allocator.allocate_zeroed(layout),
        };
        let made = made.ok()?;
        let block = Self { start: made.cast(), layout, given: made.len(), seed };
        block.check_place(law);
        if fill == Fill::Zeroed {
            block.check_zero(law, 0);
        }
        block.write(0);
        Some(block)
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }
    pub(super) fn given(&self) -> usize {
        self.given
    }
    pub(super) fn start(&self) -> usize {
        self.start.addr().get()
    }

    #[track_caller]
    fn check_place(&self, law: &str) {
        let Self { start, layout, given, .. } = self;
        if start.addr().get() % layout.align() != 0 {
            broken(law, format_args!("a block for {layout:?} is at {start:p}, which is not aligned"));
        }
        if *given < layout.size() {
            broken(law, format_args!("a block for {layout:?} is {given} bytes long"));
        }
    }

    /// Writes what `check` expects, from `from` on.
    fn write(&self, from: usize) {
        for index in places(self.layout.size()).filter(|&index| index >= from) {
            // SAFETY: the block is live and ours, and this long.
            unsafe { self.start.add(index).write(number(self.seed, index)) };
        }
    }

    /// Verifies the contents.
    #[track_caller]
    pub(super) fn check(&self, law: &str) {
        self.check_first(law, self.layout.size(), places(self.layout.size()));
    }

    #[track_caller]
    fn check_first(&self, law: &str, bytes: usize, places: impl Iterator<Item = usize>) {
        for index in places.take_while(|&index| index < bytes) {
            // SAFETY: as in `write`, where these places were initialised.
            let found = unsafe { self.start.add(index).read() };
            let expected = number(self.seed, index);
            if found != expected {
                let Self { start, layout, .. } = self;
                broken(
                    law,
                    format_args!(
                        "byte {index} of the block for {layout:?} at {start:p} is {found:#x}, not {expected:#x}"
                    ),
                );
            }
        }
    }

    /// Verifies that there are zeroes from `from` to where the block ends.
    #[track_caller]
    fn check_zero(&self, law: &str, from: usize) {
        let mut from = from;
        while from < self.given {
            let count = (self.given - from).min(ZEROES.len());
            // SAFETY: the block is live, ours and this long; the allocator promises that the bytes are initialised.
            let bytes = unsafe { NonNull::slice_from_raw_parts(self.start.add(from), count).as_ref() };
            if bytes != &ZEROES[..count] {
                let index = from + bytes.iter().take_while(|&&byte| byte == 0).count();
                broken(law, format_args!("byte {index} of the block for {:?} is not zero", self.layout));
            }
            from += count;
        }
    }

    /// Grows or shrinks the block: false where the allocator refuses, with everything as it was. `growing` says by which
    /// call where the size stays.
    ///
    /// # Safety
    /// The block is of `allocator`, or an equal one.
    #[track_caller]
    pub(super) unsafe fn resize(
        &mut self,
        law: &str,
        allocator: &impl Allocator,
        new: Layout,
        growing: bool,
        fill: Fill,
    ) -> bool {
        self.check(law);
        let old = self.layout;
        // SAFETY: passed on; the sizes are in the order that each call wants.
        let answer = unsafe {
            match (growing, fill) {
                (true, Fill::Any) => allocator.grow(self.start, old, new),
                (true, Fill::Zeroed) => allocator.grow_zeroed(self.start, old, new),
                (false, _) => allocator.shrink(self.start, old, new),
            }
        };
        let Ok(resized) = answer else {
            self.check(law);
            return false;
        };
        let given_before = self.given;
        (self.start, self.layout, self.given) = (resized.cast(), new, resized.len());
        self.check_place(law);
        let kept = old.size().min(new.size());
        self.check_first(law, kept, places(old.size()));
        if growing && fill == Fill::Zeroed {
            // What lies between the old layout's end and the old block's is not said to be zero.
            self.check_zero(law, given_before.max(old.size()));
        }
        self.write(0);
        true
    }

    /// Says that the block was asked for with all the bytes that were given.
    pub(super) fn take_all(&mut self) {
        if let Ok(layout) = Layout::from_size_align(self.given, self.layout.align()) {
            self.layout = layout;
            self.write(0);
        }
    }

    /// Verifies the contents and frees the block.
    ///
    /// # Safety
    /// As for `resize`.
    #[track_caller]
    pub(super) unsafe fn free(self, law: &str, allocator: &impl Allocator) {
        self.check(law);
        // SAFETY: passed on; the block is given up.
        unsafe { allocator.deallocate(self.start, self.layout) };
    }
}
