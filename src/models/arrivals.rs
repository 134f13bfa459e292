//! Threads that free blocks of a hardened chunk against its owner.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::fails;
use crate::raw::arrivals::{ArrivalList, Arrivals};
use crate::sync::Site;

/// Two chunks of one owner.
struct World {
    chunks: [Chunk; 2],
    list: ArrivalList,
    /// Marks of a word: with one, blocks have their bits in words of their own.
    bits: usize,
}

struct Chunk {
    arrivals: Arrivals,
    given: [AtomicUsize; 2],
    /// What is in the chunk's blocks: written by who holds the block.
    blocks: [UnsafeCell<u32>; 2],
}

// SAFETY: loom checks the blocks' cells; the list leads to the chunks of the same world.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl Chunk {
    fn new() -> Self {
        Self {
            arrivals: Arrivals::new(),
            given: [(); 2].map(|()| AtomicUsize::new(0)),
            blocks: [(); 2].map(|()| UnsafeCell::new(0)),
        }
    }
}

impl World {
    fn new(bits: usize) -> Arc<Self> {
        Arc::new(Self { chunks: [Chunk::new(), Chunk::new()], list: ArrivalList::new(), bits })
    }

    /// Fills a block and frees it. False when it was freed before.
    fn free(&self, chunk: usize, block: usize) -> bool {
        // SAFETY: the caller holds the block.
        self.chunks[chunk].blocks[block].with_mut(|block| unsafe { *block = 7 });
        self.give(chunk, block)
    }

    fn give(&self, chunk: usize, block: usize) -> bool {
        let chunk = &self.chunks[chunk];
        let (word, bit) = (&chunk.given[block / self.bits], 1 << (block % self.bits));
        // SAFETY: the caller gives the block up, or finds out that it did not hold it.
        unsafe { Arrivals::give(&raw const chunk.arrivals, word, bit, 10, &self.list) }
    }

    /// The owner's visit: takes what it finds; returns the bits it took and the blocks that were counted.
    fn visit(&self) -> (u32, u64, u64) {
        let (mut taken, mut counted, mut bytes) = (0, 0, 0);
        let mut next = self.list.take();
        while !next.is_null() {
            let chunk = self.chunks.iter().find(|chunk| std::ptr::eq(&raw const chunk.arrivals, next));
            let chunk = chunk.expect("a chunk of this world");
            next = chunk.arrivals.next();
            let (count, more) = chunk.arrivals.take_count();
            let words = [0, 1].map(|word| Arrivals::take_bits(&chunk.given[word]));
            let is_back = |n: &usize| words[n / self.bits] >> (n % self.bits) & 1 == 1;
            for (number, block) in chunk.blocks.iter().enumerate().filter(|(n, _)| is_back(n)) {
                // SAFETY: the block is the owner's now; loom reports if its contents are not.
                let found = block.with_mut(|block| unsafe { *block });
                assert_eq!(found, 7, "block {number} came without what was written to it");
            }
            taken += words.map(usize::count_ones).iter().sum::<u32>();
            (counted, bytes) = (counted + count, bytes + more);
        }
        (taken, counted, bytes)
    }
}

/// Two threads free two blocks of one chunk, one of them another chunk's too; the owner comes in between.
fn givers_against_owner() {
    let world = World::new(2);
    let givers: Vec<_> = (0..2)
        .map(|n| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                assert!(world.free(0, n));
                if n == 0 {
                    assert!(world.free(1, 0));
                }
            })
        })
        .collect();
    let first = world.visit();
    givers.into_iter().for_each(|giver| giver.join().unwrap());
    let rest = world.visit();
    let (taken, counted, bytes) = (first.0 + rest.0, first.1 + rest.1, first.2 + rest.2);
    assert_eq!((taken, counted, bytes), (3, 3, 30), "lost or doubled");
    assert!(world.list.is_empty());
}

/// Two blocks of one chunk, where what was counted must have its bit: the owner's books would not add up. Each has a
/// word of its own: an exchange of a word takes the newest value whatever the orderings, so what the owner may
/// miss is a word in which it sees nothing at all.
fn bits_come_before_counts() {
    let world = World::new(1);
    let givers: Vec<_> = (0..2)
        .map(|n| {
            let world = Arc::clone(&world);
            thread::spawn(move || assert!(world.free(0, n)))
        })
        .collect();
    let (taken, counted, _) = world.visit();
    assert!(u64::from(taken) >= counted, "counted before it was there");
    givers.into_iter().for_each(|giver| giver.join().unwrap());
    let (more, rest, _) = world.visit();
    assert_eq!((taken + more, counted + rest), (2, 2));
}

#[test]
fn nothing_that_others_free_is_lost() {
    loom::model(givers_against_owner);
}

#[test]
fn what_is_counted_is_there() {
    loom::model(bits_come_before_counts);
}

/// Two threads free the same block, which only one may: the other one finds out.
#[test]
fn of_two_frees_one_is_found_out() {
    loom::model(|| {
        let world = World::new(2);
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.give(0, 0))
        };
        let (here, there) = (world.give(0, 0), other.join().unwrap());
        assert!(here != there);
    });
}

#[test]
fn giving_a_block_must_release() {
    fails(Site::BlockGiven, givers_against_owner);
}

#[test]
fn counting_a_block_must_release() {
    fails(Site::Arrival, bits_come_before_counts);
}

#[test]
fn telling_the_owner_must_release() {
    fails(Site::ChunkTold, givers_against_owner);
}
