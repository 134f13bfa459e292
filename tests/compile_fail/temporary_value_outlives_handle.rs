//! A single value borrows the handle to its arena; only containers keep one.

use blockyard::context;

fn main() {
    let name = context::temp().alloc_str("hull");
    context::free_temp();
    println!("{name}");
}
