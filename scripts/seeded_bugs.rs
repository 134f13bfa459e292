//! Does one thing wrong, the one named on the command line, for `scripts/valgrind.sh` to see it reported:
//! `seeded_bugs ALLOCATOR BUG`. Without a bug it does nothing.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Arena, Global, Heap};

#[global_allocator]
static ALLOCATOR: Global = Global;

const LAYOUT: Layout = Layout::new::<[u8; 64]>();

fn take(memory: &impl Allocator, layout: Layout) -> *mut u8 {
    black_box(memory.allocate(layout).expect("memory").cast::<u8>().as_ptr())
}

fn free(memory: &impl Allocator, block: *mut u8, layout: Layout) {
    let block = NonNull::new(block).expect("not null");
    // SAFETY: right but for the one time when that is the bug.
    unsafe { memory.deallocate(block, layout) };
}

fn write(place: *mut u8) {
    // SAFETY: none; mapped at least.
    unsafe { place.write_volatile(1) };
}

fn read(place: *mut u8) -> u8 {
    // SAFETY: none; mapped at least.
    unsafe { place.read_volatile() }
}

/// What needs no other thread.
fn simple_bug(memory: &impl Allocator, name: &str) {
    match name {
        // Of three neighbours the last is free.
        "overflow-into-free" => {
            let blocks: Vec<*mut u8> = (0..3).map(|_| take(memory, LAYOUT)).collect();
            free(memory, blocks[2], LAYOUT);
            write(blocks[1].wrapping_add(64));
            free(memory, blocks[0], LAYOUT);
            free(memory, blocks[1], LAYOUT);
        }
        "overflow-into-live" => {
            let blocks: Vec<*mut u8> = (0..3).map(|_| take(memory, LAYOUT)).collect();
            write(blocks[1].wrapping_add(64));
            blocks.into_iter().for_each(|block| free(memory, block, LAYOUT));
        }
        "underflow" => {
            let blocks: Vec<*mut u8> = (0..3).map(|_| take(memory, LAYOUT)).collect();
            read(blocks[1].wrapping_sub(1));
            blocks.into_iter().for_each(|block| free(memory, block, LAYOUT));
        }
        "overflow-of-a-run" => overflow(memory, Layout::new::<[u8; 100_000]>()),
        "overflow-of-a-mapping" => overflow(memory, Layout::new::<[u8; 3_000_000]>()),
        "use-after-free" => {
            let block = take(memory, LAYOUT);
            write(block.wrapping_add(20));
            free(memory, block, LAYOUT);
            read(block.wrapping_add(20));
        }
        // The first word has the link of the list of free blocks in it.
        "write-after-free" => {
            let block = take(memory, LAYOUT);
            free(memory, block, LAYOUT);
            write(block);
        }
        "use-after-grow" => {
            let old = NonNull::new(take(memory, LAYOUT)).expect("not null");
            let new = Layout::new::<[u8; 72]>();
            // SAFETY: a live block for the layout.
            let grown = unsafe { memory.grow(old, LAYOUT, new) }.expect("memory").cast::<u8>();
            write(old.as_ptr());
            free(memory, grown.as_ptr(), new);
        }
        "double-free" => {
            let block = take(memory, LAYOUT);
            free(memory, block, LAYOUT);
            free(memory, block, LAYOUT);
            // Before the broken list is used.
            std::process::exit(0);
        }
        "uninitialised" => {
            let block = take(memory, LAYOUT);
            if read(block.wrapping_add(30)) == 7 {
                println!("seven");
            }
            free(memory, block, LAYOUT);
        }
        "leak" => {
            black_box(take(memory, Layout::new::<[u8; 777]>()));
        }
        other => panic!("no bug is called {other}"),
    }
}

fn bug<A: Allocator + Sync>(memory: &A, name: &str) {
    match name {
        "none" => clean(memory),
        "use-after-foreign-free" => {
            let block = take(memory, LAYOUT).expose_provenance();
            let there = || free(memory, std::ptr::with_exposed_provenance_mut(block), LAYOUT);
            thread::scope(|scope| scope.spawn(there).join()).expect("freed");
            read(std::ptr::with_exposed_provenance_mut(block));
        }
        other => simple_bug(memory, other),
    }
}

fn overflow(memory: &impl Allocator, layout: Layout) {
    let block = take(memory, layout);
    write(block.wrapping_add(layout.size()));
    free(memory, block, layout);
}

fn bug_of_an_arena(name: &str) {
    let mut arena = Arena::new();
    match name {
        "none" => {
            for round in 1..4 {
                for n in 1..400_usize {
                    arena.alloc_slice_copy(&vec![n; n * round]);
                    arena.scope(|scope| {
                        let mut grown = blockyard::allocator_api2::vec::Vec::new_in(&*scope);
                        (0..n).for_each(|m| grown.push(m));
                        grown.shrink_to_fit();
                        assert_eq!(grown.iter().sum::<usize>(), n * (n - 1) / 2);
                        scope.alloc_slice_copy(&vec![1_u8; n * 100]);
                    });
                }
                arena.reset();
            }
        }
        "overflow" => {
            let place: *mut u8 = arena.alloc([0_u8; 64]).as_mut_ptr();
            arena.alloc([0_u8; 64]);
            arena.alloc([0_u8; 64]);
            write(black_box(place).wrapping_add(64));
        }
        "overflow-of-a-large-block" => {
            let place: *mut u8 = arena.alloc_slice_copy(&[0_u8; 50_000]).as_mut_ptr();
            write(black_box(place).wrapping_add(50_000));
        }
        "use-after-reset" => {
            let place: *mut u8 = arena.alloc([7_u8; 64]).as_mut_ptr();
            arena.reset();
            read(black_box(place));
        }
        "use-after-scope" => {
            let place = arena.scope(|scope| black_box(scope.alloc([7_u8; 64]).as_mut_ptr()));
            read(place);
        }
        "use-after-grow" => simple_bug(&&arena, name),
        "uninitialised" => simple_bug(&&arena, name),
        other => panic!("no bug is called {other}"),
    }
}

/// A bit of everything, done right.
fn clean<A: Allocator + Sync>(memory: &A) {
    let sizes = [1, 8, 24, 64, 100, 777, 4096, 10_000, 70_000, 300_000, 2_000_000];
    let work = |seed: usize| {
        let mut live: Vec<(usize, Layout)> = Vec::new();
        for n in 0..600 {
            let layout =
                Layout::from_size_align(sizes[(n * 7 + seed) % sizes.len()], 8 << (n % 3)).expect("valid");
            let made = if n % 3 == 0 { memory.allocate_zeroed(layout) } else { memory.allocate(layout) };
            let block = made.expect("memory").cast::<u8>();
            // SAFETY: the block is as long as that.
            unsafe {
                if n % 3 == 0 {
                    assert_eq!((block.read(), block.add(layout.size() - 1).read()), (0, 0));
                }
                block.write_bytes(n as u8, layout.size());
            }
            live.push((block.expose_provenance().get(), layout));
            if n % 2 == 1 {
                let (block, layout) = live.swap_remove(n * 31 % live.len());
                let block = NonNull::new(std::ptr::with_exposed_provenance_mut(block)).expect("not null");
                let new = Layout::from_size_align(layout.size() + 40, layout.align()).expect("valid");
                // SAFETY: a live block for the layout.
                let grown = unsafe { memory.grow(block, layout, new) }.expect("memory").cast::<u8>();
                free(memory, grown.as_ptr(), new);
            }
        }
        live
    };
    let free_all = |live: Vec<(usize, Layout)>| {
        live.into_iter()
            .for_each(|(block, layout)| free(memory, std::ptr::with_exposed_provenance_mut(block), layout));
    };
    free_all(work(0));
    thread::scope(|scope| {
        let threads: Vec<_> = (1..4).map(|seed| scope.spawn(move || work(seed))).collect();
        // Freed where they were not allocated.
        threads.into_iter().for_each(|thread| free_all(thread.join().expect("checks hold")));
    });
    let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    assert_eq!(words[999], "999");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [allocator, name] = &arguments[..] else {
        return;
    };
    match &allocator[..] {
        "global" => bug(&Global, name),
        "heap" => {
            let heap = Heap::new();
            bug(&&heap, name);
            assert!(heap.stats().blocks.allocated > 0);
            if name == "none" {
                assert_eq!(heap.stats().blocks.live(), 0);
                heap.collect();
            }
            // What leaks from a heap that is dropped is no leak.
            if name == "leak" {
                std::mem::forget(heap);
            }
        }
        "arena" => bug_of_an_arena(name),
        other => panic!("no allocator is called {other}"),
    }
}
