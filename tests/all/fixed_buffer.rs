//! Buffers on the stack and between threads. Their models are with the arenas' ones.

use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::thread;

use blockyard::allocator_api2::vec::Vec as AVec;
use blockyard::{FixedBuffer, SharedFixedBuffer};

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
