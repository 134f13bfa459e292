//! Scopes; what must not compile is in `Scope`'s documentation.

use std::panic::{AssertUnwindSafe, catch_unwind};

use blockyard::allocator_api2::vec::Vec as AVec;
use blockyard::{Arena, Scope};

use super::child::Child;

#[test]
fn values_of_outer_scopes_stay() {
    fn nest(scope: &mut Scope<'_>, depth: usize) -> usize {
        let mine = scope.alloc_slice_fill_with(300, |n| n * depth);
        let boxed = scope.alloc_box(depth.to_string());
        let below =
            if depth == 0 { 0 } else { (0..2).map(|_| scope.scope(|inner| nest(inner, depth - 1))).sum() };
        assert!(mine.iter().enumerate().all(|(n, &number)| number == n * depth));
        assert_eq!(*boxed, depth.to_string());
        below + 1
    }
    let mut arena = Arena::new();
    assert_eq!(arena.scope(|scope| nest(scope, 6)), 127);
    assert_eq!(arena.stats().used, 0);
    assert!(arena.stats().peak >= 7 * 2400);
}

#[test]
fn a_panic_ends_scopes() {
    let mut arena = Arena::new();
    arena.alloc([1_u8; 100]);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        arena.scope(|outer| {
            outer.alloc([2_u8; 100]);
            outer.scope(|inner| {
                inner.alloc([3_u8; 10_000]);
                panic!("inside");
            })
        })
    }));
    assert!(caught.is_err());
    assert_eq!(arena.stats().used, 100);
    assert_eq!(*arena.alloc(5), 5);
}

#[test]
fn a_caught_panic_leaves_the_outer_scope_as_it_was() {
    Arena::new().scope(|outer| {
        let kept = outer.alloc(1);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            outer.scope(|inner| {
                inner.alloc([3_u8; 10_000]);
                panic!("inside");
            })
        }));
        assert!(caught.is_err());
        assert_eq!((*kept, *outer.alloc(2)), (1, 2));
    });
}

#[test]
fn scopes_in_a_loop_ask_the_child_once() {
    let child = Child::default();
    let mut arena = Arena::new_in(&child);
    let mut warm = 0;
    for round in 0..50 {
        arena.scope(|outer| {
            for _ in 0..10 {
                outer.alloc([0_u8; 500]);
                outer.scope(|inner| {
                    let mut numbers = AVec::new_in(&*inner);
                    numbers.extend(0..2000_u32);
                    inner.alloc_layout(std::alloc::Layout::new::<[u8; 50_000]>());
                });
            }
        });
        if round == 3 {
            warm = child.calls();
        }
    }
    assert_eq!(child.calls(), warm);
    assert_eq!(arena.stats().used, 0);
}

#[test]
fn what_leaks_in_a_scope_is_taken_back() {
    let mut arena = Arena::new();
    for _ in 0..1000 {
        arena.scope(|scope| {
            let mut leaked = AVec::new_in(&*scope);
            leaked.extend(0..100_u64);
            std::mem::forget(leaked);
        });
    }
    assert!(arena.stats().reserved <= 8192);
}

#[test]
fn two_arenas_nest() {
    let (mut one, mut two) = (Arena::new(), Arena::new());
    let sum = one.scope(|a| {
        let x = a.alloc(1);
        let y = two.scope(|b| *b.alloc(2) + *a.alloc(3));
        *x + y
    });
    assert_eq!(sum, 6);
}
