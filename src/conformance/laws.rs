//! The laws that need no sequence of calls.

use core::alloc::Layout;
use core::hint::black_box;

use super::block::{Block, Fill};
use super::random::Random;
use super::{Conformance, broken};
use crate::allocator_api2::alloc::Allocator;

impl Conformance {
    pub(super) fn aligns(&self) -> impl Iterator<Item = usize> + use<> {
        let most = self.largest_align;
        (0..usize::BITS).map(|bits| 1_usize << bits).take_while(move |&align| align <= most)
    }

    /// Sizes where allocators change their ways, none above the largest.
    fn sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let most = self.largest;
        let small = 1..34;
        let around = (6..=20).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1, 3 << (bits - 1)]);
        small.chain(around).filter(move |&size| size <= most)
    }

    /// Fewer of them, for pairs.
    fn some_sizes(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let most = self.largest;
        [1, 17, 256, 1000, 5000, 66_000, 1 << 20].into_iter().filter(move |&size| size <= most)
    }

    fn some_aligns(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let most = self.largest_align;
        [1, 16, 4096].into_iter().filter(move |&align| align <= most)
    }
}

#[track_caller]
fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("no layout has {size} bytes aligned to {align}"),
    }
}

#[track_caller]
pub(super) fn empty(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "empty";
    for align in suite.aligns() {
        let none = layout(0, align);
        for fill in [Fill::Any, Fill::Zeroed] {
            let made = Block::new(LAW, allocator, none, fill, 0);
            let Some(mut block) = suite.allow(LAW, made, format_args!("{none:?}")) else { continue };
            for other in suite.some_aligns() {
                // SAFETY: the allocator's block.
                let stayed = unsafe {
                    block.resize(LAW, allocator, layout(0, other), true, fill)
                        && block.resize(LAW, allocator, none, false, fill)
                };
                if !stayed && !suite.may_refuse {
                    broken(
                        LAW,
                        format_args!("refused to take a block of no bytes from alignment {align} to {other}"),
                    );
                }
            }
            for size in suite.some_sizes() {
                let some = layout(size, align);
                // SAFETY: the allocator's block.
                unsafe {
                    if block.resize(LAW, allocator, some, true, fill) {
                        if !block.resize(LAW, allocator, none, false, fill) && !suite.may_refuse {
                            broken(LAW, format_args!("refused to shrink {some:?} to nothing"));
                        }
                    } else if !suite.may_refuse {
                        broken(LAW, format_args!("refused to grow {none:?} to {some:?}"));
                    }
                }
            }
            // SAFETY: the allocator's block.
            unsafe { block.free(LAW, allocator) };
        }
    }
}

#[track_caller]
pub(super) fn sizes(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "sizes";
    for align in suite.aligns() {
        for size in suite.sizes() {
            let asked = layout(size, align);
            let made = Block::new(LAW, allocator, asked, Fill::Any, size as u64);
            if let Some(block) = suite.allow(LAW, made, format_args!("{asked:?}")) {
                // SAFETY: the allocator's block.
                unsafe { block.free(LAW, allocator) };
            }
        }
    }
}

#[track_caller]
pub(super) fn zeroes(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "zeroes";
    for align in suite.some_aligns() {
        for size in suite.sizes() {
            let asked = layout(size, align);
            for fill in [Fill::Any, Fill::Zeroed] {
                let made = Block::new(LAW, allocator, asked, fill, !0);
                if let Some(mut block) = suite.allow(LAW, made, format_args!("{asked:?}")) {
                    let larger = layout((size * 2 + 40).min(suite.largest.max(size)), align);
                    // SAFETY: the allocator's block.
                    unsafe {
                        let grown = block.resize(LAW, allocator, larger, true, Fill::Zeroed);
                        if !grown && !suite.may_refuse {
                            broken(LAW, format_args!("refused to grow {asked:?} to {larger:?}"));
                        }
                        block.free(LAW, allocator);
                    }
                }
            }
        }
    }
}

#[track_caller]
pub(super) fn resizing(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "resizing";
    for (from, to) in pairs(suite.some_sizes()) {
        for (from_align, to_align) in pairs(suite.some_aligns()) {
            let (old, new) = (layout(from, from_align), layout(to, to_align));
            for growing in [true, false] {
                let fits = if growing { to >= from } else { to <= from };
                if !fits {
                    continue;
                }
                let seed = (from * 31 + to) as u64;
                let made = Block::new(LAW, allocator, old, Fill::Any, seed);
                let Some(mut block) = suite.allow(LAW, made, format_args!("{old:?}")) else { continue };
                // What comes behind the block stops it from growing in place.
                let behind = Block::new(LAW, allocator, layout(16.min(suite.largest), 1), Fill::Any, !seed);
                // SAFETY: the allocator's blocks.
                unsafe {
                    if !block.resize(LAW, allocator, new, growing, Fill::Any) && !suite.may_refuse {
                        broken(LAW, format_args!("refused to resize {old:?} to {new:?}"));
                    }
                    if let Some(behind) = behind {
                        behind.free(LAW, allocator);
                    }
                    block.free(LAW, allocator);
                }
            }
        }
    }
}

fn pairs<T: Copy>(of: impl Iterator<Item = T> + Clone) -> impl Iterator<Item = (T, T)> {
    of.clone().flat_map(move |one| of.clone().map(move |other| (one, other)))
}

#[track_caller]
pub(super) fn lengths(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "lengths";
    for align in suite.some_aligns() {
        for size in suite.sizes() {
            let asked = layout(size, align);
            for resized in [false, true] {
                let made = Block::new(LAW, allocator, asked, Fill::Any, size as u64);
                let Some(mut block) = suite.allow(LAW, made, format_args!("{asked:?}")) else { continue };
                block.take_all();
                // SAFETY: the allocator's block.
                unsafe {
                    if resized {
                        let larger = layout((block.given() + 1).min(suite.largest.max(block.given())), align);
                        block.resize(LAW, allocator, larger, true, Fill::Any);
                        block.resize(LAW, allocator, asked, false, Fill::Any);
                    }
                    block.free(LAW, allocator);
                }
            }
        }
    }
}

#[track_caller]
pub(super) fn overlap(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "overlap";
    let mut random = Random::new(suite.seed);
    let mut blocks = Vec::new();
    for (index, size) in suite.sizes().chain(suite.sizes()).filter(|&size| size <= 1 << 17).enumerate() {
        let asked = layout(size, 1 << random.below(7).min(suite.largest_align.trailing_zeros() as usize));
        let made = Block::new(LAW, allocator, asked, Fill::Any, index as u64);
        blocks.extend(suite.allow(LAW, made, format_args!("{asked:?}")));
    }
    let mut ranges: Vec<_> = blocks.iter().map(|block| (block.start(), block.given())).collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let [(start, given), (next, _)] = [pair[0], pair[1]];
        if start + given > next {
            broken(
                LAW,
                format_args!("a block of {given} bytes at {start:#x} reaches into the one at {next:#x}"),
            );
        }
    }
    blocks.iter().for_each(|block| block.check(LAW));
    while !blocks.is_empty() {
        let block = blocks.swap_remove(random.below(blocks.len()));
        // SAFETY: the allocator's block.
        unsafe { block.free(LAW, allocator) };
    }
}

#[track_caller]
pub(super) fn refusal(suite: &Conformance, allocator: &impl Allocator) {
    const LAW: &str = "refusal";
    for align in suite.aligns() {
        let most = isize::MAX.unsigned_abs() & !(align - 1);
        for absurd in [layout(most, align), layout((most - (most >> 10)) & !(align - 1), align)] {
            // Where it sees that nobody uses the block, the compiler leaves the system's allocator out, and says
            // that there is one.
            if black_box(allocator.allocate(absurd)).is_ok()
                || black_box(allocator.allocate_zeroed(absurd)).is_ok()
            {
                broken(LAW, format_args!("claims to have {absurd:?}"));
            }
            let Some(mut block) =
                Block::new(LAW, allocator, layout(24.min(suite.largest), align), Fill::Any, 5)
            else {
                continue;
            };
            // SAFETY: the allocator's block.
            unsafe {
                for fill in [Fill::Any, Fill::Zeroed] {
                    if block.resize(LAW, allocator, absurd, true, fill) {
                        broken(LAW, format_args!("claims to have grown a block to {absurd:?}"));
                    }
                }
                block.free(LAW, allocator);
            }
        }
    }
}

#[track_caller]
pub(super) fn clones<A: Allocator + Clone>(suite: &Conformance, allocator: &A) {
    const LAW: &str = "clones";
    for size in suite.some_sizes() {
        let asked = layout(size, 16.min(suite.largest_align));
        let larger = layout((size * 2).min(suite.largest.max(size)), asked.align());
        let first = allocator.clone();
        let made = Block::new(LAW, &first, asked, Fill::Any, 1);
        let Some(mut block) = suite.allow(LAW, made, format_args!("{asked:?}")) else { continue };
        let second = first.clone();
        drop(first);
        block.check(LAW);
        // SAFETY: a block of an equal allocator.
        unsafe {
            block.resize(LAW, &second, larger, true, Fill::Any);
            block.resize(LAW, allocator, asked, false, Fill::Any);
            drop(second);
            block.resize(LAW, &allocator.clone(), larger, true, Fill::Zeroed);
            block.free(LAW, &allocator.clone());
        }
    }
}

#[track_caller]
pub(super) fn moves<A: Allocator>(suite: &Conformance, allocator: A) -> A {
    const LAW: &str = "moves";
    let blocks: Vec<_> = suite
        .some_sizes()
        .filter_map(|size| {
            let asked = layout(size, 8.min(suite.largest_align));
            let made = Block::new(LAW, &allocator, asked, Fill::Any, size as u64);
            suite.allow(LAW, made, format_args!("{asked:?}"))
        })
        .collect();
    let moved = Box::new(allocator);
    for mut block in blocks {
        let smaller = layout(block.layout().size().div_ceil(2), block.layout().align());
        // SAFETY: the allocator's block.
        unsafe {
            block.resize(LAW, &*moved, smaller, false, Fill::Any);
            block.free(LAW, &*moved);
        }
    }
    *moved
}
