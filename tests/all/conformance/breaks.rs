//! Allocators that break a law each, and the message that says so.

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use blockyard::Arena;
use blockyard::allocator_api2::alloc::{AllocError, Allocator};

use super::suite::Conformance;

type Answer = Result<NonNull<[u8]>, AllocError>;

/// Gives up to 13 bytes more than was asked for: allowed.
#[derive(Clone, Copy)]
pub(super) struct Generous<A>(pub(super) A);

impl<A> Generous<A> {
    fn more(layout: Layout) -> Result<Layout, AllocError> {
        let size = layout.size().checked_next_multiple_of(13).ok_or(AllocError)?;
        Layout::from_size_align(size, layout.align()).map_err(|_| AllocError)
    }
}

// SAFETY: the child's blocks; any size up to what was given is rounded to what the child was asked for.
unsafe impl<A: Allocator> Allocator for Generous<A> {
    fn allocate(&self, layout: Layout) -> Answer {
        self.0.allocate(Self::more(layout)?)
    }
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: passed on.
        unsafe { self.0.deallocate(block, Self::more(layout).expect("as when it was allocated")) }
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.0.grow(block, Self::more(old)?, Self::more(new)?) }
    }
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: passed on.
        unsafe { self.0.shrink(block, Self::more(old)?, Self::more(new)?) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Misaligned,
    Short,
    NotZero,
    GrowsWithoutContents,
    ShrinksWithoutContents,
    GrownTailNotZero,
    Overlaps,
    RefusesEmpty,
    RefusesLarge,
    FreesWhenItRefuses,
}

/// Room for a block that is given out again and again.
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "for its layout")] [u8; 64]);

/// An arena's blocks, whose memory outlives every fault, with one fault.
struct Broken {
    arena: Arena,
    fault: Fault,
    first: std::cell::Cell<Option<NonNull<u8>>>,
}

impl Broken {
    fn new(fault: Fault) -> Self {
        Self { arena: Arena::new(), fault, first: std::cell::Cell::new(None) }
    }

    /// Bytes that nobody will take for zeroes or for contents.
    fn take(&self, layout: Layout) -> Answer {
        let block = (&self.arena)
            .allocate(Layout::from_size_align(layout.size() + 1, layout.align()).map_err(|_| AllocError)?)?;
        let start = block.cast::<u8>();
        // SAFETY: the block is live and has a byte more.
        unsafe { start.write_bytes(0xa5, layout.size() + 1) };
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    fn moved(&self, block: NonNull<u8>, old: Layout, new: Layout, keep: bool, tail: u8) -> Answer {
        let made = self.take(new)?;
        let kept = old.size().min(new.size());
        // SAFETY: two live blocks of at least so many bytes.
        unsafe {
            if keep {
                block.copy_to_nonoverlapping(made.cast(), kept);
            }
            made.cast::<u8>().add(kept).write_bytes(tail, new.size() - kept);
        }
        Ok(made)
    }
}

// SAFETY: none, on purpose; what it gives out is the arena's memory, which stays until the end of the test.
unsafe impl Allocator for Broken {
    fn allocate(&self, layout: Layout) -> Answer {
        match self.fault {
            Fault::RefusesEmpty if layout.size() == 0 => Err(AllocError),
            Fault::RefusesLarge if layout.size() > 1000 => Err(AllocError),
            Fault::Misaligned if layout.size() != 0 && layout.align() == 64 => {
                let block = self.take(layout)?.cast::<u8>();
                // SAFETY: the block has a byte more.
                Ok(NonNull::slice_from_raw_parts(unsafe { block.add(1) }, layout.size()))
            }
            Fault::Short if layout.size() > 2 => {
                Ok(NonNull::slice_from_raw_parts(self.take(layout)?.cast(), layout.size() - 1))
            }
            Fault::Overlaps if layout.size() == 17 && layout.align() <= 64 => {
                let block = self
                    .first
                    .get()
                    .map_or_else(|| self.take(Layout::new::<Line>()).map(NonNull::cast), Ok)?;
                self.first.set(Some(block));
                Ok(NonNull::slice_from_raw_parts(block, layout.size()))
            }
            _ => self.take(layout),
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Answer {
        let block = self.allocate(layout)?;
        if self.fault != Fault::NotZero || layout.size() != 33 {
            // SAFETY: the block is live and this long.
            unsafe { block.cast::<u8>().write_bytes(0, layout.size()) };
        }
        Ok(block)
    }

    unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        if self.fault == Fault::FreesWhenItRefuses && new.size() > 1 << 40 {
            // SAFETY: the block is live, and this long.
            unsafe { block.write_bytes(0xdd, old.size()) };
            return Err(AllocError);
        }
        self.moved(block, old, new, self.fault != Fault::GrowsWithoutContents, 0xa5)
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        self.moved(block, old, new, true, u8::from(self.fault == Fault::GrownTailNotZero))
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        self.moved(block, old, new, self.fault != Fault::ShrinksWithoutContents, 0)
    }
}

#[test]
fn faults_are_found() {
    for (fault, law) in [
        (Fault::Misaligned, "sizes: a block for Layout { size: 1, align: 64"),
        (Fault::Short, "sizes: a block for Layout { size: 3, align: 1 (1 << 0) } is 2 bytes long"),
        (Fault::NotZero, "zeroes: byte 0 of the block for Layout { size: 33"),
        (Fault::GrowsWithoutContents, "resizing: byte 0 of the block"),
        (Fault::ShrinksWithoutContents, "resizing: byte 0 of the block"),
        (Fault::GrownTailNotZero, "empty: byte 0 of the block"),
        (Fault::Overlaps, "overlap"),
        (Fault::RefusesEmpty, "empty: refused Layout { size: 0, align: 1"),
        (Fault::RefusesLarge, "sizes: refused Layout { size: 1023, align: 1"),
        (Fault::FreesWhenItRefuses, "refusal: byte 0 of the block for Layout { size: 24, align: 1"),
    ] {
        let suite = Conformance::new().largest(5000);
        let found = catch_unwind(AssertUnwindSafe(|| suite.check(&Broken::new(fault))));
        let payload = found.expect_err("the fault is found");
        let message = payload.downcast_ref::<String>().expect("a message");
        assert!(message.starts_with("conformance, ") && message.contains(law), "{fault:?}: {message}");
    }
}
