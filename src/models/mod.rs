//! Loom models of the lock-free protocols, on the real types.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p blockyard --lib --release` runs them; with `-- --nocapture` it says how many
//! interleavings each has. Statics cannot be made of loom's types, so under `cfg(loom)` the library is the parts that
//! share memory between threads: the return queue, the outbox, thread records with their lists and the orphan list, the
//! reader gate, a routed heap's references, the registry, a value with an
//! owner, a budget. What those parts only point to is
//! little here.

#[path = "../local_heap/outbox.rs"]
pub(crate) mod outbox;
#[path = "../heap/reader_gate.rs"]
pub(crate) mod reader_gate;
#[path = "../heap/references.rs"]
pub(crate) mod references;
#[path = "../stats/registry.rs"]
pub(crate) mod registry;
#[path = "../local_heap/siblings.rs"]
pub(crate) mod siblings;

#[cfg(test)]
mod afterlife;

#[cfg(test)]
mod arrivals;
#[cfg(test)]
mod bias;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod exit;
#[cfg(test)]
mod flush;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod heap_drop;
mod local;
#[cfg(test)]
mod registered;
#[cfg(test)]
mod returns;

pub(crate) use local::LocalCore;

/// Runs a model in all its interleavings, and says how many there are.
#[cfg(test)]
fn holds(name: &str, model: impl Fn() + Sync + Send + 'static) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} interleavings", count.load(Ordering::Relaxed));
}

/// Runs a model in which the weakening must be found out: some interleaving panics.
#[cfg(test)]
fn fails(site: crate::sync::Site, model: impl Fn() + Sync + Send + 'static) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        crate::sync::weakened(site, || loom::model(model));
    }));
    crate::sync::weakened(site, || ());
    assert!(outcome.is_err(), "{site:?} can be weakened and no interleaving shows it");
}
