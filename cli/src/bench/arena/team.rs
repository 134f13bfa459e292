//! `arena-pool-*`: an allocation per item of a parallel iterator.

use std::cell::LazyCell;
use std::rc::Rc;

use blockyard::ArenaPool;
use bump_scope::BumpPool;
use bumpalo::Bump;
use bumpalo_herd::Herd;
use rayon::ThreadPool;
use thread_local::ThreadLocal;

use super::contender::Shared;
use super::ours::PerJob;
use super::peers::HerdPerItem;
use super::raw::RawBumps;
use super::{Entries, Rows, spec};
use crate::bench::workload::{Sample, Spec, watch};

/// Items of a parallel region: 1 MiB of lines.
const ITEMS: u64 = 16 << 10;

pub(super) fn rows(threads: usize, rows: &mut Rows<'_>) {
    let names = [
        ("arena-pool-each-1", 1, 1),
        ("arena-pool-each-n", threads, 1),
        ("arena-pool-64-1", 1, 64),
        ("arena-pool-64-n", threads, 64),
        ("arena-pool-4k-1", 1, 4096),
        ("arena-pool-4k-n", threads, 4096),
    ];
    for (name, threads, split) in names {
        let about = "allocate 64 bytes per item of a rayon iterator, split to each, 64 or 4,096 items";
        let spec =
            spec(name, "arena-pool", about, "one item, rayon's work included", "finding the thread's arena");
        rows.add(Spec { threads, ..spec }, |entries| {
            let pool = Rc::new(LazyCell::new(Box::new(move || pool(threads)) as Start));
            enter::<ArenaPool>(entries, &pool, split);
            enter::<PerJob>(entries, &pool, split);
            enter::<BumpPool>(entries, &pool, split);
            enter::<Herd>(entries, &pool, split);
            enter::<HerdPerItem>(entries, &pool, split);
            enter::<ThreadLocal<Bump>>(entries, &pool, split);
            enter::<RawBumps>(entries, &pool, split);
        });
    }
}

/// The pool of a row's contenders, started when the first of them runs.
type Team = Rc<LazyCell<ThreadPool, Start>>;
type Start = Box<dyn FnOnce() -> ThreadPool>;

fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started")
}

fn enter<A: Shared + Send>(entries: &mut Entries<'_>, pool: &Team, split: usize) {
    let pool = Rc::clone(pool);
    entries.enter(A::NAME, move |reps| {
        // All of it inside the pool: waking its threads up is not what is measured.
        let elapsed = pool.install(|| {
            let mut arenas = A::new();
            let mut region = || {
                arenas.per_item(ITEMS, split);
                arenas.reset();
            };
            // Every thread has its arena then, as large as it will be.
            (0..3).for_each(|_| region());
            watch(rayon::current_num_threads(), || (0..reps).for_each(|_| region()))
        });
        Sample::new(elapsed, reps * ITEMS)
    });
}
