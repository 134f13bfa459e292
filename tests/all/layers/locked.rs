//! `Locked`: one thread's allocators on several.

use std::mem::MaybeUninit;

use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Fallback, Locked, Tracking};
use blockyard::{Arena, FixedBuffer, Global};

use crate::support::team;

#[test]
fn threads_share_what_is_one_threads() {
    let arena = Locked::new(Arena::new());
    let (sender, receiver) = std::sync::mpsc::channel();
    team(|scope| {
        for thread in 0..4_u64 {
            let (arena, sender) = (&arena, sender.clone());
            scope.spawn(move || {
                for n in 0..500 {
                    let mut numbers = HeapVec::new_in(arena);
                    numbers.extend((0..n % 40).map(|i| i ^ thread));
                    sender.send((thread, numbers)).expect("the receiver is there");
                }
            });
        }
        drop(sender);
        for (thread, numbers) in receiver {
            assert!(numbers.iter().enumerate().all(|(i, &number)| number == i as u64 ^ thread));
        }
    });
    let mut arena = arena;
    arena.get_mut().reset();
    assert_eq!(arena.into_inner().stats().used, 0);
}

#[test]
fn a_locked_buffer_is_a_first_child() {
    let mut bytes = [MaybeUninit::uninit(); 1000];
    let memory = Fallback::new(Locked::new(FixedBuffer::new(&mut bytes)), Tracking::new(Global));
    team(|scope| {
        for _ in 0..4 {
            scope.spawn(|| drop(HeapBox::new_in([7_u8; 300], &memory)));
        }
    });
    assert_eq!(memory.secondary().snapshot().total.bytes, 0);
}
