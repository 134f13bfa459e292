//! A heap cannot go while a container's memory is in it.

use blockyard::Heap;
use blockyard::allocator_api2::vec::Vec;

fn main() {
    let heap = Heap::new();
    let mut numbers = Vec::new_in(&heap);
    numbers.push(1);
    drop(heap);
    numbers.push(2);
}
