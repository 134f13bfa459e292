//! A line for each thread, found with two loads.
//!
//! Each meter in use has a number, and each thread's record a table of lines, one for each number. The thread finds its
//! table through thread-local storage: one that is always closed until it has its own.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::System;

use super::binding::{Binding, binding, records};
use super::line::Line;
use super::record::ThreadRecord;

/// Meters that have lines at a time, and two that no meter has: for those that have no number, and for those that are
/// retired.
const LINES: usize = 64;
const FRESH: usize = 0;
const RETIRED: usize = size_of::<Line>();
const FIRST: usize = 2;

/// A thread's lines, a page of them. Made when the thread first needs one, and never freed: the next thread of its
/// record goes on with them.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Lines([Line; LINES]);

const _: () = assert!(size_of::<Line>() == 64 && size_of::<Lines>() == 4096);

/// The lines of a thread that has none: closed, so that what is written there is not believed.
pub(super) static NO_LINES: Lines = Lines([const { Line::new() }; LINES]);

/// Numbers that are taken, as bits.
static TAKEN: [AtomicUsize; LINES] = [const { AtomicUsize::new(0) }; LINES];

/// A line for each thread, as long as the meter lives.
///
/// (L1) A thread's line is written by that thread alone, but for what is written under the lock of the meter's holder, and
/// by whoever drops the meter, which nobody uses then.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Where its lines are in every table, in bytes; or [`FRESH`], or [`RETIRED`].
    offset: AtomicUsize,
    /// Where its lines are, once it has some, retired or not.
    own: AtomicUsize,
}

impl Meter {
    pub(crate) const fn new() -> Self {
        Self { offset: AtomicUsize::new(FRESH), own: AtomicUsize::new(0) }
    }

    /// One whose lines are closed for ever.
    pub(crate) const fn retired() -> Self {
        Self { offset: AtomicUsize::new(RETIRED), own: AtomicUsize::new(0) }
    }

    /// This thread's line, or one that is closed and shared with others.
    #[inline(always)]
    pub(crate) fn line(&self) -> &Line {
        // ORDER: Acquire, pairs with the Release in `own`; what the number's last meter left in the lines was reset
        // before.
        let offset = self.offset.load(Ordering::Acquire);
        let lines = binding(|binding| binding.lines.get());
        // SAFETY: (L1) tables are never freed, and the offset is a line's.
        unsafe { &*lines.byte_add(offset).cast::<Line>() }
    }

    /// This thread's own line, made if need be. `None` where the meter is retired, there are too many meters, no memory,
    /// or the thread is about to be gone.
    #[cold]
    #[inline(never)]
    pub(crate) fn own(&self) -> Option<&Line> {
        let lines = own_lines()?;
        if self.offset.load(Ordering::Acquire) == FRESH {
            // A meter that finds no number when it first wants one does without.
            let own = self.numbered().unwrap_or(RETIRED);
            // ORDER: Release, pairs with the Acquire in `line`.
            let _ = self.offset.compare_exchange(FRESH, own, Ordering::Release, Ordering::Relaxed);
        }
        let offset = self.offset.load(Ordering::Acquire);
        // SAFETY: (L1) as in `line`.
        (offset > RETIRED).then(|| unsafe { &*lines.byte_add(offset).cast::<Line>() })
    }

    /// Where the meter's lines are; a number is taken for it where it has none.
    fn numbered(&self) -> Option<usize> {
        if let own @ 1.. = self.own.load(Ordering::Acquire) {
            return Some(own);
        }
        // ORDER: AcqRel, pairs with the Release in `put_back`.
        let free = |&number: &usize| {
            let taken = &TAKEN[number];
            taken.load(Ordering::Relaxed) == 0 && taken.swap(1, Ordering::AcqRel) == 0
        };
        let number = (FIRST..LINES).find(free)?;
        let made = number * size_of::<Line>();
        match self.own.compare_exchange(0, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(made),
            Err(other) => {
                put_back(number);
                Some(other)
            }
        }
    }

    /// Closes the meter for ever, for every thread that knows of it.
    pub(crate) fn retire(&self) {
        if !self.is_retired() {
            self.offset.store(RETIRED, Ordering::Release);
        }
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.offset.load(Ordering::Relaxed) == RETIRED
    }

    /// This thread's line, if it has one, retired or not.
    pub(crate) fn own_before(&self) -> Option<&Line> {
        let own = self.own.load(Ordering::Acquire);
        let record = binding(Binding::held)?;
        // SAFETY: (I7) records are never freed.
        line_of(unsafe { &*record }, own)
    }

    /// Every thread's line, retired or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Line> {
        let own = self.own.load(Ordering::Acquire);
        records().filter_map(move |record| line_of(record, own))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let own = *self.own.get_mut();
        if own != 0 {
            self.all().for_each(Line::reset);
            put_back(own / size_of::<Line>());
        }
    }
}

fn put_back(number: usize) {
    // ORDER: Release, pairs with the exchange in `numbered`: the lines are closed, and all zero.
    TAKEN[number].store(0, Ordering::Release);
}

fn line_of(record: &ThreadRecord, offset: usize) -> Option<&Line> {
    // ORDER: Acquire, pairs with the Release in `own_lines`; publishes the lines.
    let lines = record.lines.load(Ordering::Acquire);
    // SAFETY: (L1) as in `line`.
    (offset != 0 && !lines.is_null()).then(|| unsafe { &*lines.byte_add(offset).cast::<Line>() })
}

/// This thread's lines, made if need be.
fn own_lines() -> Option<*const Lines> {
    let record = binding(Binding::bound)?;
    // SAFETY: (I7) records are never freed, and this one is this thread's.
    let lines = unsafe { &(*record).lines };
    if lines.load(Ordering::Relaxed).is_null() {
        // SAFETY: not empty. Nobody else makes this record's lines.
        unsafe {
            let made = System.alloc(Layout::new::<Lines>()).cast::<Lines>();
            if made.is_null() {
                return None;
            }
            for line in &mut *(&raw mut (*made).0).cast::<[MaybeUninit<Line>; LINES]>() {
                line.write(Line::new());
            }
            // ORDER: Release, pairs with the Acquire in `line_of`.
            lines.store(made, Ordering::Release);
        }
    }
    let lines = lines.load(Ordering::Relaxed).cast_const();
    binding(|binding| binding.lines.set(lines));
    Some(lines)
}

/// What a thread finds in its record when it takes that over.
pub(super) fn lines_of(record: &ThreadRecord) -> *const Lines {
    let lines = record.lines.load(Ordering::Relaxed);
    if lines.is_null() { ptr::from_ref(&NO_LINES) } else { lines }
}
