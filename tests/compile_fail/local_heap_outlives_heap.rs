//! A thread's handle cannot outlive its heap.

use blockyard::{Heap, LocalHeap};

fn local() -> LocalHeap<'static> {
    let heap = Heap::new();
    heap.local()
}

fn main() {
    let handle;
    {
        let heap = Heap::new();
        handle = heap.local();
    }
    handle.flush();
    local();
}
