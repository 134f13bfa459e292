//! A box goes to another thread where its value may.

use std::rc::Rc;

use blockyard::Pool;

fn main() {
    let pool = Pool::new();
    let number = pool.alloc(Rc::new(1));
    std::thread::scope(|scope| {
        scope.spawn(move || drop(number));
    });
}
