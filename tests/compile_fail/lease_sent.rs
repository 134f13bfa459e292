//! A leased arena stays on its thread.

use blockyard::temp::Lease;

fn main() {
    let lease = Lease::new();
    std::thread::spawn(move || drop(lease));
}
