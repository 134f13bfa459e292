//! What a hardened heap says of each misuse. A misuse ends the process, so each is committed in one of its own.
#![cfg(unix)]

use std::alloc::Layout;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr::NonNull;
use std::thread;

use blockyard::Heap;
use blockyard::allocator_api2::alloc::Allocator;

/// Says to a process of its own what to do wrong.
const MISUSE: &str = "BLOCKYARD_TEST_MISUSE";

/// A misuse, how the process ends, and what it says before: the place of a block's address is left out.
struct Row {
    misuse: &'static str,
    commit: fn(&Heap),
    report: Option<&'static str>,
    wipes: bool,
}

/// Blocks of 40 bytes are of class 48, of which 8 bytes are the canary.
const SMALL: Layout = Layout::new::<[u8; 40]>();
const RUN: Layout = Layout::new::<[u8; 100_000]>();
const BIG: Layout = Layout::new::<[u8; 3_000_000]>();

fn take(heap: &Heap, layout: Layout) -> NonNull<u8> {
    heap.allocate(layout).expect("there is memory").cast()
}

/// # Safety
/// None: that is the point.
unsafe fn free(heap: &Heap, block: NonNull<u8>, layout: Layout) {
    // SAFETY: as said.
    unsafe { heap.deallocate(block, layout) };
}

/// A block with many others around it, so that its neighbours exist.
fn among_others(heap: &Heap) -> (NonNull<u8>, Vec<NonNull<u8>>) {
    let mut blocks: Vec<NonNull<u8>> = (0..1000).map(|_| take(heap, SMALL)).collect();
    blocks.sort();
    (blocks.remove(500), blocks)
}

struct There(NonNull<u8>);
// SAFETY: an address.
unsafe impl Send for There {}

const fn row(misuse: &'static str, commit: fn(&Heap), report: &'static str) -> Row {
    Row { misuse, commit, report: Some(report), wipes: false }
}

/// Frees on a thread of its own.
fn free_there(heap: &Heap, block: NonNull<u8>, layout: Layout) {
    let there = There(block);
    thread::scope(|scope| {
        scope.spawn(move || {
            let There(block) = { there };
            // SAFETY: as said.
            unsafe { free(heap, block, layout) };
        });
    });
}

// SAFETY of all rows: none, from some call on: what the heap is there to find.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
const ROWS: &[Row] = &[
    row(
        "double free",
        |heap| unsafe {
            let block = take(heap, SMALL);
            free(heap, block, SMALL);
            free(heap, block, SMALL);
        },
        "double free at #, 40 bytes, class 48",
    ),
    row(
        "double free without the layout",
        |heap| unsafe {
            let block = take(heap, SMALL);
            heap.free(block);
            heap.free(block);
        },
        "double free at #, 40 bytes, class 48",
    ),
    row(
        "double free after others came and went",
        |heap| unsafe {
            let (block, others) = among_others(heap);
            free(heap, block, SMALL);
            others.into_iter().for_each(|other| free(heap, other, SMALL));
            free(heap, block, SMALL);
        },
        "double free at #, 40 bytes, class 48",
    ),
    row(
        "double free, the second on another thread",
        |heap| unsafe {
            let block = take(heap, SMALL);
            free(heap, block, SMALL);
            free_there(heap, block, SMALL);
        },
        "double free at #, 40 bytes, class 48",
    ),
    row(
        "double free, both on another thread",
        |heap| {
            let block = take(heap, SMALL);
            free_there(heap, block, SMALL);
            free_there(heap, block, SMALL);
        },
        "double free at #, 40 bytes, class 48",
    ),
    row(
        "double free, the first on another thread",
        |heap| unsafe {
            let block = take(heap, SMALL);
            free_there(heap, block, SMALL);
            free(heap, block, SMALL);
        },
        "double free at #, 40 bytes, class 48",
    ),
    row(
        "double free of a run",
        |heap| unsafe {
            let block = take(heap, RUN);
            free(heap, block, RUN);
            free(heap, block, RUN);
        },
        "double free at #, no block",
    ),
    row(
        "double free of a mapping",
        |heap| unsafe {
            let block = take(heap, BIG);
            free(heap, block, BIG);
            free(heap, block, BIG);
        },
        "double free at #, 3002360 bytes, mapping",
    ),
    row(
        "free of a block that was never handed out",
        |heap| unsafe {
            let block = take(heap, SMALL);
            // Blocks are handed out in random order: at most one of the last ones is that one.
            let chunk = block.as_ptr().map_addr(|address| address & !0xffff);
            free(heap, NonNull::new_unchecked(chunk.add(1300 * 48)), SMALL);
        },
        "double free at #, 40 bytes, class 48",
    ),
    row(
        "free of an address inside a block",
        |heap| unsafe { free(heap, take(heap, SMALL).add(8), SMALL) },
        "invalid free at #, 40 bytes, class 48",
    ),
    row(
        "free of an address inside a run",
        |heap| unsafe { free(heap, take(heap, RUN).add(70_000), RUN) },
        "invalid free at #, 102392 bytes, run",
    ),
    row(
        "free of an address inside a mapping",
        |heap| unsafe { free(heap, take(heap, BIG).add(4096), BIG) },
        "invalid free at #, 3002360 bytes, mapping",
    ),
    row(
        "free of another heap's block",
        |heap| unsafe {
            let other = Heap::builder().hardened(true).build().expect("memory");
            let block = take(&other, SMALL);
            free(heap, block, SMALL);
        },
        "invalid free at #, no block",
    ),
    row(
        "free with a size that is too large",
        |heap| unsafe { free(heap, take(heap, SMALL), Layout::new::<[u8; 41]>()) },
        "free with a wrong size at #, 40 bytes, class 48",
    ),
    row(
        "free with a size that is too small",
        |heap| unsafe { free(heap, take(heap, SMALL), Layout::new::<u8>()) },
        "free with a wrong size at #, 40 bytes, class 48",
    ),
    row(
        "free of a run with another size",
        |heap| unsafe { free(heap, take(heap, RUN), SMALL) },
        "free with a wrong size at #, 102392 bytes, run",
    ),
    row(
        "free of a mapping with another size",
        |heap| unsafe { free(heap, take(heap, BIG), RUN) },
        "free with a wrong size at #, 3002360 bytes, mapping",
    ),
    row(
        "write one past the end",
        |heap| unsafe {
            let block = take(heap, SMALL);
            let past = block.add(heap.usable_size(block));
            past.write(!past.read());
            free(heap, block, SMALL);
        },
        "overflow at #, 40 bytes, class 48",
    ),
    row(
        "write one past the end, found by a resize",
        |heap| unsafe {
            let block = take(heap, SMALL);
            let past = block.add(heap.usable_size(block));
            past.write(!past.read());
            _ = heap.grow(block, SMALL, Layout::new::<[u8; 400]>());
        },
        "overflow at #, 40 bytes, class 48",
    ),
    row(
        "write one past the end, found by another thread",
        |heap| unsafe {
            let block = take(heap, SMALL);
            let past = block.add(heap.usable_size(block));
            past.write(!past.read());
            free_there(heap, block, SMALL);
        },
        "overflow at #, 40 bytes, class 48",
    ),
    row(
        "write one past the end of a run",
        |heap| unsafe {
            let block = take(heap, RUN);
            let past = block.add(heap.usable_size(block));
            past.write(!past.read());
            free(heap, block, RUN);
        },
        "overflow at #, 102392 bytes, run",
    ),
    row(
        "write one past the end of a mapping",
        |heap| unsafe {
            let block = take(heap, BIG);
            let past = block.add(heap.usable_size(block));
            past.write(!past.read());
            free(heap, block, BIG);
        },
        "overflow at #, 3002360 bytes, mapping",
    ),
    row(
        "write before the start",
        |heap| unsafe {
            let (block, others) = among_others(heap);
            let before = block.sub(1);
            before.write(!before.read());
            others.into_iter().for_each(|other| free(heap, other, SMALL));
        },
        "overflow at #, 40 bytes, class 48",
    ),
    row(
        "write after the free",
        |heap| unsafe {
            let block = take(heap, SMALL);
            free(heap, block, SMALL);
            block.write(1);
            (0..2000).for_each(|_| _ = take(heap, SMALL));
        },
        "write after free at #, 40 bytes, class 48",
    ),
    row(
        "write after the free on another thread",
        |heap| unsafe {
            let block = take(heap, SMALL);
            free_there(heap, block, SMALL);
            block.add(8).write(1);
            (0..2000).for_each(|_| _ = take(heap, SMALL));
        },
        "write after free at #, 40 bytes, class 48",
    ),
    Row {
        misuse: "write into the middle of a freed block",
        commit: |heap| unsafe {
            let layout = Layout::new::<[u8; 1000]>();
            let block = take(heap, layout);
            free(heap, block, layout);
            block.add(500).write(1);
            (0..2000).for_each(|_| _ = take(heap, layout));
        },
        report: Some("write after free at #, 1016 bytes, class 1024"),
        wipes: true,
    },
    Row {
        misuse: "run off the end of a segment",
        commit: |heap| unsafe {
            let block = take(heap, SMALL);
            // Behind the last chunk's first byte, so to speak: the end of the segment less one page.
            let end = block.as_ptr().map_addr(|address| (address | 0x3f_ffff) - 4095);
            end.write_volatile(1);
        },
        report: None,
        wipes: false,
    },
    Row {
        misuse: "run off the end of the records",
        commit: |heap| unsafe {
            let block = take(heap, SMALL);
            let end = block.as_ptr().map_addr(|address| (address & !0x3f_ffff) + 0xffff);
            end.write_volatile(1);
        },
        report: None,
        wipes: false,
    },
    Row {
        misuse: "run off the end of a mapping",
        commit: |heap| unsafe {
            let block = take(heap, BIG);
            block.add(heap.usable_size(block) + 8).as_ptr().write_volatile(1);
        },
        report: None,
        wipes: false,
    },
];

/// Does nothing but in a process that a row is for.
#[test]
fn commit() {
    let Ok(misuse) = std::env::var(MISUSE) else { return };
    let row = ROWS.iter().find(|row| row.misuse == misuse).expect("a row of the table");
    let heap = Heap::builder().name("guarded").hardened(true).wipe(row.wipes);
    let heap = heap.build().expect("there is memory");
    (row.commit)(&heap);
    panic!("nobody noticed");
}

/// Commits a row in a process of its own; returns how that ended and what it said.
fn child(misuse: &str) -> (Option<i32>, String) {
    let program = std::env::current_exe().expect("a test has a file");
    let output = Command::new(program)
        .args(["commit", "--exact", "--nocapture"])
        .env(MISUSE, misuse)
        .output()
        .expect("the test's own program runs");
    (output.status.signal(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A report with `#` in place of the address.
fn without_address(report: &str) -> String {
    let Some((before, rest)) = report.split_once("0x") else { return report.to_owned() };
    let (_, after) = rest.split_once(',').expect("something follows the address");
    format!("{before}#,{after}")
}

#[test]
fn each_misuse_ends_the_process_with_its_report() {
    for Row { misuse, report, .. } in ROWS {
        let (signal, said) = child(misuse);
        match report {
            Some(report) => {
                assert_eq!(signal, Some(libc::SIGABRT), "{misuse}: {said}");
                let line = said.lines().find(|line| line.starts_with("blockyard: ")).unwrap_or(&said);
                let expected = format!("blockyard: heap \"guarded\": {report}; process aborts");
                assert_eq!(without_address(line), expected, "{misuse}");
            }
            None => assert_eq!(signal, Some(libc::SIGSEGV), "{misuse}: {said}"),
        }
    }
}

/// An address on the stack: reported where memory can be read that would be its segment's head, else a fault.
#[test]
fn a_free_of_the_stack_ends_the_process() {
    const STACK: &str = "a stack address";
    if std::env::var(MISUSE).as_deref() == Ok(STACK) {
        let heap = Heap::builder().name("guarded").hardened(true).build().expect("there is memory");
        let mut here = [0_u8; 40];
        // SAFETY: none.
        unsafe { free(&heap, NonNull::from(&mut here).cast(), SMALL) };
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
                free(&heap, block, layout);
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
                free(&heap, block, layout);
            }
        }
    }
    assert_eq!((heap.stats().blocks.live(), heap.stats().bytes.requested), (0, 0));
}
