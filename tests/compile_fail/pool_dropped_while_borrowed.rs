//! A pool cannot go while a value is in it.

use blockyard::Pool;

fn main() {
    let pool = Pool::new();
    let number = pool.alloc(1);
    drop(pool);
    println!("{number}");
}
