//! Random use against a model: contents, alignment, no overlap, exact accounts.

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Arena, FixedBuffer, Keep, Scope, SharedFixedBuffer, StackFallback};
use proptest::prelude::*;

use super::child::Child;
use crate::support::block::Block;
use crate::support::layout;

#[derive(Debug, Clone)]
enum Op {
    Alloc {
        size: usize,
        align: u32,
        zeroed: bool,
    },
    Resize {
        which: usize,
        size: usize,
        align: u32,
        zeroed: bool,
    },
    Free {
        which: usize,
    },
    FreeLast,
    ResizeLast {
        size: usize,
    },
    /// The child refuses its next calls but so many.
    Refuse {
        after: usize,
        stubborn: bool,
    },
    Obey,
    /// Everything after it is in a scope, until the matching `Close`.
    Open,
    Close,
    Reset(Keep),
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..200_usize, 4 => 200..3000_usize, 1 => 3000..100_000_usize]
}

fn op() -> impl Strategy<Value = Op> {
    let align = || prop_oneof![8 => 0..5_u32, 1 => 5..14_u32];
    prop_oneof![
        10 => (size(), align(), any::<bool>()).prop_map(|(size, align, zeroed)| Op::Alloc { size, align, zeroed }),
        4 => (any::<usize>(), size(), align(), any::<bool>())
            .prop_map(|(which, size, align, zeroed)| Op::Resize { which, size, align, zeroed }),
        3 => any::<usize>().prop_map(|which| Op::Free { which }),
        2 => Just(Op::FreeLast),
        4 => size().prop_map(|size| Op::ResizeLast { size }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(after, stubborn)| Op::Refuse { after, stubborn }),
        1 => Just(Op::Obey),
        2 => Just(Op::Open),
        2 => Just(Op::Close),
        1 => prop_oneof![Just(Keep::Nothing), Just(Keep::All), (0..50_000_usize).prop_map(Keep::UpTo), Just(Keep::RecentPeak)]
            .prop_map(Op::Reset),
    ]
}

/// One operation on blocks of `allocator`; false for operations of other kinds.
fn apply(allocator: &impl Allocator, blocks: &mut Vec<Block>, op: &Op, seed: u64) -> bool {
    match *op {
        Op::Alloc { size, align, zeroed } => {
            blocks.extend(Block::new(allocator, layout(size, 1 << align), zeroed, seed));
        }
        Op::Resize { which, size, align, zeroed } if !blocks.is_empty() => {
            let which = which % blocks.len();
            // SAFETY: all blocks are of this allocator.
            unsafe { blocks[which].resize(allocator, layout(size, 1 << align), zeroed) };
        }
        Op::ResizeLast { size } => {
            if let Some(block) = blocks.last_mut() {
                let new = layout(size, block.layout().align());
                // SAFETY: as above.
                unsafe { block.resize(allocator, new, false) };
            }
        }
        Op::Free { which } if !blocks.is_empty() => {
            // SAFETY: as above.
            unsafe { blocks.swap_remove(which % blocks.len()).free(allocator) };
        }
        Op::FreeLast => {
            if let Some(block) = blocks.pop() {
                // SAFETY: as above.
                unsafe { block.free(allocator) };
            }
        }
        Op::Resize { .. } | Op::Free { .. } => {}
        Op::Refuse { .. } | Op::Obey | Op::Open | Op::Close | Op::Reset(_) => return false,
    }
    check(blocks);
    true
}

/// Contents are checked by every operation on a block; here all of them, and that none overlap.
fn check(blocks: &[Block]) {
    let mut ranges: Vec<_> = blocks
        .iter()
        .map(|block| (block.address(), block.layout().size()))
        .filter(|range| range.1 != 0)
        .collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{ranges:x?}");
    blocks.iter().for_each(Block::verify);
}

fn refuse(child: &Child, op: &Op) {
    match *op {
        Op::Refuse { after, stubborn } => child.refuse(after, stubborn),
        Op::Obey => child.obey(),
        _ => {}
    }
}

/// Runs operations in a scope until it closes. `outer` are the blocks of the scopes around it, which must
/// stay as they are.
fn run_scope<const ALIGN: usize>(
    scope: &mut Scope<'_, &Child, ALIGN>,
    child: &Child,
    ops: &mut std::iter::Enumerate<std::slice::Iter<'_, Op>>,
    outer: &mut Vec<Block>,
) {
    let around = outer.len();
    let mut blocks = Vec::new();
    while let Some((seed, op)) = ops.next() {
        match op {
            Op::Close => break,
            Op::Open => {
                outer.append(&mut blocks);
                let before = outer.len();
                scope.scope(|inner| run_scope(inner, child, ops, outer));
                assert_eq!(outer.len(), before);
                check(outer);
            }
            op => {
                if !apply(&&*scope, &mut blocks, op, seed as u64) {
                    refuse(child, op);
                }
            }
        }
    }
    check(outer);
    outer.truncate(around);
}

fn run<const ALIGN: usize>(ops: &[Op], limit: usize) {
    let child = Child::default();
    let mut arena = Arena::builder().limit(limit).min_align::<ALIGN>().child(&child).build();
    let mut blocks = Vec::new();
    let mut ops = ops.iter().enumerate();
    while let Some((seed, op)) = ops.next() {
        match op {
            Op::Reset(keep) => {
                blocks.clear();
                arena.reset_keeping(*keep);
                assert_eq!((arena.stats().used, arena.stats().wasted), (0, 0));
                match *keep {
                    Keep::Nothing => assert_eq!(arena.stats().reserved, 0),
                    Keep::UpTo(bytes) => assert!(arena.stats().reserved <= bytes),
                    _ => {}
                }
            }
            Op::Open => {
                let before = arena.stats();
                let mut outer = Vec::new();
                arena.scope(|scope| run_scope(scope, &child, &mut ops, &mut outer));
                let after = arena.stats();
                assert_eq!((after.used, after.wasted), (before.used, before.wasted));
                check(&blocks);
            }
            op => {
                if !apply(&&arena, &mut blocks, op, seed as u64) {
                    refuse(&child, op);
                }
            }
        }
        let stats = arena.stats();
        assert_eq!(stats.reserved, child.live_bytes());
        assert!(stats.reserved <= limit);
        assert!(stats.used + stats.wasted <= stats.reserved && stats.used <= stats.peak);
        let live: usize = blocks.iter().map(|block| block.layout().size()).sum();
        assert!(stats.used >= live, "{stats:?} holds {live}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_arena_is_as_its_model(ops in prop::collection::vec(op(), 1..120), limit in prop_oneof![Just(usize::MAX), 0..200_000_usize]) {
        run::<1>(&ops, limit);
        run::<8>(&ops, limit);
        run::<64>(&ops, limit);
    }

    #[test]
    fn a_buffer_is_as_its_model(ops in prop::collection::vec(op(), 1..120), offset in 0..64_usize) {
        let mut bytes = [std::mem::MaybeUninit::uninit(); 4096];
        let mut buffer = FixedBuffer::new(&mut bytes[offset..]);
        let mut blocks = Vec::new();
        for (seed, op) in ops.iter().enumerate() {
            if let Op::Reset(_) = op {
                blocks.clear();
                buffer.reset();
                prop_assert_eq!(buffer.remaining(), buffer.capacity());
            }
            apply(&&buffer, &mut blocks, op, seed as u64);
            prop_assert!(blocks.iter().all(|block| block.layout().size() == 0 || buffer.contains(block.start().as_ptr())));
        }
    }

    #[test]
    fn a_shared_buffer_is_as_its_model(ops in prop::collection::vec(op(), 1..120), offset in 0..64_usize) {
        let mut bytes = [std::mem::MaybeUninit::uninit(); 4096];
        let mut buffer = SharedFixedBuffer::new(&mut bytes[offset..]);
        let mut blocks = Vec::new();
        for (seed, op) in ops.iter().enumerate() {
            if let Op::Reset(_) = op {
                blocks.clear();
                buffer.reset();
            }
            apply(&&buffer, &mut blocks, op, seed as u64);
            prop_assert!(blocks.iter().all(|block| block.layout().size() == 0 || buffer.contains(block.start().as_ptr())));
        }
    }

    #[test]
    fn a_stack_fallback_is_as_its_model(ops in prop::collection::vec(op(), 1..120)) {
        run_fallback::<0>(&ops);
        run_fallback::<1000>(&ops);
        run_fallback::<20_000>(&ops);
    }
}

/// At a reset all blocks are freed and the value is moved.
fn run_fallback<const N: usize>(ops: &[Op]) {
    let child = Child::default();
    let mut memory = StackFallback::<N, _>::new_in(&child);
    let mut blocks = Vec::new();
    for (seed, op) in ops.iter().enumerate() {
        match *op {
            Op::Refuse { after, stubborn } => child.refuse(after, stubborn),
            Op::Obey => child.obey(),
            Op::Reset(_) => {
                free_all(&memory, &mut blocks);
                memory.reset();
                memory = *Box::new(memory);
                assert_eq!((memory.remaining(), child.live_bytes()), (N, 0));
            }
            _ => {}
        }
        apply(&&memory, &mut blocks, op, seed as u64);
        let outside = |block: &&Block| !memory.contains(block.start().as_ptr());
        let of_child: usize = blocks.iter().filter(outside).map(|block| block.layout().size()).sum();
        assert_eq!(of_child, child.live_bytes());
    }
    free_all(&memory, &mut blocks);
}

fn free_all<const N: usize>(memory: &StackFallback<N, &Child>, blocks: &mut Vec<Block>) {
    for block in blocks.drain(..) {
        block.verify();
        // SAFETY: the block is of this allocator.
        unsafe { block.free(&memory) };
    }
}
