//! [`blockyard::Debug`] as the program's allocator. Misuses end the process, so each is committed in one of
//! its own.
#![cfg(unix)]

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;

use blockyard::{Debug, Global, Policy};

#[cfg(not(feature = "backtrace"))]
#[global_allocator]
static ALLOCATOR: Debug<Global> = Debug::new(Global).name("program").policy(Policy::Panic);
#[cfg(feature = "backtrace")]
#[global_allocator]
static ALLOCATOR: Debug<Global> = Debug::new(Global).name("program").policy(Policy::Panic).traces(10);

/// Says to a process of its own what to do wrong.
const MISUSE: &str = "BLOCKYARD_TEST_MISUSE";

#[test]
fn what_the_program_does_right_is_not_reported() {
    let mark = ALLOCATOR.mark();
    // Other tests allocate beside this one, of other sizes.
    const SIZE: usize = 4321;
    let held = || ALLOCATOR.leaks_since(mark).iter().filter(|leak| leak.layout.size() == SIZE).count();
    let strings: Vec<String> = thread::scope(|scope| {
        let make = || (0..250).map(|_| "x".repeat(SIZE)).collect::<Vec<_>>();
        let threads = [(); 4].map(|()| scope.spawn(make));
        threads.into_iter().flat_map(|thread| thread.join().expect("checks hold")).collect()
    });
    assert!(strings.iter().all(|string| string.bytes().all(|byte| byte == b'x')));
    assert_eq!(held(), 1000);
    drop(strings);
    assert_eq!(held(), 0);
    assert!(ALLOCATOR.check().is_empty());
}

#[test]
#[inline(never)] // its name is looked for in the trace
fn a_leak_is_found_among_all_that_lives() {
    let mark = ALLOCATOR.mark();
    let leaked: &[u8; 12_345] = Box::leak(Box::new([7; 12_345]));
    let leaks = ALLOCATOR.leaks_since(mark);
    let leak = leaks.iter().find(|leak| leak.layout.size() == 12_345).expect("it is listed");
    assert_eq!((leak.address, leak.allocator), (leaked.as_ptr().addr(), "program"));
    let text = leak.to_string();
    assert!(text.starts_with("allocator \"program\": leak of the block of 12345 bytes"), "{text}");
    if cfg!(feature = "backtrace") {
        assert!(text.contains("a_leak_is_found_among_all_that_lives"), "{text}");
    }
}

/// Does nothing but in a process that [`ends`] starts.
#[test]
#[inline(never)] // its name is looked for in the trace
fn commit() {
    let Ok(misuse) = std::env::var(MISUSE) else { return };
    let layout = Layout::new::<[u64; 4]>();
    // SAFETY: none, from the second call on: what the allocator is there to find.
    unsafe {
        let block = ALLOCATOR.alloc(layout);
        match misuse.as_str() {
            "double free" => {
                ALLOCATOR.dealloc(block, layout);
                ALLOCATOR.dealloc(block, layout);
            }
            "invalid free" => ALLOCATOR.dealloc(block.add(8), layout),
            "wrong layout" => ALLOCATOR.dealloc(block, Layout::new::<u64>()),
            "write past the end" => {
                block.add(32).write(1);
                ALLOCATOR.dealloc(block, layout);
            }
            "write after the free" => {
                ALLOCATOR.dealloc(block, layout);
                block.write(1);
                (0..100_000).for_each(|n| drop(std::hint::black_box(vec![n; 10])));
            }
            other => panic!("{other} is not known"),
        }
    }
    panic!("nobody noticed");
}

/// Runs `commit` in a process of its own, which the allocator is to end with a report.
#[track_caller]
fn ends(misuse: &str) {
    let program = std::env::current_exe().expect("a test has a file");
    let output = Command::new(program)
        .args(["commit", "--exact", "--nocapture"])
        .env(MISUSE, misuse)
        .output()
        .expect("the test's own program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
    let first = format!("allocator \"program\": {misuse}");
    assert!(said.contains(&first), "{said}");
    assert!(said.contains("thread "), "{said}");
    if cfg!(feature = "backtrace") {
        assert!(said.contains("debug_global::commit"), "{said}");
    }
}

#[test]
fn each_misuse_ends_the_process_with_a_report() {
    ["double free", "invalid free", "wrong layout", "write past the end", "write after the free"]
        .into_iter()
        .for_each(ends);
}

/// Standard library locks are held while a panic's backtrace is looked up, which allocates.
#[test]
fn panics_with_backtraces_go_on() {
    let caught = thread::spawn(|| panic!("caught: {}", std::backtrace::Backtrace::force_capture())).join();
    assert!(caught.is_err());
}
