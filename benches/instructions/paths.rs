//! The paths: each allocates so many blocks of 64 bytes, and some free them.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::ptr::NonNull;
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Arena, Global, Heap};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();
/// As long in every run, so that it cancels out.
const CAPACITY: usize = 1 << 16;

type Blocks = Vec<NonNull<u8>>;

/// A name, and what runs it on so many blocks.
type Path = (&'static str, fn(usize));

pub(crate) const PATHS: &[Path] = &[
    ("global-alloc", |n| drop(global(n))),
    ("global-free", |n| global_free(&global(n))),
    ("global-foreign-free", |n| {
        let blocks = Sendable(global(n));
        thread::spawn(move || global_free(&{ blocks }.0)).join().expect("the thread frees");
    }),
    ("heap-alloc", |n| on_heap(n, |heap, n| drop(fill(&heap, n)))),
    ("heap-free", |n| on_heap(n, |heap, n| free(&heap, &fill(&heap, n)))),
    ("heap-foreign-free", |n| {
        on_heap(n, |heap, n| {
            let blocks = Sendable(fill(&heap, n));
            thread::scope(|scope| {
                scope.spawn(move || free(&heap, &{ blocks }.0));
            });
        });
    }),
    ("local-alloc", |n| on_heap(n, |heap, n| drop(fill(&heap.local(), n)))),
    ("local-free", |n| {
        on_heap(n, |heap, n| {
            let local = heap.local();
            free(&local, &fill(&local, n));
        });
    }),
    ("hardened-alloc", |n| on_hardened(n, |heap, n| drop(fill(&heap, n)))),
    ("hardened-free", |n| on_hardened(n, |heap, n| free(&heap, &fill(&heap, n)))),
    ("hardened-foreign-free", |n| {
        on_hardened(n, |heap, n| {
            let blocks = Sendable(fill(&heap, n));
            thread::scope(|scope| {
                scope.spawn(move || free(&heap, &{ blocks }.0));
            });
        });
    }),
    // One after the other: no block is touched for the first time.
    ("heap-pair", |n| on_heap(n, |heap, n| pairs(&heap, n))),
    ("hardened-pair", |n| on_hardened(n, |heap, n| pairs(&heap, n))),
    ("arena-alloc", |n| {
        let arena = Arena::new();
        for _ in 0..n {
            black_box(arena.alloc([0_u64; 8]));
        }
    }),
];

/// The path whose instructions another one's contain.
pub(crate) fn base(path: &str) -> Option<&'static str> {
    match path {
        "global-free" | "global-foreign-free" => Some("global-alloc"),
        "heap-free" | "heap-foreign-free" => Some("heap-alloc"),
        "local-free" => Some("local-alloc"),
        "hardened-free" | "hardened-foreign-free" => Some("hardened-alloc"),
        _ => None,
    }
}

struct Sendable(Blocks);

// SAFETY: blocks of allocators that serve all threads.
unsafe impl Send for Sendable {}

fn on_heap(n: usize, run: fn(&Heap, usize)) {
    run(&Heap::new(), n);
}

fn on_hardened(n: usize, run: fn(&Heap, usize)) {
    run(&Heap::builder().hardened(true).build().expect("memory"), n);
}

#[inline(never)]
fn pairs(allocator: &impl Allocator, n: usize) {
    for _ in 0..n {
        let block = black_box(allocator.allocate(LAYOUT).expect("memory").cast());
        // SAFETY: just made, freed once.
        unsafe { allocator.deallocate(block, LAYOUT) };
    }
}

#[inline(never)]
fn fill(allocator: &impl Allocator, n: usize) -> Blocks {
    let mut blocks = Vec::with_capacity(CAPACITY);
    for _ in 0..n {
        blocks.push(black_box(allocator.allocate(LAYOUT).expect("memory").cast()));
    }
    blocks
}

#[inline(never)]
fn free(allocator: &impl Allocator, blocks: &Blocks) {
    for &block in blocks {
        // SAFETY: a block of the same heap, freed once.
        unsafe { allocator.deallocate(block, LAYOUT) };
    }
}

#[inline(never)]
fn global(n: usize) -> Blocks {
    let mut blocks = Vec::with_capacity(CAPACITY);
    for _ in 0..n {
        // SAFETY: the layout is not empty.
        blocks.push(NonNull::new(black_box(unsafe { Global.alloc(LAYOUT) })).expect("memory"));
    }
    blocks
}

#[inline(never)]
fn global_free(blocks: &Blocks) {
    for &block in blocks {
        // SAFETY: a block of `Global`, freed once.
        unsafe { Global.dealloc(block.as_ptr(), LAYOUT) };
    }
}
