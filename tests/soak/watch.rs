//! Who watches: statistics while everything runs, and the process's memory.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use blockyard::{BlockStats, Global, HeapStats, Stats, temp};

use super::{Soak, Totals};
use crate::support::{KIB, MIB};

/// Larger than any number that can be right: what is negative or torn is above.
const ABSURD: u64 = 1 << 44;
/// What a process needs beside the memory of heaps: its code, stacks, what the C library keeps.
const BESIDE: usize = 96 * MIB;
/// Address space beside that of heaps: code, stacks, an arena of the C library for each thread.
const SPACE_BESIDE: usize = 4096 * MIB;
/// By how much memory between eras may exceed what it was at most in the first tenth of the time.
const RESIDENT_MARGIN: usize = 24 * MIB;
const MAPPED_MARGIN: usize = 32 * MIB;
/// A process of this size has a sanitizer's shadow memory, and its own memory cannot be told from that.
const SHADOWED: usize = 1 << 40;
/// Thread records there may be: one for each thread that ever was alive at the same time.
const RECORDS: usize = 64;

/// The process's memory, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) space: usize,
    pub(crate) resident: usize,
    pub(crate) mapped: usize,
    pub(crate) in_chunks: usize,
}

impl Memory {
    pub(crate) fn now() -> Self {
        let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
        let mut pages = statm.split(' ').map(|pages| pages.parse::<usize>().expect("a number") * 4 * KIB);
        let (space, resident) = (pages.next().expect("first"), pages.next().expect("second"));
        let process = blockyard::stats().process;
        Self { space, resident, mapped: process.mapped, in_chunks: process.in_chunks }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident, mapped, in_chunks, .. } = self;
        let kib = |bytes: &usize| bytes / KIB;
        write!(f, "{} KiB resident, {} mapped, {} in chunks", kib(resident), kib(mapped), kib(in_chunks))
    }
}

/// The memory that is left between eras.
pub(crate) struct Footprint {
    warm: Duration,
    first: Option<Memory>,
}

impl Footprint {
    pub(crate) fn new(all: Duration) -> Self {
        Self { warm: all / 10, first: None }
    }

    /// Everything has been freed, and all threads but this one and the sampler have ended.
    pub(crate) fn check(&mut self, soak: &Soak) -> Memory {
        let _alone = soak.reading.lock().expect("no check has failed");
        temp::collect();
        Global.collect();
        let memory = Memory::now();
        let stats = blockyard::stats();
        assert_eq!(stats.heaps.len(), 1, "heaps that should be gone\n{stats}");
        assert!(stats.arenas.is_empty(), "{:?}", stats.arenas);
        assert!(stats.heaps[0].threads.len() <= RECORDS, "thread records pile up\n{stats}");
        match &mut self.first {
            _ if memory.space > SHADOWED => {}
            Some(first) if soak.started.elapsed() > self.warm => {
                assert!(
                    memory.resident <= first.resident + RESIDENT_MARGIN,
                    "{memory} after {first} at first\n{stats}"
                );
                assert!(
                    memory.mapped <= first.mapped + MAPPED_MARGIN,
                    "{memory} after {first} at first\n{stats}"
                );
            }
            first => {
                let before = first.unwrap_or_default();
                let Memory { resident, mapped, .. } = before;
                *first = Some(Memory {
                    resident: resident.max(memory.resident),
                    mapped: mapped.max(memory.mapped),
                    ..memory
                });
            }
        }
        memory
    }
}

/// What can be said while threads are quiet, and hold blocks of `bytes` bytes which they have written to.
pub(crate) fn check_quiet(memory: &Memory, bytes: usize) {
    if memory.space > SHADOWED {
        return;
    }
    assert!(memory.mapped <= memory.space, "more mapped than there is: {memory:?}");
    assert!(memory.space <= memory.mapped + SPACE_BESIDE, "{memory:?}");
    assert!(memory.in_chunks <= memory.mapped, "{memory:?}");
    assert!(memory.resident <= memory.mapped + BESIDE, "{memory:?}");
    assert!(bytes <= memory.resident, "{bytes} bytes were written to: {memory:?}");
}

fn sane(blocks: &BlockStats) -> bool {
    let BlockStats { allocated, freed, returned, received, queued } = *blocks;
    [allocated, freed, returned, received, queued].iter().all(|&n| n < ABSURD)
}

fn check_heap(heap: &HeapStats) {
    let bytes = heap.bytes;
    assert!(sane(&heap.blocks), "{heap}");
    assert!(bytes.requested < ABSURD && bytes.in_blocks < ABSURD, "{heap}");
    assert!(bytes.in_chunks <= bytes.in_chunks_peak && bytes.mapped <= bytes.mapped_peak, "{heap}");
    assert!((bytes.mapped_peak as u64) < ABSURD, "{heap}");
    // What was allocated is read last, so that nothing is seen to be freed which was not seen before.
    assert!(heap.blocks.freed <= heap.blocks.allocated, "{heap}");
    let by_thread: BlockStats = heap.threads.iter().map(|thread| thread.blocks).sum();
    let by_class: BlockStats = heap.classes.iter().map(|class| class.blocks).sum();
    assert!(by_thread == heap.blocks && by_class == heap.blocks, "torn\n{heap}");
    for thread in &heap.threads {
        assert!(sane(&thread.blocks) && thread.requested.unsigned_abs() < ABSURD, "{heap}");
    }
}

/// Reads statistics until the soak is over.
pub(crate) fn sample(soak: &Soak) {
    let mut before = HashMap::<u64, BlockStats>::new();
    while !soak.over.load(Ordering::Relaxed) {
        {
            let _reading = soak.reading.lock().expect("no check has failed");
            let stats: Stats = blockyard::stats();
            assert_eq!(stats.heaps[0].id, 1);
            assert!(stats.process.in_chunks <= stats.process.in_chunks_peak, "{stats}");
            assert!(stats.process.mapped <= stats.process.mapped_peak, "{stats}");
            stats.heaps.iter().for_each(check_heap);
            let Memory { resident, space, .. } = Memory::now();
            assert!(
                space > SHADOWED || resident <= blockyard::stats().process.mapped_peak + BESIDE,
                "{resident} resident\n{stats}"
            );
            // Counts only rise, as long as a heap lives.
            for heap in &stats.heaps {
                if let Some(before) = before.get(&heap.id) {
                    let (now, then) = (heap.blocks.allocated, before.allocated);
                    assert!(now >= then, "{then} blocks had been allocated before\n{heap}");
                }
            }
            before = stats.heaps.into_iter().map(|heap| (heap.id, heap.blocks)).collect();
        }
        Totals::add(&soak.totals.samples, 1);
        std::thread::sleep(Duration::from_millis(5));
    }
}
