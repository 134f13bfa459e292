//! Loom models of the lock-free protocols, on the real types.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p blockyard --lib --release` runs them. Statics cannot be made of
//! loom's types, so under `cfg(loom)` the library is the parts that share memory between threads: the
//! return queue, thread records and the orphan list, the reader gate, a routed heap's references, a value with an
//! owner, a budget. What those parts only point to is
//! opaque here.

#[path = "../heap/reader_gate.rs"]
pub(crate) mod reader_gate;
#[path = "../heap/references.rs"]
pub(crate) mod references;

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
mod gate;
#[cfg(test)]
mod returns;

/// What chunks and records point to.
#[derive(Debug)]
pub(crate) struct LocalCore;

/// Runs a model in which the weakening must be found out: some interleaving panics.
#[cfg(test)]
fn fails(site: crate::sync::Site, model: impl Fn() + Sync + Send + 'static) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        crate::sync::weakened(site, || loom::model(model));
    }));
    crate::sync::weakened(site, || ());
    assert!(outcome.is_err(), "{site:?} can be weakened and no interleaving shows it");
}
