//! A thread that may run on cannot borrow a heap that will go.

use blockyard::Heap;
use blockyard::allocator_api2::boxed::Box;

fn main() {
    let heap = Heap::new();
    let thread = std::thread::spawn(|| {
        let _number = Box::new_in(1, &heap);
    });
    thread.join().unwrap();
}
