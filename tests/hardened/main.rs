//! Misuse of hardened heaps and of `Debug`, and what each says of it. A misuse ends the process, so each is committed in
//! one of its own.
#![cfg(unix)]

mod subjects;
mod table;

use std::alloc::Layout;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr::NonNull;

use blockyard::Heap;
use blockyard::allocator_api2::alloc::Allocator;

use self::subjects::Column;
use self::table::{Outcome, ROWS};

/// Says to a process of its own what to do wrong, and where.
const MISUSE: &str = "BLOCKYARD_TEST_MISUSE";
const COLUMN: &str = "BLOCKYARD_TEST_COLUMN";

/// Does nothing but in a process that a row is for.
#[test]
fn commit() {
    let Ok(misuse) = std::env::var(MISUSE) else { return };
    let column = std::env::var(COLUMN).expect("set with the misuse");
    let row = ROWS.iter().find(|row| row.misuse == misuse).expect("a row of the table");
    let column = Column::ALL.iter().find(|it| format!("{it:?}") == column).expect("a column of the table");
    let subject = column.subject();
    (row.commit)(&*subject);
}

/// Commits a misuse in a process of its own; returns how that ended and what it said.
fn child(misuse: &str, column: Column) -> (ExitStatus, String) {
    let program = std::env::current_exe().expect("a test has a file");
    let output = Command::new(program)
        .args(["commit", "--exact", "--nocapture"])
        .env(MISUSE, misuse)
        .env(COLUMN, format!("{column:?}"))
        .output()
        .expect("the test's own program runs");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A report with `#` in place of addresses and threads.
fn without_numbers(report: &str) -> String {
    let mut text = String::new();
    let mut rest = report;
    while let Some(at) =
        ["0x", "thread "].iter().filter_map(|mark| rest.find(mark).map(|at| (at, *mark))).min()
    {
        let (at, mark) = at;
        text += &rest[..at];
        text += if mark == "0x" { "#" } else { "thread #" };
        rest = rest[at + mark.len()..].trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
    }
    text + rest
}

/// Whether a process ended as it should; the text of its report is compared without numbers.
fn is_as_expected(expected: Outcome, column: Column, status: ExitStatus, said: &str) -> bool {
    match expected {
        Outcome::Report(report) => {
            let (begins, ends) = match column {
                Column::Debug => ("allocator \"watched\": ", ""),
                #[cfg(feature = "hardened")]
                Column::Global => ("blockyard: heap \"Global\": ", "; process aborts\n"),
                _ => ("blockyard: heap \"guarded\": ", "; process aborts\n"),
            };
            let report = format!("{begins}{report}{ends}");
            status.signal() == Some(libc::SIGABRT) && without_numbers(said).contains(&report)
        }
        Outcome::Fault => status.signal() == Some(libc::SIGSEGV),
        Outcome::Nothing => status.success(),
        Outcome::Skipped => true,
    }
}

#[test]
fn each_misuse_ends_the_process_with_its_report() {
    let mut wrong = String::new();
    for row in ROWS {
        for &column in Column::ALL {
            let expected = row.outcome(column);
            if expected == Outcome::Skipped {
                continue;
            }
            let (status, said) = child(row.misuse, column);
            if !is_as_expected(expected, column, status, &said) {
                wrong += &format!("{} under {column:?}: {expected:?}, but {status}: {said}\n", row.misuse);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const SMALL: Layout = Layout::new::<[u8; 40]>();

fn take(heap: &Heap, layout: Layout) -> NonNull<u8> {
    heap.allocate(layout).expect("there is memory").cast()
}

/// An address on the stack: reported where memory can be read that would be its segment's head, else a fault.
#[test]
fn a_free_of_the_stack_ends_the_process() {
    const STACK: &str = "a stack address";
    if std::env::var(MISUSE).as_deref() == Ok(STACK) {
        let heap = Heap::builder().name("guarded").hardened(true).build().expect("there is memory");
        let mut here = [0_u8; 40];
        // SAFETY: none.
        unsafe { (&heap).deallocate(NonNull::from(&mut here).cast(), SMALL) };
        panic!("nobody noticed");
    }
    let program = std::env::current_exe().expect("a test has a file");
    let output = Command::new(program)
        .args(["a_free_of_the_stack_ends_the_process", "--exact", "--nocapture"])
        .env(MISUSE, STACK)
        .output()
        .expect("the test's own program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let signal = output.status.signal();
    assert!(signal == Some(libc::SIGSEGV) || said.contains("invalid free at"), "{signal:?}: {said}");
}

/// Of what a block held, how much can be read after its free, and from the blocks that come after it.
#[test]
fn what_a_block_held_is_gone_as_far_as_is_said() {
    const WORDS: usize = 125;
    let layout = Layout::new::<[[u8; 8]; WORDS]>();
    let columns = [(Column::Hardened, WORDS - 2), (Column::Wiping, 0), (Column::Debug, 0)];
    for (column, expected) in columns {
        let subject = column.subject();
        // SAFETY: the block is this long. After its free the memory is still the heap's, and nobody writes there.
        let secrets = |block: NonNull<u8>| unsafe {
            let words = block.cast::<[u8; 8]>();
            (0..WORDS).filter(|&word| words.add(word).read_volatile() == *b"a secret").count()
        };
        let block = subject.take(layout);
        // SAFETY: as above; freed once.
        unsafe {
            (0..WORDS).for_each(|word| block.cast::<[u8; 8]>().add(word).write(*b"a secret"));
            subject.free(block, layout);
        }
        assert_eq!(secrets(block), expected, "{column:?}, after the free");
        let most = (0..500).map(|_| secrets(subject.take(layout))).max();
        assert_eq!(most, Some(expected), "{column:?}, in a new block");
        // Its end would tell of blocks that were not freed.
        std::mem::forget(subject);
    }
}

/// What was in a block is not in the next one there.
#[test]
fn a_wiping_heap_leaves_nothing_behind() {
    let heap = Heap::builder().wipe(true).build().expect("there is memory");
    for size in [100, 1000, 70_000, 3_000_000] {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        for _ in 0..if size < 5000 { 200 } else { 5 } {
            let block = take(&heap, layout);
            // SAFETY: the block is this long; what the heap hands out it has written, or the system has.
            unsafe {
                let bytes = NonNull::slice_from_raw_parts(block, size).as_mut();
                assert!(!bytes.chunks_exact(8).any(|bytes| bytes == b"a secret"), "{size}");
                bytes.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(b"a secret"));
                (&heap).deallocate(block, layout);
            }
        }
    }
}

#[test]
fn the_next_block_cannot_be_told() {
    let orders: Vec<Vec<usize>> = (0..2)
        .map(|_| {
            let heap = Heap::builder().hardened(true).build().expect("there is memory");
            let first = take(&heap, SMALL).as_ptr().addr() & !0xffff;
            (0..32).map(|_| take(&heap, SMALL).as_ptr().addr() - first).collect()
        })
        .collect();
    assert_ne!(orders[0], orders[1]);
}

#[test]
fn usable_bytes_are_eight_less_and_never_fewer_than_asked_for() {
    let heap = Heap::builder().hardened(true).build().expect("there is memory");
    for size in (1..3000).chain([65_528, 65_529, 65_536, 1 << 20, (1 << 20) - 8, 5 << 20]) {
        for align in [1, 16, 64, 4096] {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            let block = take(&heap, layout);
            assert_eq!(block.addr().get() % align, 0);
            // SAFETY: a live block, written to its last usable byte, freed once.
            unsafe {
                let usable = heap.usable_size(block);
                assert!(usable >= size && usable.is_multiple_of(8));
                block.write_bytes(0xff, usable);
                (&heap).deallocate(block, layout);
            }
        }
    }
    assert_eq!((heap.stats().blocks.live(), heap.stats().bytes.requested), (0, 0));
}
