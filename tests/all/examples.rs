//! The examples run, and what they assert holds. The one with a `#[global_allocator]` runs in the
//! binary `global`.

#[path = "../../examples/shared_heap.rs"]
mod shared_heap;

#[test]
fn shared_heap_runs() {
    shared_heap::main().expect("the settings are valid");
}

#[path = "../../examples/budgets.rs"]
mod budgets;

#[test]
fn budgets_runs() {
    budgets::main().expect("the settings are valid");
}

#[path = "../../examples/find_leak.rs"]
mod find_leak;

#[test]
fn find_leak_runs() {
    find_leak::main();
}
