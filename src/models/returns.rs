//! Posters against a draining owner.

use loom::sync::Arc;
use loom::thread;

use super::{fails, holds};
use crate::raw::free_list::Block;
use crate::raw::return_queue::{Chain, Received, ReturnQueue};
use crate::sync::Site;

/// A chain of one new block; the model's blocks live until it has received them.
fn chain(requested: u64) -> Chain {
    let block = Box::into_raw(Box::new(Block::unlinked()));
    Chain { chunk: std::ptr::dangling_mut(), head: block, tail: block, count: 1, requested }
}

/// A chain of two.
fn chain_of_two(requested: u64) -> Chain {
    let (first, second) = (chain(0), chain(0));
    // SAFETY: both blocks are new.
    unsafe { Block::set_next(first.head, second.head) };
    Chain { tail: second.tail, count: 2, requested, ..first }
}

/// Receives what there is; returns blocks and requested bytes. Reading the links is what loom checks.
fn receive(queue: &ReturnQueue) -> (u32, u64) {
    let (mut blocks, mut bytes) = (0, 0);
    while let Some(received) = queue.receive() {
        let (mut head, mut left, requested) = match received {
            Received::Chain(chain) => (chain.head, chain.count, chain.requested),
            Received::Mixed { head, requested } => (head, u32::MAX, requested),
        };
        bytes += requested;
        while left > 0 && !head.is_null() {
            // SAFETY: received, so it is ours.
            unsafe {
                let next = Block::next(head);
                drop(Box::from_raw(head));
                head = next;
            }
            blocks += 1;
            left -= 1;
        }
    }
    (blocks, bytes)
}

/// Two posters, a queue of one slot, so that the overflow path is taken, and an owner that makes the
/// queue in between.
fn posters_against_owner() {
    let queue = Arc::new(ReturnQueue::new());
    let posters: Vec<_> = (0..2)
        .map(|n| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                // SAFETY: the blocks are new and given up here.
                unsafe {
                    queue.post(if n == 0 { chain_of_two(10) } else { chain(1) });
                }
            })
        })
        .collect();
    let (mut blocks, mut bytes) = receive(&queue);
    queue.make_queue();
    for poster in posters {
        poster.join().unwrap();
    }
    let rest = receive(&queue);
    blocks += rest.0;
    bytes += rest.1;
    assert_eq!((blocks, bytes), (3, 11), "lost or doubled");
    assert!(queue.is_empty());
    // SAFETY: the posters are gone.
    unsafe { queue.destroy() };
}

/// One poster that fills the queue's one slot and overflows.
fn overflow_against_owner() {
    let queue = Arc::new(ReturnQueue::new());
    queue.make_queue();
    let poster = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            // SAFETY: the blocks are new and given up here.
            unsafe {
                queue.post(chain(1));
                queue.post(chain_of_two(10));
                queue.post(chain(100));
            }
        })
    };
    let first = receive(&queue);
    poster.join().unwrap();
    let rest = receive(&queue);
    assert_eq!((first.0 + rest.0, first.1 + rest.1), (4, 111));
    // SAFETY: the poster is gone.
    unsafe { queue.destroy() };
}

#[test]
fn nothing_is_lost_between_posters_and_owner() {
    holds("return queue: posters against the owner", posters_against_owner);
}

#[test]
fn nothing_is_lost_when_the_queue_is_full() {
    holds("return queue: overflow against the owner", overflow_against_owner);
}

#[test]
fn an_overflow_post_must_release() {
    fails(Site::OverflowPost, overflow_against_owner);
}

#[test]
fn making_the_queue_must_release() {
    fails(Site::QueueMade, posters_against_owner);
}
