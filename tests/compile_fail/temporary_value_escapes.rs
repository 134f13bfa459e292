//! What is in a temporary arena stays in its scope.

use blockyard::temp::{self, Lease};

fn main() {
    let name = temp::scope(|t| t.alloc_str("hull"));
    println!("{name}");

    let lease = Lease::new();
    let number = lease.alloc(7);
    drop(lease);
    *number += 1;
}
