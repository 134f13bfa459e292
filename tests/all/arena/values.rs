//! Values, slices and strings, also where making them uses the arena.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use blockyard::allocator_api2::{boxed::Box as ABox, vec::Vec as AVec};
use blockyard::{Arena, ArenaBox};

#[test]
fn closures_and_iterators_may_use_the_arena() {
    let arena = Arena::new();
    let deep = arena.alloc_with(|| {
        let inner = arena.alloc_slice_fill_with(3000, |n| &*arena.alloc(n));
        let more = arena.alloc_slice_fill_iter((0..100).map(|n| &*arena.alloc_str(&n.to_string())));
        (inner, more)
    });
    assert!(deep.0.iter().enumerate().all(|(n, at)| n == **at));
    assert!(deep.1.iter().enumerate().all(|(n, text)| n.to_string() == **text));
}

#[test]
fn a_clone_may_use_the_arena() {
    struct Chatty<'a>(&'a Arena, &'a u64);
    impl Clone for Chatty<'_> {
        fn clone(&self) -> Self {
            Self(self.0, self.0.alloc(*self.1 + 1))
        }
    }
    let arena = Arena::new();
    let source: Vec<_> = (0..500).map(|n| Chatty(&arena, arena.alloc(n))).collect();
    let cloned = arena.alloc_slice_clone(&source);
    assert!(cloned.iter().enumerate().all(|(n, chatty)| *chatty.1 == n as u64 + 1));
}

#[test]
fn an_iterator_that_lies_is_believed_no_more_than_safe() {
    struct Liar(usize, usize);
    impl Iterator for Liar {
        type Item = usize;
        fn next(&mut self) -> Option<usize> {
            self.1 = self.1.checked_sub(1)?;
            Some(self.1)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.0, Some(self.0))
        }
    }
    impl ExactSizeIterator for Liar {}
    let arena = Arena::new();
    assert_eq!(arena.alloc_slice_fill_iter(Liar(10, 3)), [2, 1, 0]);
    assert_eq!(arena.alloc_slice_fill_iter(Liar(2, 5)), [4, 3]);
    assert!(arena.try_alloc_slice_fill_iter(Liar(usize::MAX, 5)).is_err());
}

#[test]
fn a_panic_while_making_leaves_the_arena_whole() {
    let arena = Arena::new();
    let kept = arena.alloc(7);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        arena.alloc_slice_fill_with(10, |n| if n == 5 { panic!("half way") } else { n })
    }));
    assert!(caught.is_err());
    assert_eq!((*kept, *arena.alloc(8)), (7, 8));
}

#[test]
fn a_box_drops_once_and_alloc_never() {
    let (arena, count) = (Arena::new(), Rc::new(()));
    arena.alloc(count.clone());
    assert_eq!(Rc::strong_count(&count), 2, "never dropped");
    drop(arena.alloc_box(count.clone()));
    assert_eq!(Rc::strong_count(&count), 2);
    let inner = ArenaBox::into_inner(arena.alloc_box(count.clone()));
    assert_eq!(Rc::strong_count(&count), 3);
    drop(inner);
    ArenaBox::leak(arena.alloc_box(count.clone()));
    assert_eq!(Rc::strong_count(&count), 3, "leaked");
}

#[test]
fn zero_sized_values_take_nothing() {
    #[repr(align(64))]
    #[derive(Clone, Copy)]
    struct Nothing;
    let arena = Arena::new();
    assert!(std::ptr::from_ref(arena.alloc(Nothing)).is_aligned());
    assert_eq!(arena.alloc_slice_copy(&[(); 100]).len(), 100);
    assert_eq!(arena.alloc_slice_fill_with(1000, |_| ()).len(), 1000);
    assert_eq!(arena.alloc_slice_copy::<u64>(&[]), []);
    assert_eq!(arena.alloc_str(""), "");
    assert_eq!(arena.stats().reserved, 0);
    let mut units = AVec::new_in(&arena);
    units.extend([Nothing; 50]);
    assert_eq!(units.len(), 50);
}

#[test]
fn containers_nest_and_move_between_threads() {
    let mut arena = Arena::new();
    {
        let mut rows = AVec::new_in(&arena);
        for n in 0..50_usize {
            let mut row = AVec::new_in(&arena);
            row.extend(0..n);
            rows.push(ABox::new_in(row, &arena));
        }
        assert!(rows.iter().enumerate().all(|(n, row)| row.len() == n));
    }
    arena.reset();
    std::thread::scope(|scope| {
        let there = scope.spawn(move || {
            assert_eq!(arena.alloc_str("moved"), "moved");
            arena
        });
        drop(there.join().unwrap());
    });
}

#[test]
fn an_arena_can_be_a_childs_child() {
    let outer = Arena::new();
    let mut inner = Arena::new_in(&outer);
    for _ in 0..3 {
        let numbers = inner.alloc_slice_fill_with(10_000, |n| n);
        assert_eq!(numbers[9999], 9999);
        inner.reset();
    }
    drop(inner);
    assert_eq!(*outer.alloc(1), 1);
}

#[test]
fn copies_of_every_length_are_whole() {
    let arena = Arena::new();
    let source: Vec<u8> = (1..=100).collect();
    let texts: Vec<&mut [u8]> = (0..=100).map(|len| arena.alloc_slice_copy(&source[..len])).collect();
    assert!(texts.iter().enumerate().all(|(len, text)| **text == source[..len]));
    let words: Vec<u32> = (0..20).collect();
    let copies: Vec<&mut [u32]> = (0..=20).map(|len| arena.alloc_slice_copy(&words[..len])).collect();
    assert!(copies.iter().enumerate().all(|(len, copy)| **copy == words[..len]));
}
