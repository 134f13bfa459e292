//! Budgets for the parts of a program: each has a heap with its name, a soft limit that says so when it is
//! crossed, and a hard one that nobody passes.

use std::cell::RefCell;
use std::fmt::Write;

use blockyard::allocator_api2::{collections::TryReserveError, vec::Vec};
use blockyard::layers::{Limit, SoftLimit};
use blockyard::{BuildError, Heap};

/// Loads `megabytes` of something, one by one.
fn load<F: Fn(SoftLimit)>(budget: &Limit<&Heap, F>, megabytes: usize) -> Result<usize, TryReserveError> {
    let mut loaded = std::vec::Vec::new();
    for n in 0..megabytes {
        let mut part = Vec::new_in(budget);
        part.try_reserve_exact(1 << 20)?;
        part.resize(1 << 20, n as u8);
        loaded.push(part);
    }
    Ok(loaded.len())
}

pub(crate) fn main() -> Result<(), BuildError> {
    let parts = [("textures", 8, 5), ("sounds", 4, 4), ("scripts", 2, 7)];
    let report = RefCell::new(String::new());
    let say = |line: String| writeln!(report.borrow_mut(), "{line}").expect("a string takes it");

    for (name, megabytes, wanted) in parts {
        let heap = Heap::builder().name(name).build()?;
        let hard = megabytes << 20;
        let budget = Limit::new(&heap, hard)
            .on_soft_limit(hard / 4 * 3, |crossed| say(format!("{name}: warning: {crossed}")));
        match load(&budget, wanted) {
            Ok(loaded) => say(format!("{name}: {loaded} MiB loaded, peak {} of {hard}", budget.peak())),
            Err(_) => say(format!("{name}: over budget: peak {} of {hard}\n{}", budget.peak(), heap.stats())),
        }
        assert_eq!(budget.used(), 0);
        assert!(budget.peak() <= hard);
    }

    let report = report.into_inner();
    println!("{report}");
    let lines = |start| report.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((lines("textures: 5 MiB loaded"), lines("textures: warning")), (1, 0));
    assert_eq!((lines("sounds: 4 MiB loaded"), lines("sounds: warning")), (1, 1));
    assert_eq!((lines("scripts: over budget"), lines("heap \"scripts\"")), (1, 1));
    Ok(())
}
