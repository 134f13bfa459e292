//! `fork` while other threads allocate: `Global` serves the child.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use blockyard::{Global, Heap};

use crate::alone;
use crate::support::block::Block;
use crate::support::{KIB, MIB, Rng, layout};

const FORKS: usize = if cfg!(debug_assertions) { 60 } else { 100 };

fn any_size(rng: &mut Rng) -> usize {
    let bound = rng.power(13, 22);
    1 + rng.below(bound)
}

/// Allocates and frees, hands blocks over, starts threads.
fn work(seed: u64, inherited: Vec<Block>) {
    let mut rng = Rng::new(seed);
    let mut blocks = inherited;
    for step in 0..300 {
        let block = Block::new(&Global, layout(any_size(&mut rng), 16), step % 3 == 0, step);
        blocks.push(block.expect("memory"));
        if blocks.len() > 40 {
            let at = rng.below(blocks.len());
            // SAFETY: the block is of `Global`.
            unsafe { blocks.swap_remove(at).free(&Global) };
        }
    }
    // SAFETY: as above.
    blocks.into_iter().for_each(|block| unsafe { block.free(&Global) });
}

/// A thread of the child's. The system's, not the standard library's: that one takes a lock as it starts, which
/// another thread may have held when the process was forked.
extern "C" fn child_thread(_: *mut libc::c_void) -> *mut libc::c_void {
    work(1, Vec::new());
    std::ptr::null_mut()
}

/// In the child: what it inherited is as it was; it allocates, also on threads of its own, and gives memory back.
fn child(seed: u64, inherited: Vec<Block>) {
    work(seed, inherited);
    let start = || {
        let mut thread = 0;
        // SAFETY: the function needs no argument. A check that fails there ends the process, and so the test.
        let error = unsafe {
            libc::pthread_create(&raw mut thread, std::ptr::null(), child_thread, std::ptr::null_mut())
        };
        assert_eq!(error, 0);
        thread
    };
    let threads = [start(), start()];
    // SAFETY: both run, and are joined once.
    let join = |thread| assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
    threads.into_iter().for_each(join);
    Global.collect();
    let text: Vec<String> = (0..500).map(|n| format!("after the fork {n}")).collect();
    assert_eq!(text[499], "after the fork 499");
}

/// Waits for the child. False if it hangs, which is ended then.
fn wait(pid: libc::pid_t) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut status = 0;
        // SAFETY: the call writes the status.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if ended == pid {
            assert!(
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
                "the child ended with {status:#x}"
            );
            return true;
        }
        if Instant::now() > until {
            // SAFETY: our own child.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_child_of_many_threads_allocates() {
    let _alone = alone();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Threads that hold locks, as often as can be: chunks and mappings come and go, blocks change threads.
        for n in 0..3 {
            let over = &over;
            scope.spawn(move || {
                let mut seed = n;
                while !over.load(Ordering::Relaxed) {
                    seed += 10;
                    let blocks: Vec<Block> = [60 * KIB, 200 * KIB, 2 * MIB, 100]
                        .map(|size| Block::new(&Global, layout(size, 8), false, seed).expect("memory"))
                        .into();
                    thread::spawn(move || work(seed, blocks));
                    work(seed, Vec::new());
                    Global.collect();
                }
            });
        }
        for n in 0..FORKS {
            let block = |size| Block::new(&Global, layout(size, 8), true, n as u64).expect("memory");
            let inherited: Vec<Block> = [10, 1000, 70 * KIB, 2 * MIB].map(block).into();
            // SAFETY: the child allocates, and ends without running what the parent has registered.
            match unsafe { libc::fork() } {
                0 => {
                    let held = std::panic::catch_unwind(|| child(n as u64, inherited)).is_ok();
                    // SAFETY: ends the process.
                    unsafe { libc::_exit(i32::from(!held)) };
                }
                -1 => panic!("no process"),
                pid => {
                    inherited.iter().for_each(Block::verify);
                    // SAFETY: the blocks are of `Global`.
                    inherited.into_iter().for_each(|block| unsafe { block.free(&Global) });
                    let ended = wait(pid);
                    over.fetch_or(!ended, Ordering::Relaxed);
                    assert!(ended, "child {n} hangs");
                }
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// The child of a process with purge threads has none of them, and must not wait for their end.
#[test]
fn the_child_drops_a_heap_whose_purge_thread_it_has_not() {
    let _alone = alone();
    // Long enough that the thread sleeps at the fork.
    let builder = Heap::builder().purge_delay(Duration::from_secs(3600)).purge_thread();
    let heap = builder.build().expect("memory and a thread");
    // SAFETY: the child ends without running what the parent has registered.
    match unsafe { libc::fork() } {
        0 => {
            let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(heap))).is_ok();
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!held)) };
        }
        -1 => panic!("no process"),
        pid => assert!(wait(pid), "the child hangs"),
    }
    drop(heap);
}
