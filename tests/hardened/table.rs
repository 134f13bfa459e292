//! The table of `docs/hardening.md`: each misuse, and what each allocator says of it.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::thread;

use blockyard::Heap;
use blockyard::allocator_api2::alloc::Allocator;

use crate::subjects::{Column, Subject};

/// How a process ends in which a misuse was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Aborted, after a report with this in it: addresses and threads are `#`.
    Report(&'static str),
    /// By a fault.
    Fault,
    /// As if nothing were wrong.
    Nothing,
    /// It cannot be committed there, or what comes of it is not promised.
    Skipped,
}
use Outcome::{Fault, Nothing, Report, Skipped};

/// A misuse and its outcomes.
pub(crate) struct Row {
    pub(crate) misuse: &'static str,
    pub(crate) commit: fn(&dyn Subject),
    hardened: Outcome,
    /// Where that differs.
    wiping: Option<Outcome>,
    #[cfg_attr(not(feature = "hardened"), allow(dead_code, reason = "that column is not there then"))]
    global: Option<Outcome>,
    debug: Outcome,
}

impl Row {
    const fn new(misuse: &'static str, commit: fn(&dyn Subject), hardened: Outcome, debug: Outcome) -> Self {
        Self { misuse, commit, hardened, wiping: None, global: None, debug }
    }
    const fn wiping(self, outcome: Outcome) -> Self {
        Self { wiping: Some(outcome), ..self }
    }
    const fn global(self, outcome: Outcome) -> Self {
        Self { global: Some(outcome), ..self }
    }

    pub(crate) fn outcome(&self, column: Column) -> Outcome {
        match column {
            Column::Hardened => self.hardened,
            Column::Wiping => self.wiping.unwrap_or(self.hardened),
            Column::Debug => self.debug,
            #[cfg(feature = "hardened")]
            Column::Global => self.global.unwrap_or(self.hardened),
        }
    }
}

/// Blocks of 40 bytes are of class 48, of which 8 bytes are the canary.
const SMALL: Layout = Layout::new::<[u8; 40]>();
/// Of class 1024.
const MIDDLE: Layout = Layout::new::<[u8; 1000]>();
const RUN: Layout = Layout::new::<[u8; 100_000]>();
const BIG: Layout = Layout::new::<[u8; 3_000_000]>();

/// A block with many others around it, so that its neighbours exist.
fn among_others(subject: &dyn Subject) -> (NonNull<u8>, Vec<NonNull<u8>>) {
    let mut blocks: Vec<NonNull<u8>> = (0..1000).map(|_| subject.take(SMALL)).collect();
    blocks.sort();
    (blocks.remove(500), blocks)
}

struct There(NonNull<u8>);
// SAFETY: an address.
unsafe impl Send for There {}

/// Frees on a thread of its own.
fn free_there(subject: &dyn Subject, block: NonNull<u8>, layout: Layout) {
    let there = There(block);
    thread::scope(|scope| {
        scope.spawn(move || {
            let There(block) = { there };
            // SAFETY: none, as said below.
            unsafe { subject.free(block, layout) };
        });
    });
}

/// Changes a byte: what free blocks are filled with is random, and may be any value there.
///
/// # Safety
/// There is memory.
unsafe fn scribble(at: NonNull<u8>) {
    // SAFETY: as the caller promises.
    unsafe { at.write(!at.read()) };
}

/// Writes one byte past what may be written.
///
/// # Safety
/// The block is live: what is written is its allocator's.
unsafe fn write_past(subject: &dyn Subject, block: NonNull<u8>, layout: Layout) {
    // SAFETY: as the caller promises.
    unsafe {
        let past = block.add(subject.usable(block, layout));
        past.write(!past.read());
    }
}

const DOUBLE: Outcome = Report("double free at #, 40 bytes, class 48, of thread #, found on thread #");
const OVERFLOW: Outcome = Report("overflow at #, 40 bytes, class 48, of thread #, found on thread #");
const DEBUG_DOUBLE: Outcome = Report(
    "double free of the block of 40 bytes, aligned to 1, at #\n  freed again by thread #\n  \
     freed by thread #\n  allocated by thread #",
);
const DEBUG_PAST: Outcome = Report(
    "write past the end of the block of 40 bytes, aligned to 1, at #\n  \
     the first byte that was written is number 40\n  noticed by thread #\n  allocated by thread #",
);
const DEBUG_NO_BLOCK: Outcome = Report(
    "invalid free of the block of 40 bytes, aligned to 1, at #\n  there is no such block\n  freed by thread #",
);

// SAFETY of all rows: none, from some call on: what the allocators are there to find.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "double free",
        |it| unsafe {
            let block = it.take(SMALL);
            it.free(block, SMALL);
            it.free(block, SMALL);
        },
        DOUBLE,
        DEBUG_DOUBLE,
    ),
    Row::new(
        "double free without the layout",
        |it| unsafe {
            let block = it.take(SMALL);
            it.free_without_layout(block);
            it.free_without_layout(block);
        },
        DOUBLE,
        Skipped,
    )
    .global(Skipped),
    Row::new(
        "double free, another block's in between",
        |it| unsafe {
            let (block, other) = (it.take(SMALL), it.take(SMALL));
            it.free(block, SMALL);
            it.free(other, SMALL);
            it.free(block, SMALL);
        },
        DOUBLE,
        DEBUG_DOUBLE,
    ),
    Row::new(
        "double free after others came and went",
        |it| unsafe {
            let (block, others) = among_others(it);
            it.free(block, SMALL);
            others.into_iter().for_each(|other| it.free(other, SMALL));
            it.free(block, SMALL);
        },
        DOUBLE,
        DEBUG_DOUBLE,
    ),
    Row::new(
        "double free, the second on another thread",
        |it| unsafe {
            let block = it.take(SMALL);
            it.free(block, SMALL);
            free_there(it, block, SMALL);
        },
        DOUBLE,
        DEBUG_DOUBLE,
    ),
    Row::new(
        "double free, the first on another thread",
        |it| unsafe {
            let block = it.take(SMALL);
            free_there(it, block, SMALL);
            it.free(block, SMALL);
        },
        DOUBLE,
        DEBUG_DOUBLE,
    ),
    Row::new(
        "double free, both on other threads",
        |it| {
            let block = it.take(SMALL);
            free_there(it, block, SMALL);
            free_there(it, block, SMALL);
        },
        DOUBLE,
        DEBUG_DOUBLE,
    ),
    Row::new(
        "double free of a run",
        |it| unsafe {
            let block = it.take(RUN);
            it.free(block, RUN);
            it.free(block, RUN);
        },
        Report("double free at #, no block, found on thread #"),
        Report("double free of the block of 100000 bytes, aligned to 1, at #"),
    ),
    Row::new(
        "double free of a mapping",
        |it| unsafe {
            let block = it.take(BIG);
            it.free(block, BIG);
            it.free(block, BIG);
        },
        Report("double free at #, 3002360 bytes, mapping, found on thread #"),
        // Too large for the quarantine.
        Report("invalid free of the block of 3000000 bytes, aligned to 1, at #\n  there is no such block"),
    )
    // Nothing is kept, so there is nothing left to look at.
    .wiping(Fault),
    Row::new(
        "free of a block that was never handed out",
        |it| unsafe {
            // Blocks are handed out in random order: at most one of the last ones is that one.
            let chunk = it.take(SMALL).as_ptr().map_addr(|address| address & !0xffff);
            it.free(NonNull::new_unchecked(chunk.add(1300 * 48)), SMALL);
        },
        DOUBLE,
        DEBUG_NO_BLOCK,
    ),
    Row::new(
        "free of an address inside a block",
        |it| unsafe { it.free(it.take(SMALL).add(8), SMALL) },
        Report("invalid free at #, 40 bytes, class 48, of thread #, found on thread #"),
        DEBUG_NO_BLOCK,
    ),
    Row::new(
        "free of an address inside a run",
        |it| unsafe { it.free(it.take(RUN).add(70_000), RUN) },
        Report("invalid free at #, 102392 bytes, run, of thread #, found on thread #"),
        Report("invalid free of the block of 100000 bytes, aligned to 1, at #\n  there is no such block"),
    ),
    Row::new(
        "free of an address inside a mapping",
        |it| unsafe { it.free(it.take(BIG).add(4096), BIG) },
        Report("invalid free at #, 3002360 bytes, mapping, found on thread #"),
        Report("invalid free of the block of 3000000 bytes, aligned to 1, at #\n  there is no such block"),
    ),
    Row::new(
        "free of another hardened heap's block",
        |it| unsafe {
            let other = Heap::builder().hardened(true).build().expect("memory");
            it.free((&other).allocate(SMALL).expect("memory").cast(), SMALL);
        },
        Report("invalid free at #, no block, found on thread #"),
        DEBUG_NO_BLOCK,
    )
    .global(Nothing),
    // On the thread that owns it, a plain heap's block goes home without any question.
    Row::new(
        "free of a plain heap's block, on another thread",
        |it| {
            let other = Heap::builder().hardened(false).build().expect("memory");
            free_there(it, (&other).allocate(SMALL).expect("memory").cast(), SMALL);
        },
        Report("invalid free at #, no block, found on thread #"),
        DEBUG_NO_BLOCK,
    )
    .global(Nothing),
    Row::new(
        "free of memory whose surroundings can be read",
        |it| unsafe {
            // What would be the block's segment is inside.
            let foreign = vec![0x11_u8; 16 << 20].leak();
            it.free(NonNull::from(&mut foreign[10 << 20]), SMALL);
        },
        Report("invalid free at #, no block, found on thread #"),
        DEBUG_NO_BLOCK,
    )
    .global(Skipped),
    Row::new(
        "free with a size that is too large",
        |it| unsafe { it.free(it.take(SMALL), Layout::new::<[u8; 41]>()) },
        Report("free with a wrong size at #, 40 bytes, class 48, of thread #, found on thread #"),
        Report(
            "wrong layout at the free of the block of 40 bytes, aligned to 1, at #\n  \
             given were 41 bytes, aligned to 1\n  freed by thread #\n  allocated by thread #",
        ),
    ),
    Row::new(
        "free with a size that is too small",
        |it| unsafe { it.free(it.take(SMALL), Layout::new::<u8>()) },
        Report("free with a wrong size at #, 40 bytes, class 48, of thread #, found on thread #"),
        Report(
            "wrong layout at the free of the block of 40 bytes, aligned to 1, at #\n  \
             given were 1 bytes, aligned to 1\n  freed by thread #\n  allocated by thread #",
        ),
    ),
    Row::new(
        "free with an alignment that is too large",
        |it| unsafe { it.free(it.take(SMALL), SMALL.align_to(64).expect("a layout")) },
        Report("free with a wrong size at #, 40 bytes, class 48, of thread #, found on thread #"),
        Report(
            "wrong layout at the free of the block of 40 bytes, aligned to 1, at #\n  \
             given were 40 bytes, aligned to 64\n  freed by thread #\n  allocated by thread #",
        ),
    ),
    Row::new(
        "free with another size of the same class",
        |it| unsafe { it.free(it.take(SMALL), Layout::new::<[u8; 39]>()) },
        Nothing,
        Report(
            "wrong layout at the free of the block of 40 bytes, aligned to 1, at #\n  \
             given were 39 bytes, aligned to 1",
        ),
    ),
    Row::new(
        "free of a run with another size",
        |it| unsafe { it.free(it.take(RUN), SMALL) },
        Report("free with a wrong size at #, 102392 bytes, run, of thread #, found on thread #"),
        Report("wrong layout at the free of the block of 100000 bytes, aligned to 1, at #"),
    ),
    Row::new(
        "free of a mapping with another size",
        |it| unsafe { it.free(it.take(BIG), RUN) },
        Report("free with a wrong size at #, 3002360 bytes, mapping, found on thread #"),
        Report("wrong layout at the free of the block of 3000000 bytes, aligned to 1, at #"),
    ),
    Row::new(
        "write one past the end",
        |it| unsafe {
            let block = it.take(SMALL);
            write_past(it, block, SMALL);
            it.free(block, SMALL);
        },
        OVERFLOW,
        DEBUG_PAST,
    ),
    Row::new(
        "write one zero past the end",
        |it| unsafe {
            let block = it.take(SMALL);
            block.add(it.usable(block, SMALL)).write(0);
            it.free(block, SMALL);
        },
        OVERFLOW,
        DEBUG_PAST,
    ),
    Row::new(
        "write one past the end, found by a resize",
        |it| unsafe {
            let block = it.take(SMALL);
            write_past(it, block, SMALL);
            it.grow(block, SMALL, Layout::new::<[u8; 400]>());
        },
        OVERFLOW,
        DEBUG_PAST,
    ),
    Row::new(
        "write one past the end, found by another thread",
        |it| unsafe {
            let block = it.take(SMALL);
            write_past(it, block, SMALL);
            free_there(it, block, SMALL);
        },
        OVERFLOW,
        DEBUG_PAST,
    ),
    Row::new(
        "write one past a size that leaves room in its block",
        |it| unsafe {
            let layout = Layout::new::<[u8; 36]>();
            let block = it.take(layout);
            block.add(36).write(1);
            it.free(block, layout);
        },
        Nothing,
        Report("write past the end of the block of 36 bytes, aligned to 1, at #"),
    ),
    Row::new(
        "write one past the end of a run",
        |it| unsafe {
            let block = it.take(RUN);
            write_past(it, block, RUN);
            it.free(block, RUN);
        },
        Report("overflow at #, 102392 bytes, run, of thread #, found on thread #"),
        Report("write past the end of the block of 100000 bytes, aligned to 1, at #"),
    ),
    Row::new(
        "write one past the end of a mapping",
        |it| unsafe {
            let block = it.take(BIG);
            write_past(it, block, BIG);
            it.free(block, BIG);
        },
        Report("overflow at #, 3002360 bytes, mapping, found on thread #"),
        Report("write past the end of the block of 3000000 bytes, aligned to 1, at #"),
    ),
    Row::new(
        "write before the start",
        |it| unsafe {
            let (block, others) = among_others(it);
            let before = block.sub(1);
            before.write(!before.read());
            others.into_iter().for_each(|other| it.free(other, SMALL));
            it.free(block, SMALL);
        },
        OVERFLOW,
        // The neighbour's 40 bytes and the 16 behind them end before this block starts.
        Nothing,
    ),
    Row::new(
        "write after the free",
        |it| unsafe {
            let block = it.take(SMALL);
            it.free(block, SMALL);
            scribble(block);
            (0..2000).for_each(|_| _ = it.take(SMALL));
        },
        Report("write after free at #, 40 bytes, class 48, of thread #, found on thread #"),
        Report(
            "write after the free of the block of 40 bytes, aligned to 1, at #\n  \
             the first byte that was written is number 0\n  noticed by thread #\n  freed by thread #\n  \
             allocated by thread #",
        ),
    ),
    Row::new(
        "write after the free on another thread",
        |it| unsafe {
            let block = it.take(SMALL);
            free_there(it, block, SMALL);
            scribble(block.add(8));
            (0..2000).for_each(|_| _ = it.take(SMALL));
        },
        Report("write after free at #, 40 bytes, class 48, of thread #, found on thread #"),
        Report(
            "write after the free of the block of 40 bytes, aligned to 1, at #\n  \
             the first byte that was written is number 8",
        ),
    ),
    Row::new(
        "write into the middle of a freed block",
        |it| unsafe {
            let block = it.take(MIDDLE);
            it.free(block, MIDDLE);
            scribble(block.add(500));
            (0..2000).for_each(|_| _ = it.take(MIDDLE));
        },
        Nothing,
        Report(
            "write after the free of the block of 1000 bytes, aligned to 1, at #\n  \
             the first byte that was written is number 500",
        ),
    )
    .wiping(Report("write after free at #, 1016 bytes, class 1024, of thread #, found on thread #")),
    Row::new(
        "run off the end of a segment",
        |it| unsafe {
            // Behind the last chunk's first byte, so to speak: the end of the segment less one page.
            let end = it.take(SMALL).as_ptr().map_addr(|address| (address | 0x3f_ffff) - 4095);
            end.write_volatile(1);
        },
        Fault,
        Skipped,
    ),
    Row::new(
        "run off the end of the records",
        |it| unsafe {
            let end = it.take(SMALL).as_ptr().map_addr(|address| (address & !0x3f_ffff) + 0xffff);
            end.write_volatile(1);
        },
        Fault,
        Skipped,
    ),
    Row::new(
        "run off the end of a mapping",
        |it| unsafe {
            let block = it.take(BIG);
            block.add(it.usable(block, BIG) + 8).as_ptr().write_volatile(1);
        },
        Fault,
        Skipped,
    ),
    Row::new(
        "nothing wrong",
        |it| unsafe {
            let (block, others) = among_others(it);
            it.grow(block, SMALL, MIDDLE);
            others.into_iter().for_each(|other| it.free(other, SMALL));
            for layout in [RUN, BIG] {
                it.free(it.take(layout), layout);
            }
        },
        Nothing,
        Skipped,
    ),
];
