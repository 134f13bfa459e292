//! Size classes: the sizes that blocks are rounded up to. Pure arithmetic.
//!
//! Up to 128 bytes a class every 8 bytes; from there 8 classes per doubling up to 64 KiB. Above
//! 128 bytes a block is therefore at most 12.5 % larger than the request (the C peers use 4 classes
//! per doubling: 25 %). Every class size is a multiple of every power of two that a request
//! rounded up to that power can have, so alignment needs no classes of its own: round the size up
//! to the alignment, then look the class up.
#![forbid(unsafe_code)]

use crate::config::{CHUNK_SIZE, MAX_CLASS_SIZE};

/// Classes of 8-byte steps, up to 128 bytes.
const FINE_CLASSES: usize = 16;
/// Number of size classes.
pub(crate) const CLASSES: usize = FINE_CLASSES + 9 * 8;

/// Requests up to this many bytes find their class in a table.
const TABLE_MAX: usize = 1024;

/// `size.div_ceil(8)` to class, for sizes up to [`TABLE_MAX`]. Not a static: where the size is known, the
/// class should be so too, also in other crates.
const TABLE: &[u8; TABLE_MAX / 8 + 1] = &{
    let mut table = [0; TABLE_MAX / 8 + 1];
    let mut i = 0;
    while i < table.len() {
        table[i] = compute(i * 8) as u8;
        i += 1;
    }
    table
};

/// Class of a request by arithmetic alone. `size` is at most [`MAX_CLASS_SIZE`].
#[inline(always)]
const fn compute(size: usize) -> usize {
    if size <= 128 {
        size.div_ceil(8) - (size != 0) as usize
    } else {
        let last = size - 1;
        let doubling = last.ilog2() as usize;
        FINE_CLASSES + (doubling - 7) * 8 + ((last >> (doubling - 3)) & 7)
    }
}

/// The class that serves requests of `size` bytes. `size` is at most [`MAX_CLASS_SIZE`].
#[inline(always)]
pub(crate) const fn class_of(size: usize) -> usize {
    debug_assert!(size <= MAX_CLASS_SIZE);
    if size <= TABLE_MAX { TABLE[size.div_ceil(8)] as usize } else { compute(size) }
}

/// Bytes in a block of `class`.
pub(crate) const fn block_size(class: usize) -> usize {
    if class < FINE_CLASSES {
        (class + 1) * 8
    } else {
        let above = class - FINE_CLASSES;
        let doubling = above / 8 + 7;
        (1 << doubling) + ((above % 8 + 1) << (doubling - 3))
    }
}

/// Chunks in a run that is cut into blocks of `class`: the fewest that leave at most an eighth of
/// the run unused.
pub(crate) const fn span_of(class: usize) -> usize {
    SPANS[class] as usize
}

const SPANS: [u8; CLASSES] = {
    let mut spans = [1; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let size = block_size(class);
        let mut span = 1;
        while (span * CHUNK_SIZE % size) * 8 > span * CHUNK_SIZE {
            span += 1;
        }
        spans[class] = span as u8;
        class += 1;
    }
    spans
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in 0..=MAX_CLASS_SIZE {
            let class = class_of(size);
            assert!(class < CLASSES);
            assert_eq!(class, compute(size));
            assert!(block_size(class) >= size, "size {size}");
            assert!(class == 0 || block_size(class - 1) < size, "size {size}");
        }
        assert_eq!(block_size(CLASSES - 1), MAX_CLASS_SIZE);
    }

    #[test]
    fn waste_is_at_most_an_eighth_above_128_bytes() {
        for size in 129..=MAX_CLASS_SIZE {
            let waste = block_size(class_of(size)) - size;
            assert!(waste * 8 <= size, "size {size} wastes {waste}");
        }
    }

    #[test]
    fn every_alignment_is_met_by_rounding_the_size() {
        for shift in 0..=MAX_CLASS_SIZE.ilog2() {
            let align = 1_usize << shift;
            for size in (align..=MAX_CLASS_SIZE).step_by(align) {
                assert_eq!(block_size(class_of(size)) % align, 0, "size {size} align {align}");
            }
        }
    }

    #[test]
    fn spans_waste_at_most_an_eighth() {
        for class in 0..CLASSES {
            let span = span_of(class) * CHUNK_SIZE;
            let used = span / block_size(class) * block_size(class);
            assert!((span - used) * 8 <= span);
            assert!(span_of(class) <= 8);
            assert!(block_size(class) > 8192 || span_of(class) == 1);
        }
    }
}
