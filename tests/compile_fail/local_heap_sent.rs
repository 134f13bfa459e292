//! A thread's handle stays on its thread.

use blockyard::Heap;

fn main() {
    let heap = Heap::new();
    let local = heap.local();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(local));
    });
}
