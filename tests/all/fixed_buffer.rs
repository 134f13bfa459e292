//! Buffers on the stack and between threads. Their models are with the arenas' ones.

use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::thread;

use blockyard::allocator_api2::vec::Vec as AVec;
use blockyard::{Arena, FixedBuffer, RollbackStack, SharedFixedBuffer, StackFallback};

use crate::support::Rng;
use crate::support::block::Block;
use crate::support::layout;

#[test]
fn an_empty_buffer_gives_nothing_but_nothing() {
    let buffer = FixedBuffer::new(&mut []);
    assert!(buffer.try_alloc(1_u8).is_err());
    assert_eq!(*buffer.alloc(()), ());
    let shared = SharedFixedBuffer::new(&mut []);
    assert!(shared.try_alloc(1_u8).is_err());
    assert_eq!(*shared.alloc(()), ());
}

#[test]
fn huge_requests_are_refused() {
    let mut bytes = [MaybeUninit::uninit(); 64];
    let buffer = FixedBuffer::new(&mut bytes);
    assert!(buffer.try_alloc_layout(layout(isize::MAX as usize, 1)).is_err());
    assert!(buffer.try_alloc_layout(layout(1, 1 << 62)).is_err());
    assert_eq!(buffer.remaining(), 64);
    let mut bytes = [MaybeUninit::uninit(); 64];
    let shared = SharedFixedBuffer::new(&mut bytes);
    assert!(shared.try_alloc_layout(layout(isize::MAX as usize, 1)).is_err());
    assert!(shared.try_alloc_layout(layout(1, 1 << 62)).is_err());
    assert_eq!(shared.remaining(), 64);
}

#[test]
fn a_full_buffer_fails_softly() {
    let mut bytes = [MaybeUninit::uninit(); 1000];
    let buffer = FixedBuffer::new(&mut bytes);
    let mut numbers = AVec::new_in(&buffer);
    let error = loop {
        if let Err(error) = numbers.try_reserve(1) {
            break error;
        }
        numbers.push(numbers.len());
    };
    assert!(numbers.len() >= 60, "{} of 125: {error:?}", numbers.len());
    assert!(numbers.iter().enumerate().all(|(n, &number)| n == number));
}

#[test]
fn threads_share_a_buffer() {
    let mut bytes = vec![MaybeUninit::uninit(); 1 << 16].into_boxed_slice();
    let mut buffer = SharedFixedBuffer::new(&mut bytes);
    for round in 0..20_u64 {
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for n in 0..4_u64 {
                let (buffer, start) = (&buffer, &start);
                scope.spawn(move || {
                    start.wait();
                    let mut rng = Rng::new(round * 4 + n);
                    let mut blocks: Vec<Block> = Vec::new();
                    for _ in 0..300 {
                        match (rng.below(4), blocks.last_mut()) {
                            (0, Some(last)) => {
                                let new = layout(last.layout().size() + rng.below(64), 8);
                                // SAFETY: of this buffer.
                                unsafe { last.resize(&buffer, new, false) };
                            }
                            (1, Some(_)) => {
                                // SAFETY: of this buffer.
                                unsafe { blocks.pop().unwrap().free(&buffer) };
                            }
                            _ => {
                                let layout = layout(rng.below(64), 1 << rng.below(4));
                                blocks.extend(Block::new(&buffer, layout, false, rng.next()));
                            }
                        }
                    }
                    blocks.iter().for_each(Block::verify);
                });
            }
        });
        buffer.reset();
    }
}

#[test]
fn what_does_not_fit_goes_to_the_child() {
    let memory = StackFallback::<100>::new();
    let mut texts = Vec::new();
    for n in 0..50_u8 {
        let mut text = AVec::new_in(&memory);
        text.extend_from_slice(&[n; 10]);
        texts.push(text);
    }
    let inside = texts.iter().filter(|text| memory.contains(text.as_ptr())).count();
    assert!((5..=10).contains(&inside), "{inside}");
    assert!(texts.iter().zip(0..).all(|(text, n)| text[..] == [n; 10]));
}

#[test]
fn the_last_block_grows_shrinks_and_is_freed_in_place() {
    let memory = StackFallback::<256>::new();
    let mut bytes = AVec::with_capacity_in(10, &memory);
    bytes.extend_from_slice(b"0123456789");
    bytes.reserve_exact(190);
    assert!(memory.contains(bytes.as_ptr()) && memory.remaining() == 56);
    bytes.shrink_to_fit();
    assert_eq!((&bytes[..], memory.remaining()), (&b"0123456789"[..], 246));
    bytes.reserve_exact(300);
    assert!(!memory.contains(bytes.as_ptr()));
    assert_eq!((&bytes[..], memory.remaining()), (&b"0123456789"[..], 256));
    bytes.shrink_to_fit();
    assert_eq!(bytes, b"0123456789");
    drop(bytes);
    assert_eq!(memory.remaining(), 256);
}

#[test]
fn a_fallback_moves_when_nothing_is_in_it() {
    fn made<const N: usize>() -> StackFallback<N> {
        let memory = StackFallback::new();
        std::mem::forget(AVec::<u8, _>::with_capacity_in(N / 2, &memory));
        memory
    }
    let mut moved = vec![made::<64>(), made(), made()];
    moved.rotate_left(1);
    for memory in &mut moved {
        assert_eq!(memory.remaining(), 32);
        let mut bytes = AVec::new_in(&*memory);
        bytes.extend_from_slice(&[7_u8; 32]);
        assert!(memory.contains(bytes.as_ptr()) && bytes == [7; 32]);
        drop(bytes);
        memory.reset();
        assert_eq!(memory.remaining(), 64);
    }
}

#[test]
fn a_fallback_serves_nothing_and_refuses_too_much() {
    let child = Arena::builder().limit(0).build();
    let memory = StackFallback::<64, _>::new_in(&child);
    let mut nothing = AVec::new_in(&memory);
    nothing.resize(1000, ());
    for too_much in [layout(isize::MAX as usize, 1), layout(1, 1 << 62), layout(65, 1)] {
        assert!(Block::new(&&memory, too_much, false, 0).is_none(), "{too_much:?}");
    }
    assert_eq!(memory.remaining(), 64);
    let empty = StackFallback::<0, _>::new_in(&child);
    assert!(Block::new(&&empty, layout(1, 1), false, 0).is_none());
    assert!(Block::new(&&empty, layout(0, 4096), false, 0).is_some());
}

#[test]
fn a_stack_rolls_back_over_what_was_freed_out_of_order() {
    let mut bytes = [MaybeUninit::uninit(); 4096];
    let stack = RollbackStack::new(&mut bytes);
    let mut rng = Rng::new(7);
    for _ in 0..200 {
        let mut blocks: Vec<Block> = Vec::new();
        let mut tops = Vec::new();
        for n in 0..rng.below(12) {
            tops.push(stack.used());
            let asked = layout(1 + rng.below(150), 1 << rng.below(7));
            blocks.push(Block::new(&&stack, asked, false, n as u64).expect("room"));
        }
        // In any order; what is live keeps all that is below it.
        let mut live: Vec<(usize, Block)> = blocks.into_iter().enumerate().collect();
        while !live.is_empty() {
            let (_, block) = live.remove(rng.below(live.len()));
            // SAFETY: of this stack.
            unsafe { block.free(&&stack) };
            let highest = live.iter().map(|(n, _)| *n).max();
            let expected = highest.map_or(0, |n| tops.get(n + 1).copied().unwrap_or(usize::MAX));
            assert!(stack.used() <= expected, "{} of {expected}", stack.used());
        }
        assert_eq!(stack.used(), 0);
    }
}
