//! `mstress-*`: waves of threads whose objects outlive them, with every word verified.
//!
//! Modelled on mimalloc's stress test. A wave is a set of fresh threads. Each makes objects of one to some
//! dozens of words, one in a hundred 100 to 10,000 times larger; keeps some until it ends; frees most of
//! the others as it goes; and swaps one in four through an array that all waves share, so that objects
//! end in threads that did not make them, also after their maker has gone. Between waves half of the
//! shared array is freed by the main thread. Every word of an object is written when it is made and checked
//! when it is freed.

use std::alloc::{Layout, handle_alloc_error};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Needs, Pace, Rng, Sample, Spec, Workload, generation, opaque, watch};
use crate::bench::contender::{Contender, Need, ThreadAlloc};

/// Objects that a thread of a wave makes.
const OBJECTS: usize = 10_000;
/// Places in the shared array.
const SHARED: usize = 1_000;

const COOKIE: u64 = 0xbf58_476d_1ce4_e5b9;

pub(crate) struct Mstress {
    threads: usize,
}

impl Mstress {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads }
    }
}

impl Workload for Mstress {
    fn spec(&self) -> Spec {
        Spec {
            name: if self.threads == 1 { "mstress-1" } else { "mstress-n" },
            group: "mstress",
            about: "waves of threads swap objects of 8 bytes to 640 KB through a shared array",
            op: "one object made, verified and freed",
            stresses: "migration, abandonment, size spread; contents verified",
            threads: self.threads,
            needs: Needs::OwnThread,
            pace: Pace::Steady,
        }
    }

    /// One repetition is one wave, its threads' birth and end included.
    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let shared: Shared = (0..SHARED).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        let local = contender.local(Need::ANY);
        let elapsed = watch(self.threads, || {
            for wave in 0..reps {
                generation(contender, self.threads, |member| {
                    let seed = wave % 64 * 1_000 + member as u64;
                    Member::new(contender.local(Need::ANY), &shared, seed).run();
                });
                for place in shared.iter().skip(wave as usize % 2).step_by(2) {
                    Object::swap(place, Object::NONE).free(&local);
                }
            }
        });
        for place in &shared {
            Object::swap(place, Object::NONE).free(&local);
        }
        Sample::new(elapsed, reps * (self.threads * OBJECTS) as u64)
    }
}

type Shared = Box<[AtomicPtr<u64>]>;

/// One thread of a wave.
struct Member<'a, L: ThreadAlloc> {
    local: L,
    shared: &'a Shared,
    rng: Rng,
    passing: Vec<Object>,
    kept: Vec<Object>,
}

impl<'a, L: ThreadAlloc> Member<'a, L> {
    fn new(local: L, shared: &'a Shared, seed: u64) -> Self {
        Self {
            local,
            shared,
            rng: Rng::with_seed(seed),
            passing: Vec::with_capacity(OBJECTS),
            kept: Vec::with_capacity(OBJECTS),
        }
    }

    fn run(mut self) {
        for _ in 0..OBJECTS {
            if self.rng.u8(..) < 171 {
                let object = self.make(5);
                self.passing.push(object);
            } else {
                let object = self.make(7);
                self.kept.push(object);
            }
            if self.rng.u8(..) < 171 && !self.passing.is_empty() {
                let index = self.rng.usize(..self.passing.len());
                self.passing.swap_remove(index).free(&self.local);
            }
            if self.rng.u8(..) < 64 && !self.passing.is_empty() {
                let index = self.rng.usize(..self.passing.len());
                let place = &self.shared[self.rng.usize(..SHARED)];
                let mine = self.passing.swap_remove(index);
                self.passing.push(Object::swap(place, mine));
            }
        }
        for object in self.passing.into_iter().chain(self.kept) {
            object.free(&self.local);
        }
    }

    /// An object of `2^k` words for some `k` below `shifts`; one in a hundred is far larger.
    fn make(&mut self, shifts: u32) -> Object {
        let mut words = 1_usize << self.rng.u32(..shifts);
        if self.rng.u8(..100) == 0 {
            words *= match self.rng.u8(..100) {
                0 => 10_000,
                1..=10 => 1_000,
                _ => 100,
            };
        }
        Object::new(&self.local, words)
    }
}

/// A block of words that knows its length and what it should contain; or nothing.
struct Object(*mut u64);

// SAFETY: the block is the object's own, and may be used and freed on any thread (`ThreadAlloc`; the row
// is not for `Reach::OneSize`).
unsafe impl Send for Object {}

impl Object {
    const NONE: Self = Self(ptr::null_mut());

    fn layout(words: usize) -> Layout {
        Layout::array::<u64>(words).expect("an object of the suite")
    }

    /// What word `index` of an object of `words` words contains. The first gives the length away.
    fn word(words: usize, index: usize) -> u64 {
        (words - index) as u64 ^ COOKIE
    }

    fn new(local: &impl ThreadAlloc, words: usize) -> Self {
        let layout = Self::layout(words);
        // SAFETY: the size is above zero.
        let block: *mut u64 = opaque(unsafe { local.alloc(layout) }).cast();
        if block.is_null() {
            handle_alloc_error(layout);
        }
        for index in 0..words {
            // SAFETY: within the block.
            unsafe { block.add(index).write(Self::word(words, index)) };
        }
        Self(block)
    }

    fn free(self, local: &impl ThreadAlloc) {
        if self.0.is_null() {
            return;
        }
        // SAFETY: `new` wrote every word; should the allocator have handed memory out twice, the length may
        // be wrong, so it is checked against what an object can have.
        let words = (unsafe { *self.0 } ^ COOKIE) as usize;
        assert!((1..=640_000).contains(&words), "an object was overwritten");
        // SAFETY: as above: `words` words, all written.
        let contents = unsafe { slice::from_raw_parts(self.0, words) };
        let wrong = contents
            .iter()
            .enumerate()
            .fold(0, |wrong, (index, word)| wrong | (word ^ Self::word(words, index)));
        assert_eq!(wrong, 0, "an object was overwritten");
        // SAFETY: a live block with this layout, forgotten here.
        unsafe { local.dealloc(self.0.cast(), Self::layout(words)) };
    }

    /// Puts `self` into a shared place and takes out what was there.
    fn swap(place: &AtomicPtr<u64>, object: Self) -> Self {
        // ORDER: AcqRel pairs with itself on the other threads: the words written before an object goes in
        // are seen by whoever takes it out.
        Self(place.swap(object.0, Ordering::AcqRel))
    }
}
