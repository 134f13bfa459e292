//! Guards, in the right order and in others.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use blockyard::Global;
use blockyard::context::{self, Ambient, Context, Current};
use proptest::prelude::*;

use super::tracked::Tracked;
use super::{nothing_is_installed, shown};

#[test]
fn a_guard_restores_what_was_there() {
    let (outer, inner) = (Tracked::new(), Tracked::new());
    {
        let _outer = context::install(outer.ambient());
        let before = context::current();
        {
            let _inner = context::install(inner.ambient());
            assert_ne!(context::current(), before);
            let _arena = context::install(Ambient::arena());
            assert!(shown().contains("Arena"));
        }
        assert_eq!((context::current(), inner.is_unused()), (before, true));
        let _global = context::install(Global);
        assert_eq!(context::current(), Current::GLOBAL);
    }
    assert!(nothing_is_installed() && outer.is_unused());
}

#[test]
fn an_older_guard_waits_for_a_newer_one() {
    let (first, second) = (Tracked::new(), Tracked::new());
    let older = context::install(first.ambient());
    let newer = context::install(second.ambient());
    let current = context::current();
    drop(older);
    assert_eq!(context::current(), current);
    drop(newer);
    assert!(nothing_is_installed());
    drop(current);
    assert!(first.is_unused() && second.is_unused());
}

#[test]
fn a_forgotten_guard_ends_with_its_scope() {
    let (outer, forgotten) = (Tracked::new(), Tracked::new());
    context::with_allocator(outer.ambient(), || {
        let before = context::current();
        context::with_name("scope", || {
            for _ in 0..3 {
                mem::forget(context::install(forgotten.ambient()));
            }
            assert_ne!(context::current(), before);
            assert_eq!(forgotten.allocators(), 3);
        });
        assert_eq!(context::current(), before);
        assert!(forgotten.is_unused());
    });
    assert!(nothing_is_installed() && outer.is_unused());
}

#[test]
fn very_many_forgotten_guards_end_with_the_thread() {
    let mut threads = vec![thread::spawn(|| {
        (0..100_000).for_each(|_| mem::forget(context::install(Ambient::arena())));
    })];
    threads.push(thread::spawn(|| {
        context::with_name("scope", || {
            (0..100_000).for_each(|_| mem::forget(context::install(Global)));
        });
        assert!(nothing_is_installed());
    }));
    threads.into_iter().for_each(|thread| thread.join().expect("no stack overflows"));
}

#[test]
fn a_guard_that_leaves_its_scope_has_ended() {
    let (tracked, later) = (Tracked::new(), Tracked::new());
    let guard = context::with_name("scope", || context::install(tracked.ambient()));
    assert!(nothing_is_installed() && tracked.is_unused());
    assert_eq!(format!("{guard:?}"), "Installed { ended }");
    context::with_allocator(later.ambient(), || {
        let before = context::current();
        drop(guard);
        assert_eq!(context::current(), before);
    });
    assert!(nothing_is_installed() && tracked.is_unused() && later.is_unused());
}

#[test]
fn a_guard_that_is_dropped_in_a_scope_ends_after_it() {
    let (guarded, scoped) = (Tracked::new(), Tracked::new());
    let guard = context::install(guarded.ambient());
    context::with_allocator(scoped.ambient(), || {
        let before = context::current();
        drop(guard);
        assert_eq!(context::current(), before);
    });
    assert!(nothing_is_installed() && guarded.is_unused() && scoped.is_unused());
}

#[test]
fn an_allocator_may_panic_when_it_is_dropped() {
    let tracked = Tracked::new();
    let ways: [fn(Ambient); 4] = [
        |ambient| context::with_allocator(ambient, || ()),
        |ambient| drop(context::install(ambient)),
        |ambient| {
            let older = context::install(ambient);
            let newer = context::install(Global);
            drop(older);
            drop(newer);
        },
        |ambient| {
            let current = context::with_allocator(ambient, context::current);
            assert!(nothing_is_installed());
            drop(current);
        },
    ];
    for way in ways {
        let ambient = tracked.ambient_that_panics();
        assert!(catch_unwind(AssertUnwindSafe(|| way(ambient))).is_err());
        assert!(nothing_is_installed() && tracked.is_unused());
    }
}

#[test]
fn a_context_is_installed_by_guard_too() {
    let tracked = Tracked::new();
    let context =
        context::with_allocator(tracked.ambient(), || context::with_name("inside", Context::capture));
    let guard = context.install();
    assert_eq!(context::name().as_deref(), Some("inside"));
    assert_ne!(context::current(), Current::GLOBAL);
    assert!(format!("{guard:?}").contains(r#"name: "inside""#));
    drop(guard);
    drop(context);
    assert!(nothing_is_installed() && tracked.is_unused());
}

#[derive(Debug, Clone)]
enum Op {
    Install,
    Drop { which: usize },
    Forget { which: usize },
    Scope(Vec<Op>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let leaf = prop_oneof![
        4 => Just(Op::Install),
        3 => any::<usize>().prop_map(|which| Op::Drop { which }),
        1 => any::<usize>().prop_map(|which| Op::Forget { which }),
    ];
    let tree = leaf.prop_recursive(
        3,
        60,
        12,
        |inner| prop_oneof![3 => inner.clone(), 1 => prop::collection::vec(inner, 0..12).prop_map(Op::Scope)],
    );
    prop::collection::vec(tree, 0..30)
}

/// What should be current.
struct Model {
    scopes: Vec<ModelScope>,
    guards: Vec<(usize, context::Installed)>,
    made: usize,
}

struct ModelScope {
    installed: Current,
    /// Oldest first.
    guards: Vec<ModelGuard>,
}

struct ModelGuard {
    number: usize,
    alive: bool,
    installed: Current,
}

impl Model {
    fn open(&mut self) {
        self.scopes.push(ModelScope { installed: context::current(), guards: Vec::new() });
    }

    fn innermost(&mut self) -> &mut ModelScope {
        self.scopes.last_mut().expect("one for the test")
    }

    fn check(&mut self) {
        let scope = self.innermost();
        let expected = scope.guards.last().map_or(&scope.installed, |guard| &guard.installed);
        assert_eq!(&context::current(), expected);
    }

    fn end(&mut self, number: usize) {
        let guards = self.scopes.iter_mut().flat_map(|scope| &mut scope.guards);
        guards.filter(|guard| guard.number == number).for_each(|guard| guard.alive = false);
        self.settle();
    }

    fn settle(&mut self) {
        while self.innermost().guards.pop_if(|guard| !guard.alive).is_some() {}
    }

    fn run(&mut self, ops: &[Op], tracked: &Tracked) {
        for op in ops {
            match *op {
                Op::Install => {
                    self.guards.push((self.made, context::install(tracked.ambient())));
                    let guard = ModelGuard { number: self.made, alive: true, installed: context::current() };
                    self.innermost().guards.push(guard);
                    self.made += 1;
                }
                Op::Drop { which } if !self.guards.is_empty() => {
                    let (number, guard) = self.guards.swap_remove(which % self.guards.len());
                    drop(guard);
                    self.end(number);
                }
                Op::Forget { which } if !self.guards.is_empty() => {
                    mem::forget(self.guards.swap_remove(which % self.guards.len()));
                }
                Op::Drop { .. } | Op::Forget { .. } => {}
                Op::Scope(ref inner) => {
                    context::with_allocator(tracked.ambient(), || {
                        self.open();
                        self.run(inner, tracked);
                    });
                    self.scopes.pop();
                    self.settle();
                }
            }
            self.check();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 256 }))]

    #[test]
    fn the_newest_guard_alive_is_current(ops in ops()) {
        let tracked = Tracked::new();
        context::with_name("test", || {
            let mut model = Model { scopes: Vec::new(), guards: Vec::new(), made: 0 };
            model.open();
            model.run(&ops, &tracked);
            assert_eq!(tracked.live(), 0);
        });
        assert!(nothing_is_installed());
    }
}
