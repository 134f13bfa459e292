//! A thread's handles and guards stay on it.

use blockyard::{Global, context};

fn main() {
    let current = context::current();
    std::thread::spawn(move || drop(current));

    let temp = context::temp();
    std::thread::spawn(move || drop(temp));

    let guard = context::install(Global);
    std::thread::spawn(move || drop(guard));
}
