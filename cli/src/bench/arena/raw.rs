//! The physical limit: one pointer that moves down through memory that is there, and a bounds check.
//!
//! It has one run of memory and no way to get more, so it is no arena. It says what the arithmetic and the
//! stores cost that no arena can do without. Copies are the system's `memcpy`, which an arena can beat.

use std::alloc::{GlobalAlloc, Layout, System, handle_alloc_error};
use std::cell::Cell;
use std::hint::black_box;
use std::ptr::NonNull;
use std::slice;

use crossbeam_utils::CachePadded;
use rayon::prelude::*;

use super::contender::{Arena, Line, Nested, Shared, Space};

/// Bytes: room for the largest row.
const ROOM: Layout = match Layout::from_size_align(8 << 20, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};

/// A pointer into a run of memory of its own.
pub(super) struct RawBump {
    finger: Cell<NonNull<u8>>,
    start: NonNull<u8>,
}

// SAFETY: the run belongs to the value, and nobody uses it when a value that is not borrowed is moved.
unsafe impl Send for RawBump {}

impl RawBump {
    fn end(&self) -> NonNull<u8> {
        // SAFETY: just behind the run's last byte.
        unsafe { self.start.add(ROOM.size()) }
    }
}

impl Drop for RawBump {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { System.dealloc(self.start.as_ptr(), ROOM) };
    }
}

impl Space for RawBump {
    #[inline(always)]
    fn value<T: Copy>(&self, value: T) -> &mut T {
        let place = self.place(Layout::new::<T>()).cast::<T>();
        // SAFETY: just given out for a `T`.
        unsafe {
            place.write(value);
            &mut *place.as_ptr()
        }
    }
    #[inline(always)]
    fn place(&self, layout: Layout) -> NonNull<u8> {
        let finger = self.finger.get();
        let top = finger.addr().get();
        let low = top.wrapping_sub(layout.size()) & !(layout.align() - 1);
        if low < self.start.addr().get() {
            handle_alloc_error(layout);
        }
        // SAFETY: not below the start, and the rows ask for less than the address that the run is at.
        let place = unsafe { finger.byte_sub(top - low) };
        self.finger.set(place);
        place
    }
    #[inline(always)]
    fn bytes(&self, bytes: &[u8]) -> &mut [u8] {
        let place = self.place(Layout::for_value(bytes));
        // SAFETY: just given out for as many bytes.
        unsafe {
            place.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            slice::from_raw_parts_mut(place.as_ptr(), bytes.len())
        }
    }
    #[inline(always)]
    fn text(&self, text: &str) -> &mut str {
        // SAFETY: the same bytes as the text's.
        unsafe { str::from_utf8_unchecked_mut(self.bytes(text.as_bytes())) }
    }
    fn pushed_sum(&self, len: u64) -> u64 {
        // As if the size had been known: no vector that grows can do with less.
        let place = self.place(Layout::array::<u64>(len as usize).expect("a small vector")).cast::<u64>();
        for number in 0..len {
            // SAFETY: within what was just given out.
            unsafe { place.add(number as usize).write(black_box(number)) };
        }
        // SAFETY: all of it was written.
        unsafe { slice::from_raw_parts(place.as_ptr(), len as usize) }.iter().sum()
    }
}

impl Arena for RawBump {
    const NAME: &'static str = "raw-bump";
    type Space<'s> = RawBump;

    fn new() -> Self {
        // SAFETY: the layout has a size above zero.
        let start = NonNull::new(unsafe { System.alloc(ROOM) });
        let start = start.unwrap_or_else(|| handle_alloc_error(ROOM));
        let bump = Self { finger: Cell::new(start), start };
        bump.finger.set(bump.end());
        bump
    }
    #[inline(always)]
    fn round(&mut self, work: impl for<'s> FnOnce(&Self::Space<'s>)) {
        work(self);
        self.finger.set(self.end());
    }
    fn give_back() {}
}

impl Nested for RawBump {
    #[inline(always)]
    fn nested(&mut self, values: u64) {
        let outer = self.finger.get();
        for number in 0..values {
            black_box(self.value(number));
        }
        let inner = self.finger.get();
        for number in 0..values {
            black_box(self.value(number));
        }
        self.finger.set(inner);
        self.finger.set(outer);
    }
}

/// One per thread of the rayon pool, by its number.
pub(super) struct RawBumps(Box<[CachePadded<RawBump>]>);

// SAFETY: `own` gives each thread of the one rayon pool that uses it the pointer that has its number.
unsafe impl Sync for RawBumps {}

impl RawBumps {
    #[inline(always)]
    fn own(&self) -> &RawBump {
        &self.0[rayon::current_thread_index().expect("a thread of the pool")]
    }
}

impl Shared for RawBumps {
    const NAME: &'static str = RawBump::NAME;

    fn new() -> Self {
        Self((0..rayon::current_num_threads()).map(|_| CachePadded::new(RawBump::new())).collect())
    }
    fn per_item(&self, items: u64, split: usize) {
        let items = (0..items as usize).into_par_iter().with_min_len(split).with_max_len(split);
        items.for_each_init(
            || self.own(),
            |own, item| {
                black_box(own.value::<Line>([item as u64; 8]));
            },
        );
    }
    fn reset(&mut self) {
        for bump in &mut self.0 {
            let end = bump.end();
            bump.finger.set(end);
        }
    }
}
