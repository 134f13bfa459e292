//! What is known of a block.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use super::block;
use super::report::{Misuse, Report};
use super::trace::{Event, Trace};

#[derive(Clone, Copy, PartialEq, Eq)]
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
    pub(super) state: State,
    /// The alignment's power of two, and [`OURS`].
    align: u8,
    /// Through which trait it came: [`Way::NUMBER`](super::child::Way::NUMBER).
    way: u8,
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

/// Allocated for a report: nobody's leak. A bit beside the alignment, so that a record is one line.
const OURS: u8 = 0x80;
const _: () = assert!(size_of::<Record>() == 64);

impl Record {
    pub(super) fn unused(shard: u16, next: Option<NonNull<Self>>) -> Self {
        let entry = Entry {
            state: State::Unused,
            align: 0,
            way: 0,
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
pub(super) struct Made {
    pub(super) block: NonNull<u8>,
    pub(super) layout: Layout,
    pub(super) by: Event,
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
    pub(super) fn begin(&mut self, made: Made) {
        self.state = State::Live;
        self.align = made.layout.align().trailing_zeros() as u8 | if made.is_ours { OURS } else { 0 };
        self.epoch = made.epoch;
        self.allocating_thread = made.by.thread as u32;
        self.block = made.block;
        self.size = made.layout.size();
        self.way = made.way;
        if made.by.trace.is_some() {
            self.allocated_from = made.by.trace;
        }
    }

    /// Ends what was begun. The record is unused then.
    #[inline(always)]
    pub(super) fn end(&mut self) -> Gone {
        self.state = State::Unused;
        if self.allocated_from.is_some() || self.freed_from.is_some() {
            self.forget_traces();
        }
        Gone { block: self.block, layout: self.layout(), way: self.way }
    }

    #[cold]
    #[inline(never)]
    fn forget_traces(&mut self) {
        self.allocated_from = None;
        self.freed_from = None;
    }

    #[inline(always)]
    pub(super) fn hold(&mut self, by: Event) {
        self.state = State::Held;
        self.freeing_thread = by.thread as u32;
        if by.trace.is_some() {
            self.freed_from = by.trace;
        }
    }

    #[inline(always)]
    pub(super) fn layout(&self) -> Layout {
        // SAFETY: from a layout's own size and alignment; with 0 and 1 before the first.
        unsafe { Layout::from_size_align_unchecked(self.size, 1 << (self.align & !OURS)) }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.align & OURS != 0
    }

    #[inline(always)]
    pub(super) fn address(&self) -> usize {
        self.block.addr().get()
    }

    /// Whether a block that begins at `address` has this record.
    #[inline(always)]
    pub(super) fn is_of(&self, address: usize) -> bool {
        matches!(self.state, State::Live | State::Held) && self.address() == address
    }

    #[cold]
    pub(super) fn report(&self, misuse: Misuse, noticed: Option<Event>) -> Report {
        let event =
            |thread: u32, trace: &Option<Trace>| Event { thread: thread.into(), trace: trace.clone() };
        let is_held = self.state == State::Held;
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
            match self.state {
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
