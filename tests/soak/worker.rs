//! One worker: what it does at each step.

use std::alloc::Layout;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::{ArenaPool, BlockPool, Global, Heap, LocalHeap, PoolBox, temp};

use super::era::{Era, Mail, Value, WORKERS};
use super::{PLACE, Totals};
use crate::model::targets;
use crate::support::block::Block;
use crate::support::{KIB, MIB, Rng, layout};

/// Threads born and heaps made per second, at least: a million in an hour are 278.
const RATE: f64 = 320.0;
/// Bytes and blocks a worker holds at most.
const MOST_BYTES: usize = 12 * MIB;
const MOST_BLOCKS: usize = 600;

/// Where a block is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Global,
    Open,
    Limited,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Global, Self::Open, Self::Limited];
}

/// A live block.
pub(crate) struct Held {
    pub(crate) kind: Kind,
    pub(crate) block: Block,
}

impl Held {
    pub(crate) fn free(self, era: &Era<'_>) {
        // SAFETY: the kind says where the block is from.
        unsafe {
            match self.kind {
                Kind::Global => self.block.free(&Global),
                Kind::Open => self.block.free(&&era.open),
                Kind::Limited => self.block.free(&&era.limited),
            }
        }
    }
}

pub(crate) struct Worker<'mail, 'era> {
    era: &'era Era<'era>,
    mail: &'mail [Mutex<Mail<'era>>; WORKERS],
    number: usize,
    rng: Rng,
    step: u64,
    local: LocalHeap<'era>,
    held: Vec<Held>,
    bytes: usize,
    values: Vec<PoolBox<'era, Value>>,
}

/// A size of any kind: none, small, at the borders of classes, runs of chunks, mappings.
fn any_size(rng: &mut Rng) -> usize {
    match rng.below(400) {
        0..8 => 0,
        8..200 => 1 + rng.below(256),
        200..300 => {
            let border = (8 + rng.below(8)) << rng.below(13);
            border + rng.below(3) - 1
        }
        300..370 => 1 + rng.below(16 * KIB),
        370..394 => 1 + rng.below(70 * KIB),
        394..399 => 60 * KIB + rng.below(MIB),
        _ => MIB + rng.below(3 * MIB),
    }
}

fn any_layout(rng: &mut Rng) -> Layout {
    let shift = match rng.below(500) {
        0 => 17 + rng.below(6),
        1..5 => 13 + rng.below(4),
        5..50 => 7 + rng.below(6),
        _ => rng.below(7),
    };
    layout(any_size(rng), 1 << shift)
}

/// Bytes that say themselves whether they are right.
fn routed(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![seed as u8; len];
    bytes.push(seed as u8);
    bytes
}

pub(crate) fn verify_routed(bytes: &[u8]) {
    assert!(bytes.iter().all(|&byte| byte == bytes[0]), "what was routed has changed");
}

impl<'mail, 'era> Worker<'mail, 'era> {
    pub(crate) fn new(
        era: &'era Era<'era>,
        mail: &'mail [Mutex<Mail<'era>>; WORKERS],
        number: usize,
        seed: u64,
    ) -> Self {
        let (rng, local) = (Rng::new(seed), era.open.local());
        Self { era, mail, number, rng, step: 0, local, held: Vec::new(), bytes: 0, values: Vec::new() }
    }

    pub(crate) fn run(mut self) {
        while !self.era.over.load(Ordering::Relaxed) {
            for _ in 0..32 {
                self.step += 1;
                PLACE.set((self.number, self.step));
                self.step();
            }
            Totals::add(&self.era.soak.totals.steps, 32);
            if self.era.pause.load(Ordering::Relaxed) {
                self.be_quiet();
            }
        }
        while let Some(held) = self.held.pop() {
            self.free(held);
        }
    }

    /// Tells what there is, and waits until that has been compared.
    fn be_quiet(&mut self) {
        for heap in [&self.era.open, &self.era.limited] {
            heap.flush();
        }
        Global.flush();
        let era = self.era;
        self.held.iter().for_each(|held| era.count(held));
        era.values.fetch_add(self.values.len(), Ordering::Relaxed);
        era.barrier.wait();
        era.barrier.wait();
    }

    fn step(&mut self) {
        let totals = &self.era.soak.totals;
        if self.era.soak.is_due(&totals.births, RATE) {
            self.give_birth();
        }
        if self.era.soak.is_due(&totals.heaps, RATE) {
            self.make_heaps();
        }
        match self.rng.below(1000) {
            0..830 => self.table(),
            830..930 => self.post(),
            930..980 => self.values(),
            980..987 => self.route(),
            987..992 => self.temporary(),
            992..994 => self.block_pool(),
            994 => self.arenas(),
            995 => self.target(),
            996 => self.era.open.flush(),
            997 if self.rng.below(8) == 0 => _ = self.era.open.collect(),
            998 if self.rng.below(8) == 0 => _ = self.era.limited.collect(),
            999 if self.rng.below(8) == 0 => _ = Global.collect(),
            _ => {}
        }
    }

    fn hold(&mut self, held: Held) {
        self.bytes += held.block.layout().size();
        self.held.push(held);
    }

    fn free(&mut self, held: Held) {
        if held.kind == Kind::Open && self.rng.below(2) == 0 {
            // SAFETY: the block is of this heap.
            unsafe { held.block.free(&self.local) };
        } else {
            held.free(self.era);
        }
    }

    fn pick(&mut self) -> Option<Held> {
        let at = (self.rng.next() as usize).checked_rem(self.held.len())?;
        let held = self.held.swap_remove(at);
        self.bytes -= held.block.layout().size();
        Some(held)
    }

    /// Allocates, resizes or frees a block.
    fn table(&mut self) {
        let full = self.bytes > MOST_BYTES || self.held.len() > MOST_BLOCKS;
        let (call, way, zeroed, seed) =
            (self.rng.below(10), self.rng.below(10), self.rng.below(4) == 0, self.rng.next());
        let layout = any_layout(&mut self.rng);
        if call < 5 && !full {
            let (kind, block) = match way {
                0..3 => (Kind::Global, Block::new(&Global, layout, zeroed, seed)),
                3..6 => (Kind::Open, Block::new(&&self.era.open, layout, zeroed, seed)),
                6..9 => (Kind::Open, Block::new(&self.local, layout, zeroed, seed)),
                _ => (Kind::Limited, Block::new(&&self.era.limited, layout, zeroed, seed)),
            };
            assert!(block.is_some() || kind == Kind::Limited, "{layout:?} was refused");
            if let Some(block) = block {
                self.hold(Held { kind, block });
            }
            return;
        }
        let Some(mut held) = self.pick() else { return };
        if call < 7 && !full {
            // SAFETY: the kind says where the block is from.
            let resized = unsafe {
                match held.kind {
                    Kind::Global => held.block.resize(&Global, layout, zeroed),
                    Kind::Open if way < 5 => held.block.resize(&&self.era.open, layout, zeroed),
                    Kind::Open => held.block.resize(&self.local, layout, zeroed),
                    Kind::Limited => held.block.resize(&&self.era.limited, layout, zeroed),
                }
            };
            assert!(resized || held.kind == Kind::Limited, "{layout:?} was refused");
            self.hold(held);
        } else {
            self.free(held);
        }
    }

    /// Sends blocks to somebody, and takes some that were sent here.
    fn post(&mut self) {
        let to = self.rng.below(WORKERS);
        let sent: Vec<Held> = (0..self.rng.below(6)).filter_map(|_| self.pick()).collect();
        self.mail[to].lock().expect("no check has failed").blocks.extend(sent);
        let mut mine = self.mail[self.number].lock().expect("no check has failed");
        let (blocks, values, routed) = (
            std::mem::take(&mut mine.blocks),
            std::mem::take(&mut mine.values),
            std::mem::take(&mut mine.routed),
        );
        drop(mine);
        for held in blocks {
            held.block.verify();
            if self.held.len() < MOST_BLOCKS && self.rng.below(2) == 0 {
                self.hold(held);
            } else {
                self.free(held);
            }
        }
        drop(values);
        routed.iter().for_each(|bytes| verify_routed(bytes));
    }

    /// Values of a pool, which check themselves when they are dropped.
    fn values(&mut self) {
        let value = Value::new(self.rng.next());
        let value = if self.rng.below(2) == 0 {
            self.era.pool.alloc(value)
        } else {
            self.era.pool.local().alloc(value)
        };
        self.values.push(value);
        if self.values.len() > 300 {
            let half = self.values.split_off(150);
            let to = self.rng.below(WORKERS);
            self.mail[to].lock().expect("no check has failed").values.extend(half);
        } else if self.rng.below(3) == 0 {
            let at = self.rng.below(self.values.len());
            self.values.swap_remove(at);
        }
    }

    /// What any code allocates goes to a heap whose handle goes first.
    fn route(&mut self) {
        let (seed, len) = (self.rng.next(), self.rng.below(6000));
        let heap = Heap::new();
        Totals::add(&self.era.soak.totals.heaps, 1);
        let (kept, gone) = heap.route(|| (routed(seed, len), routed(seed, 100))).expect("installed");
        verify_routed(&gone);
        if self.rng.below(2) == 0 {
            drop(gone);
            drop(heap);
        } else {
            drop(heap);
            drop(gone);
        }
        let to = self.rng.below(WORKERS);
        self.mail[to].lock().expect("no check has failed").routed.push(kept);
    }

    fn temporary(&mut self) {
        let (seed, size) = (self.rng.next(), self.rng.below(20_000));
        temp::scope(|outer| {
            let kept = Block::new(&outer, layout(size, 8), false, seed).expect("memory");
            temp::scope(|inner| {
                let block = Block::new(&inner, layout(size / 2, 64), true, !seed).expect("memory");
                block.verify();
            });
            kept.verify();
        });
    }

    fn block_pool(&mut self) {
        let one = layout(1 + self.rng.below(3000), 1 << self.rng.below(7));
        let pool = BlockPool::new(one);
        Totals::add(&self.era.soak.totals.heaps, 1);
        let bytes = vec![self.rng.next() as u8; one.size()];
        let blocks: Vec<_> = (0..10).map(|_| pool.duplicate(&bytes).expect("memory")).collect();
        for (n, block) in blocks.iter().enumerate() {
            // SAFETY: the block is live and as long as the pool's layout says.
            let same =
                unsafe { std::ptr::NonNull::slice_from_raw_parts(*block, one.size()).as_ref() == bytes };
            assert!(same, "a block of a pool has changed");
            if n % 2 == 0 {
                // SAFETY: the pool's, and given up.
                unsafe { pool.free(*block) };
            }
        }
        assert_eq!(pool.live(), 5);
    }

    /// An arena for each of two threads.
    fn arenas(&mut self) {
        let mut arenas = ArenaPool::new();
        for round in 0..2 {
            let arenas = &arenas;
            thread::scope(|scope| {
                for seed in [self.rng.next(), self.rng.next()] {
                    scope.spawn(move || {
                        let mut rng = Rng::new(seed);
                        let arena = arenas.local();
                        let block =
                            |rng: &mut Rng| Block::new(&arena, layout(rng.below(5000), 16), round == 0, seed);
                        let blocks: Vec<_> = (0..20).map(|_| block(&mut rng).expect("memory")).collect();
                        blocks.iter().for_each(Block::verify);
                    });
                }
            });
        }
        Totals::add(&self.era.soak.totals.births, 4);
        arenas.reset();
    }

    /// Random bytes for one of the fuzzer's targets.
    fn target(&mut self) {
        let (_, target) = targets::ALL[self.rng.below(targets::ALL.len())];
        let bytes: Vec<u8> = (0..self.rng.below(120)).map(|_| self.rng.next() as u8).collect();
        target(&bytes);
        Totals::add(&self.era.soak.totals.inputs, 1);
    }

    /// Threads that free what is here, leave something behind, and end.
    fn give_birth(&mut self) {
        let n = 1 + self.rng.below(4);
        Totals::add(&self.era.soak.totals.births, n as u64);
        let (era, mail) = (self.era, &self.mail[self.number]);
        let (seed, place) = (self.rng.next(), PLACE.get());
        let mut work = Vec::new();
        for _ in 0..n {
            work.push((0..self.rng.below(4)).filter_map(|_| self.pick()).collect::<Vec<_>>());
        }
        // Joined by name, so that the ends of their locals are waited for.
        thread::scope(|scope| {
            let threads: Vec<_> = (work.into_iter().zip(seed..))
                .map(|(work, seed)| {
                    scope.spawn(move || {
                        PLACE.set(place);
                        let mut rng = Rng::new(seed);
                        work.into_iter().for_each(|held| held.free(era));
                        let size = any_size(&mut rng).min(100 * KIB);
                        let (kind, block) = match rng.below(3) {
                            0 => (Kind::Global, Block::new(&Global, layout(size, 8), true, seed)),
                            1 => (Kind::Open, Block::new(&&era.open, layout(size, 8), true, seed)),
                            _ => (Kind::Open, Block::new(&era.open.local(), layout(size, 8), true, seed)),
                        };
                        let block = block.expect("memory");
                        mail.lock().expect("no check has failed").blocks.push(Held { kind, block });
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("checks hold"));
        });
    }

    /// Heaps that are dropped with blocks in them.
    fn make_heaps(&mut self) {
        let n = 1 + self.rng.below(4);
        Totals::add(&self.era.soak.totals.heaps, n as u64);
        let heaps: Vec<Heap> = (0..n).map(|_| Heap::new()).collect();
        for heap in &heaps {
            let mut vector = HeapVec::new_in(heap);
            for _ in 0..self.rng.below(8) {
                vector.push(self.rng.next());
            }
            let seed = self.rng.next();
            let layout = any_layout(&mut self.rng);
            if layout.align() <= 64 * KIB && layout.size() < MIB {
                let block = Block::new(&heap, layout, false, seed).expect("memory");
                block.verify();
            }
            if self.rng.below(16) == 0 {
                // A thread that leaves blocks in a heap which is gone before the thread's locals may be.
                Totals::add(&self.era.soak.totals.births, 1);
                thread::scope(|scope| _ = scope.spawn(|| leave(heap, seed)));
            }
        }
    }
}

fn leave(allocator: impl Allocator, seed: u64) {
    for size in [1, 100, 5000] {
        Block::new(&allocator, layout(size, 8), false, seed).expect("memory").verify();
    }
}
