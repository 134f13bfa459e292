//! Criterion micro-benchmarks of single paths; `benches/README.md` says what each number means.
//!
//! `cargo bench -p blockyard` measures, `cargo bench -p blockyard -- --test` runs everything once.

mod batch;
mod contender;
mod foreign;
mod handle;
mod pair;
mod realloc;
mod stats;
mod temp;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    pair::bench(&mut criterion);
    batch::bench(&mut criterion);
    realloc::bench(&mut criterion);
    foreign::bench(&mut criterion);
    handle::bench(&mut criterion);
    stats::bench(&mut criterion);
    temp::bench(&mut criterion);
    criterion.final_summary();
}
