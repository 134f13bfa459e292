//! [`blockyard::Global`] as the program's allocator. The example brings the `#[global_allocator]`
//! along.
#![cfg(unix)]

mod before_and_after;
mod collections;
#[path = "../../examples/global_allocator.rs"]
mod example;
mod heaps_beside;
mod parallel;
mod route;
#[path = "../support/mod.rs"]
mod support;
mod thread_ends;

#[test]
fn the_example_runs() {
    example::main();
}

/// What is behind `Global`, by now.
fn stats() -> blockyard::HeapStats {
    blockyard::stats().heaps.swap_remove(0)
}

#[test]
fn this_program_allocates_from_global() {
    let before = stats().blocks.allocated;
    let strings: Vec<String> = (0..1000).map(|n| format!("number {n}")).collect();
    let after = stats();
    assert!(after.blocks.allocated >= before + 1000, "{after}");
    assert_eq!((after.id, after.threads.is_empty()), (1, false));
    assert_eq!(strings[999], "number 999");
}
