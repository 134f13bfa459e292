//! What is known of a block.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use super::block;
use super::report::{Misuse, Report};
use super::trace::{Event, Trace};

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum State {
    /// No block has this record.
    Unused,
    Live,
    /// (D2) Freed, poisoned, and in its shard's queue.
    Held,
    /// In its shard's queue, but the child took the block back without us.
    Lost,
}

/// A place for an [`Entry`], in the shard of that number for ever. One line of the cache.
#[repr(align(64))]
pub(super) struct Record {
    shard: u16,
    entry: UnsafeCell<Entry>,
}

/// (D1) The block's memory, `padded(layout)`, is the child's as long as its state is live or held.
pub(super) struct Entry {
    /// What is small, in one word: a processor waits where it reads together what was written in parts.
    marks: Marks,
    pub(super) epoch: u32,
    allocating_thread: u32,
    freeing_thread: u32,
    pub(super) block: NonNull<u8>,
    size: usize,
    allocated_from: Option<Trace>,
    freed_from: Option<Trace>,
    /// The next one in the queue, or of those that are unused.
    pub(super) next: Option<NonNull<Record>>,
}

/// From the lowest bits up: the state, the alignment's power of two, the [`Way`](super::child::Way), whether the
/// block was allocated for a report, so nobody's leak, and whether there is a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Marks(u32);

impl Marks {
    #[inline(always)]
    const fn of(state: State, layout: Layout, way: u8, is_ours: bool) -> Self {
        Self(
            state as u32 | layout.align().trailing_zeros() << 8 | (way as u32) << 16 | (is_ours as u32) << 24,
        )
    }
    #[inline(always)]
    const fn with(self, state: State) -> Self {
        Self(self.0 & !0xff | state as u32)
    }
    const fn traced(self) -> Self {
        Self(self.0 | 1 << 25)
    }
    #[inline(always)]
    const fn state(self) -> State {
        match self.0 & 0xff {
            0 => State::Unused,
            1 => State::Live,
            2 => State::Held,
            _ => State::Lost,
        }
    }
    #[inline(always)]
    const fn align(self) -> usize {
        1 << (self.0 >> 8 & 0x3f)
    }
    #[inline(always)]
    const fn way(self) -> u8 {
        (self.0 >> 16) as u8
    }
}

const _: () = assert!(size_of::<Record>() == 64);

impl Record {
    pub(super) fn unused(shard: u16, next: Option<NonNull<Self>>) -> Self {
        let entry = Entry {
            marks: Marks::of(State::Unused, Layout::new::<()>(), 0, false),
            epoch: 0,
            allocating_thread: 0,
            freeing_thread: 0,
            block: NonNull::dangling(),
            size: 0,
            allocated_from: None,
            freed_from: None,
            next,
        };
        Self { shard, entry: UnsafeCell::new(entry) }
    }

    #[inline(always)]
    pub(super) fn shard(&self) -> u16 {
        self.shard
    }

    /// # Safety
    /// Whoever calls is at the record's shard, and uses one entry at a time.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "who may call is said above")]
    pub(super) unsafe fn entry(&self) -> &mut Entry {
        // SAFETY: as the caller promises.
        unsafe { &mut *self.entry.get() }
    }
}

/// What is to be known of a block that was just allocated.
#[derive(Clone, Copy)]
pub(super) struct Made<By> {
    pub(super) block: NonNull<u8>,
    pub(super) layout: Layout,
    pub(super) by: By,
    pub(super) way: u8,
    pub(super) epoch: u32,
    pub(super) is_ours: bool,
}

/// A block that is in the books no more.
pub(super) struct Gone {
    pub(super) block: NonNull<u8>,
    pub(super) layout: Layout,
    pub(super) way: u8,
}

impl Entry {
    /// Writes down what is known of a new block. The record was unused.
    #[inline(always)]
    pub(super) fn begin(&mut self, made: &Made<u32>) {
        self.marks = Marks::of(State::Live, made.layout, made.way, made.is_ours);
        self.epoch = made.epoch;
        self.allocating_thread = made.by;
        self.block = made.block;
        self.size = made.layout.size();
    }

    pub(super) fn trace(&mut self, trace: Option<Trace>) {
        self.allocated_from = trace;
        self.mark_traces();
    }

    pub(super) fn trace_free(&mut self, trace: Option<Trace>) {
        self.freed_from = trace;
        self.mark_traces();
    }

    fn mark_traces(&mut self) {
        if self.allocated_from.is_some() || self.freed_from.is_some() {
            self.marks = self.marks.traced();
        }
    }

    /// [`end`](Self::end) of a block that [`is_such`](Self::is_such): it has no traces.
    #[inline(always)]
    pub(super) fn end_such(&mut self) -> NonNull<u8> {
        self.marks = self.marks.with(State::Unused);
        self.block
    }

    /// Ends what was begun. The record is unused then.
    #[inline(always)]
    pub(super) fn end(&mut self) -> Gone {
        let way = self.marks.way();
        self.marks = self.marks.with(State::Unused);
        if self.allocated_from.is_some() || self.freed_from.is_some() {
            self.forget_traces();
        }
        Gone { block: self.block, layout: self.layout(), way }
    }

    #[cold]
    #[inline(never)]
    fn forget_traces(&mut self) {
        self.allocated_from = None;
        self.freed_from = None;
    }

    #[inline(always)]
    pub(super) fn hold(&mut self, by: u32) {
        self.marks = self.marks.with(State::Held);
        self.freeing_thread = by;
    }

    #[inline(always)]
    pub(super) fn layout(&self) -> Layout {
        // SAFETY: from a layout's own size and alignment; with 0 and 1 before the first.
        unsafe { Layout::from_size_align_unchecked(self.size, self.marks.align()) }
    }

    #[inline(always)]
    pub(super) fn state(&self) -> State {
        self.marks.state()
    }

    /// The child took the block back without us.
    pub(super) fn lose(&mut self) {
        self.marks = self.marks.with(State::Lost);
    }

    /// Whether a block of the program's for `layout`, which came that way, has this record, and no traces.
    #[inline(always)]
    pub(super) fn is_such(&self, state: State, layout: Layout, way: u8) -> bool {
        self.marks == Marks::of(state, layout, way, false) && self.size == layout.size()
    }

    pub(super) fn is_ours(&self) -> bool {
        self.marks.0 >> 24 & 1 != 0
    }

    #[inline(always)]
    pub(super) fn address(&self) -> usize {
        self.block.addr().get()
    }

    /// Whether a block that begins at `address` has this record.
    #[inline(always)]
    pub(super) fn is_of(&self, address: usize) -> bool {
        matches!(self.state(), State::Live | State::Held) && self.address() == address
    }

    #[cold]
    pub(super) fn report(&self, misuse: Misuse, noticed: Option<Event>) -> Report {
        let event =
            |thread: u32, trace: &Option<Trace>| Event { thread: thread.into(), trace: trace.clone() };
        let is_held = self.state() == State::Held;
        Report {
            misuse,
            allocator: "",
            address: self.address(),
            layout: self.layout(),
            allocated: Some(event(self.allocating_thread, &self.allocated_from)),
            freed: is_held.then(|| event(self.freeing_thread, &self.freed_from)),
            noticed,
        }
    }

    /// What is wrong with the block's memory.
    #[inline(always)]
    pub(super) fn damage(&self) -> Option<Misuse> {
        // SAFETY: (D1); `take` guarded the block, and (D2) one that is held was poisoned.
        unsafe {
            match self.state() {
                State::Live => {
                    let offset = block::overwritten(self.block, self.layout())?;
                    Some(Misuse::Overflow { offset })
                }
                State::Held => {
                    let offset = block::written_after_free(self.block, self.layout())?;
                    Some(Misuse::UseAfterFree { offset })
                }
                State::Unused | State::Lost => None,
            }
        }
    }
}
