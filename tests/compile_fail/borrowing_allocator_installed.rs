//! Handles may outlive any scope, so an allocator that borrows something cannot be installed.

use blockyard::Heap;
use blockyard::context::{self, Ambient};

fn main() {
    let heap = Heap::new();
    context::with_allocator(Ambient::new(&heap), || ());
}
