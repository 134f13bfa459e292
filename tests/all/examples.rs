//! The examples run, and what they assert holds. The one with a `#[global_allocator]` runs in the
//! binary `global`.

#[path = "../../examples/shared_heap.rs"]
mod shared_heap;

#[test]
fn shared_heap_runs() {
    shared_heap::main().expect("the settings are valid");
}
