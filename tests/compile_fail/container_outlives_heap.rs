//! A container cannot be handed out of the scope of its heap.

use blockyard::Heap;
use hashbrown::{DefaultHashBuilder, HashMap};

fn build<'heap>() -> HashMap<u32, u32, DefaultHashBuilder, &'heap Heap> {
    let heap = Heap::new();
    let mut map = HashMap::new_in(&heap);
    map.insert(1, 2);
    map
}

fn main() {
    build();
}
