//! Handles that outlive what they were made in.

use blockyard::allocator_api2::alloc;
use blockyard::allocator_api2::boxed::Box as BoxIn;
use blockyard::allocator_api2::vec::Vec as VecIn;
use blockyard::context::{self, Ambient, Current, Temp};
use proptest::prelude::*;

use super::tracked::Tracked;
use crate::support::{block::Block, layout};

#[test]
fn the_last_handle_ends_the_allocator() {
    let tracked = Tracked::new();
    let mut numbers =
        context::with_allocator(tracked.ambient(), || VecIn::<u64, _>::new_in(context::current()));
    numbers.extend(0..10_000);
    let clone = numbers.clone();
    assert_eq!((tracked.live(), tracked.allocators()), (2, 1));
    drop(numbers);
    assert_eq!((clone[9999], tracked.live(), tracked.allocators()), (9999, 1, 1));
    drop(clone);
    assert!(tracked.is_unused());
}

#[test]
fn a_handle_keeps_its_own_allocator_alone() {
    let (outer, inner) = (Tracked::new(), Tracked::new());
    let kept = context::with_allocator(outer.ambient(), || {
        context::with_allocator(inner.ambient(), || BoxIn::new_in(7, context::current()))
    });
    assert_eq!((*kept, inner.live()), (7, 1));
    assert!(outer.is_unused());
}

#[test]
fn an_arena_lives_as_long_as_its_handles() {
    let kept = context::with_arena(|| {
        let mut kept = VecIn::new_in(context::current());
        kept.extend(0..100_u32);
        kept
    });
    for _ in 0..10 {
        context::with_arena(|| {
            let mut other = VecIn::new_in(context::current());
            other.extend((0..10_000_u32).map(|_| u32::MAX));
            assert_ne!(other.allocator(), kept.allocator());
        });
    }
    assert!(kept.iter().enumerate().all(|(n, &number)| number as usize == n));
}

#[test]
fn a_leaked_handle_leaks_its_arena_and_no_more() {
    let leaked: &'static mut [u8; 100] =
        context::with_arena(|| BoxIn::leak(BoxIn::new_in([7; 100], context::current())));
    context::with_arena(|| drop(BoxIn::new_in([9_u8; 3000], context::current())));
    assert_eq!(leaked, &[7; 100]);
}

#[test]
fn free_temp_keeps_chunks_and_spares_handles() {
    let place = |temp: &Temp| &raw const **temp;
    let first = place(&context::temp());
    context::temp().alloc_slice_copy(&[1_u8; 3000]);
    let reserved = context::temp().stats().reserved;
    context::free_temp();
    let temp = context::temp();
    assert_eq!((place(&temp), temp.stats().used, temp.stats().reserved), (first, 0, reserved));

    let text = temp.alloc_str("kept");
    let mut numbers = VecIn::new_in(temp.clone());
    numbers.extend(0..100);
    context::free_temp();
    context::free_temp();
    assert_ne!(place(&context::temp()), first);
    context::temp().alloc_slice_copy(&[0xff_u8; 3000]);
    assert_eq!((&*text, numbers[99], numbers.len()), ("kept", 99, 100));
    assert!(format!("{temp:?}").starts_with("Temp(Arena {"));
}

#[test]
fn the_temporary_arena_is_no_scopes() {
    context::temp().alloc(1_u8);
    let used = context::temp().stats().used;
    let kept = context::with_temp(|| {
        let outside = context::temp();
        context::with_arena(|| _ = context::current());
        blockyard::temp::scope(|t| {
            t.alloc([1_u8; 100]);
            assert_eq!(context::temp().stats().used, 0);
        });
        context::free_temp(); // not the caller's
        let caught = std::panic::catch_unwind(|| context::with_temp(|| panic!("on purpose")));
        assert!(caught.is_err());
        outside.alloc(7);
        BoxIn::new_in(7, outside)
    });
    assert_eq!((context::temp().stats().used, *kept), (used, 7));
    context::free_temp();
}

#[test]
fn every_call_of_the_trait_reaches_its_allocator() {
    let tracked = Tracked::new();
    let check = |allocator: Current| {
        for zeroed in [false, true] {
            let mut block =
                Block::new(&allocator, layout(100, 8), zeroed, 1).expect("there is memory for 100 bytes");
            for size in [100, 1000, 50, 50, 3000, 0, 10] {
                // SAFETY: the block is of this allocator.
                assert!(unsafe { block.resize(&allocator, layout(size, 8), zeroed) });
            }
            // SAFETY: as above.
            unsafe { block.free(&allocator) };
        }
    };
    check(Current::GLOBAL);
    context::with_name("named", || check(context::current()));
    context::with_arena(|| check(context::current()));
    context::with_allocator(blockyard::Heap::new(), || check(context::current()));
    context::with_allocator(Ambient::new(alloc::Global), || check(context::current()));
    context::with_allocator(tracked.ambient(), || check(context::current()));
    assert!(tracked.is_unused());
}

#[cfg(feature = "allocator-api2-04")]
#[test]
fn the_handles_serve_version_0_4_too() {
    use allocator_api2_04::vec::Vec as NewVec;
    let tracked = Tracked::new();
    let made = context::with_allocator(tracked.ambient(), || {
        let mut temporary = NewVec::new_in(context::temp());
        temporary.extend(0..1000);
        let mut made = NewVec::new_in(context::current());
        made.extend(temporary.iter().copied());
        made.truncate(700);
        made.shrink_to_fit();
        made
    });
    assert_eq!((made[699], tracked.live()), (699, 1));
    drop(made);
    assert!(tracked.is_unused());
}

#[derive(Debug, Clone)]
enum Op {
    Current { size: usize },
    Temp { size: usize },
    Grow { which: usize, by: usize },
    Free { which: usize },
    FreeTemp,
    Arena(Vec<Op>),
    OwnTemp(Vec<Op>),
    Allocator(Vec<Op>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let leaf = prop_oneof![
        4 => (0..5000_usize).prop_map(|size| Op::Current { size }),
        4 => (0..5000_usize).prop_map(|size| Op::Temp { size }),
        3 => (any::<usize>(), 0..3000_usize).prop_map(|(which, by)| Op::Grow { which, by }),
        4 => any::<usize>().prop_map(|which| Op::Free { which }),
        2 => Just(Op::FreeTemp),
    ];
    let tree = leaf.prop_recursive(4, 100, 12, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..12);
        prop_oneof![
            4 => inner.clone(),
            1 => some().prop_map(Op::Arena),
            1 => some().prop_map(Op::OwnTemp),
            1 => some().prop_map(Op::Allocator),
        ]
    });
    prop::collection::vec(tree, 0..30)
}

enum Held {
    Current(Block, Current),
    Temp(Block, Temp),
}

impl Held {
    fn grow(&mut self, by: usize) {
        let (Self::Current(block, _) | Self::Temp(block, _)) = self;
        let new = layout(block.layout().size() + by, 8);
        // SAFETY: the block is of the allocator beside it.
        assert!(unsafe {
            match self {
                Self::Current(block, current) => block.resize(current, new, false),
                Self::Temp(block, temp) => block.resize(temp, new, true),
            }
        });
    }

    fn free(self) {
        // SAFETY: as in `grow`.
        unsafe {
            match self {
                Self::Current(block, current) => block.free(&current),
                Self::Temp(block, temp) => block.free(&temp),
            }
        }
    }
}

/// Blocks are held across all scopes, and verified whenever they change.
fn run(ops: &[Op], held: &mut Vec<Held>, seed: &mut u64, tracked: &Tracked) {
    for op in ops {
        *seed += 1;
        match *op {
            Op::Current { size } => {
                let current = context::current();
                let block = Block::new(&current, layout(size, 8), false, *seed);
                held.extend(block.map(|block| Held::Current(block, current)));
            }
            Op::Temp { size } => {
                let temp = context::temp();
                let block = Block::new(&temp, layout(size, 8), false, *seed);
                held.extend(block.map(|block| Held::Temp(block, temp)));
            }
            Op::Grow { which, by } if !held.is_empty() => {
                let which = which % held.len();
                held[which].grow(by);
            }
            Op::Free { which } if !held.is_empty() => held.swap_remove(which % held.len()).free(),
            Op::Grow { .. } | Op::Free { .. } => {}
            Op::FreeTemp => context::free_temp(),
            Op::Arena(ref inner) => context::with_arena(|| run(inner, held, seed, tracked)),
            Op::OwnTemp(ref inner) => context::with_temp(|| run(inner, held, seed, tracked)),
            Op::Allocator(ref inner) => {
                context::with_allocator(tracked.ambient(), || run(inner, held, seed, tracked));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 256 }))]

    #[test]
    fn held_blocks_stay_as_they_are(ops in ops()) {
        let tracked = Tracked::new();
        let mut held = Vec::new();
        run(&ops, &mut held, &mut 0, &tracked);
        held.into_iter().for_each(Held::free);
        context::free_temp();
        assert!(tracked.is_unused());
    }
}

#[test]
fn handles_are_equal_where_blocks_can_be_freed_through_either() {
    let tracked = Tracked::new();
    let ambient = tracked.ambient();
    let heap = std::sync::Arc::new(blockyard::Heap::new());
    for ambient in [ambient, Ambient::from(&heap)] {
        let twice = || context::with_allocator(ambient.clone(), context::current);
        assert_eq!(twice(), twice());
    }
    let other = || context::with_allocator(tracked.ambient(), context::current);
    assert_ne!(other(), other());
    let arena = context::with_arena(context::current);
    let another = context::with_arena(context::current);
    assert_ne!(arena, another);
    assert_eq!(context::with_name("named", context::current), Current::GLOBAL);
}
