//! Temporary memory: leases of whole arenas.

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use blockyard::allocator_api2::vec::Vec as ArenaVec;
use blockyard::temp::{self, Lease};
use blockyard::{Arena, ArenaBox};
use proptest::prelude::*;
use rayon::prelude::*;
use static_assertions::{assert_eq_size, assert_impl_all, assert_not_impl_any};

use crate::support::{KIB, MIB, block::Block, layout};

assert_impl_all!(Lease: Default, std::fmt::Debug);
assert_not_impl_any!(Lease: Send, Sync, Clone);
assert_eq_size!(Lease, *const ());

/// Which arena it is.
fn id(arena: &Arena) -> *const Arena {
    arena
}

/// Runs on a thread of its own, whose stack of arenas is empty.
fn fresh(test: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(test).join()).unwrap_or_else(|cause| std::panic::resume_unwind(cause));
}

#[test]
fn a_scope_gets_the_arena_of_the_scope_before_and_finds_it_empty() {
    fresh(|| {
        let first = temp::scope(|t| {
            t.alloc_slice_copy(&[1_u8; 100]);
            (id(t).addr(), t.stats().reserved)
        });
        temp::scope(|t| {
            assert_eq!((id(t).addr(), t.stats().reserved, t.stats().used), (first.0, first.1, 0));
        });
    });
}

#[test]
fn nested_scopes_have_an_arena_each_and_keep_what_is_in_them() {
    fn nest(depth: usize, seen: &mut HashSet<*const Arena>) {
        if depth == 0 {
            return;
        }
        temp::scope(|t| {
            assert!(seen.insert(t));
            let mut numbers = ArenaVec::new_in(t);
            for n in 0..100 {
                numbers.push(depth * 1000 + n);
                if n == 50 {
                    nest(depth - 1, seen);
                }
            }
            assert!(numbers.iter().enumerate().all(|(n, &number)| number == depth * 1000 + n));
        });
    }
    fresh(|| {
        let mut first = HashSet::new();
        nest(100, &mut first);
        assert_eq!(first.len(), 100);
        // A bounded number is kept.
        let kept = temp::collect();
        assert!((32 * 4 * KIB..=33 * 8 * KIB).contains(&kept), "{kept}");
        nest(5, &mut HashSet::new());
    });
}

#[test]
fn a_panic_gives_the_arena_back_reset() {
    fresh(|| {
        let used = RefCell::new(None);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            temp::scope(|t| {
                t.alloc_slice_copy(&[1_u8; 100]);
                used.replace(Some(id(t)));
                temp::scope(|inner| {
                    inner.alloc(1);
                    panic!("on purpose");
                })
            })
        }));
        assert!(caught.is_err());
        temp::scope(|t| {
            assert_eq!((Some(id(t)), t.stats().used), (used.take(), 0));
            temp::scope(|inner| assert_eq!(inner.stats().used, 0));
        });
    });
}

#[test]
fn the_values_of_boxes_are_dropped_in_the_scope() {
    let dropped = std::sync::Arc::new(());
    temp::scope(|t| {
        let boxed: ArenaBox<'_, _> = t.alloc_box(dropped.clone());
        assert_eq!(std::sync::Arc::strong_count(&boxed), 2);
    });
    assert_eq!(std::sync::Arc::strong_count(&dropped), 1);
}

#[test]
fn frames_that_need_the_same_ask_for_nothing() {
    /// Returns what the arena held before and after.
    fn frame(bytes: usize, block: usize) -> [usize; 2] {
        temp::scope(|t| {
            let before = t.stats().reserved;
            for _ in 0..bytes / block {
                t.alloc_slice_fill_with(block, |_| 1_u8);
            }
            [before, t.stats().reserved]
        })
    }
    for (bytes, block) in [(MIB / 2, 1000), (8 * MIB, 1000), (20 * MIB, 5 * MIB), (3 * MIB, 100_000)] {
        fresh(|| {
            (0..3).for_each(|_| _ = frame(bytes, block));
            let [before, after] = frame(bytes, block);
            assert_eq!(before, after, "{bytes} bytes in blocks of {block}");
            // A large frame is forgotten after some small ones, down to what is always kept.
            (0..60).for_each(|_| _ = frame(10_000, 1000));
            let kept = temp::collect();
            assert!(kept <= MIB + 64 * KIB, "{kept}");
        });
    }
}

#[test]
fn an_unused_scope_leaves_an_arena_warm() {
    fresh(|| {
        let large = temp::scope(|t| {
            t.alloc_slice_copy(&vec![1_u8; 4 * MIB]);
            t.stats().reserved
        });
        (0..1000).for_each(|_| temp::scope(|_| ()));
        temp::scope(|t| assert_eq!(t.stats().reserved, large));
    });
}

#[test]
fn leases_come_back_in_any_order_and_can_be_forgotten() {
    fresh(|| {
        let (first, second, third) = (Lease::new(), Lease::new(), Lease::default());
        let ids = [id(&first), id(&third)];
        let kept = second.alloc_str("kept");
        first.alloc_slice_copy(&[1_u8; 10_000]);
        drop(first);
        drop(third);
        assert_eq!(kept, "kept");
        std::mem::forget(second);
        let again = [Lease::new(), Lease::new()];
        assert_eq!(again.each_ref().map(|lease| id(lease)), [ids[1], ids[0]]);
        assert!(format!("{:?}", again[0]).starts_with("Lease(Arena {"));
    });
}

#[test]
fn a_reset_lease_is_empty_and_warm() {
    let mut lease = Lease::new();
    lease.alloc_slice_copy(&[1_u8; 1000]);
    let reserved = lease.stats().reserved;
    lease.reset();
    assert_eq!((lease.stats().used, lease.stats().reserved), (0, reserved));
}

#[test]
fn jobs_that_are_stolen_inside_a_scope_get_another_arena() {
    let total: usize = (0..64_usize)
        .into_par_iter()
        .map(|row| {
            temp::scope(|t| {
                let mut numbers = ArenaVec::new_in(t);
                numbers.extend(0..row);
                // Waits here, and runs other rows meanwhile, in scopes of their own.
                let inner: usize = (0..64_usize)
                    .into_par_iter()
                    .map(|n| temp::scope(|t| t.alloc_slice_fill_with(n, |i| i).iter().sum::<usize>()))
                    .sum();
                numbers.extend(row..2 * row);
                assert!(numbers.iter().enumerate().all(|(n, &number)| n == number));
                inner
            })
        })
        .sum();
    assert_eq!(total, 64 * (0..64).map(|n| n * (n.max(1) - 1) / 2).sum::<usize>());
}

#[test]
fn destructors_of_thread_locals_can_lease() {
    static RAN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    struct AtExit(usize);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let made = temp::scope(|t| {
                let outer = t.alloc(self.0);
                temp::scope(|inner| *inner.alloc(*outer))
            });
            temp::collect();
            RAN.lock().expect("nothing panics under the lock").push(made);
        }
    }
    thread_local! {
        static BEFORE: AtExit = const { AtExit(1) };
        static AFTER: AtExit = const { AtExit(2) };
        static HELD: RefCell<Option<Lease>> = const { RefCell::new(None) };
    }
    // Whichever order the destructors run in, one of the two comes after that of the stack of arenas.
    thread::spawn(|| {
        HELD.with(|held| held.replace(None));
        BEFORE.with(|_| ());
        temp::scope(|t| _ = t.alloc(1));
        AFTER.with(|_| ());
        HELD.with(|held| held.replace(Some(Lease::new())));
    })
    .join()
    .expect("nothing panics");
    let mut ran = RAN.lock().expect("nothing panics under the lock").clone();
    ran.sort_unstable();
    assert_eq!(ran, [1, 2]);
}

/// What a scope does, in order.
#[derive(Debug, Clone)]
enum Op {
    Alloc { size: usize, align: u32 },
    Grow { which: usize, by: usize },
    Free { which: usize },
    Lease,
    Scope(Vec<Op>),
    Panic(Vec<Op>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let leaf = prop_oneof![
        8 => (0..3000_usize, 0..7_u32).prop_map(|(size, align)| Op::Alloc { size, align }),
        1 => (3000..100_000_usize, 0..7_u32).prop_map(|(size, align)| Op::Alloc { size, align }),
        4 => (any::<usize>(), 0..2000_usize).prop_map(|(which, by)| Op::Grow { which, by }),
        2 => any::<usize>().prop_map(|which| Op::Free { which }),
        1 => Just(Op::Lease),
    ];
    let tree = leaf.prop_recursive(4, 100, 12, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..12);
        prop_oneof![4 => inner.clone(), 2 => some().prop_map(Op::Scope), 1 => some().prop_map(Op::Panic)]
    });
    prop::collection::vec(tree, 0..20)
}

/// All blocks of a scope are verified whenever they change hands, and at its end.
fn run(arena: &Arena, ops: &[Op], seed: &mut u64) {
    let mut blocks = Vec::new();
    let mut leases = Vec::new();
    for op in ops {
        match *op {
            Op::Alloc { size, align } => {
                *seed += 1;
                blocks.extend(Block::new(&arena, layout(size, 1 << align), false, *seed));
            }
            Op::Grow { which, by } if !blocks.is_empty() => {
                let which = which % blocks.len();
                let block = &mut blocks[which];
                let new = layout(block.layout().size() + by, block.layout().align());
                // SAFETY: the block is of this arena.
                assert!(unsafe { block.resize(&arena, new, by % 2 == 0) });
            }
            Op::Free { which } if !blocks.is_empty() => {
                // SAFETY: as above.
                unsafe { blocks.swap_remove(which % blocks.len()).free(&arena) };
            }
            Op::Grow { .. } | Op::Free { .. } => {}
            Op::Lease => {
                let lease = Lease::new();
                lease.alloc_slice_copy(&[0xff_u8; 500]);
                leases.push(lease);
            }
            Op::Scope(ref inner) => temp::scope(|t| run(t, inner, seed)),
            Op::Panic(ref inner) => {
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    temp::scope(|t| {
                        run(t, inner, seed);
                        std::panic::resume_unwind(Box::new(()));
                    })
                }));
                assert!(
                    caught.is_err_and(|cause| cause.is::<()>()),
                    "what was allocated is as it was written"
                );
            }
        }
    }
    for block in &blocks {
        block.verify();
    }
    assert!(leases.iter().all(|lease| lease.stats().used == 500));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 256 }))]

    #[test]
    fn nested_scopes_never_overlap(ops in ops()) {
        temp::scope(|t| {
            assert_eq!(t.stats().used, 0);
            run(t, &ops, &mut 0);
        });
    }
}
