//! The targets of the tests, for libFuzzer.
#![allow(dead_code, reason = "the tests use more of their model")]

#[path = "../../tests/all/model/mod.rs"]
mod model;
#[path = "../../tests/support/mod.rs"]
mod support;

/// Runs one input through the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = model::targets::ALL.iter().find(|(of, _)| *of == name).expect("a target");
    target(data);
}
