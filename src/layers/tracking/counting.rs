//! Counting around a call: what both handles do.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::book::{ALLOCATIONS, FREES, OWN, Part, moved};
use super::live::Live;
use super::{Tagged, Tracking};
use crate::allocator_api2::alloc::Allocator;
use crate::layers::around::{Answer, Around, implement_around};
use crate::sync::Ordering::{Relaxed, Release};
use crate::threads::Line;

/// What happened to a block is told to one of these. Layouts are never empty.
pub(in crate::layers) trait Counts {
    type Child: Allocator;

    fn below(&self) -> &Self::Child;
    fn live(&self) -> Option<&Live>;
    fn allocated(&self, block: NonNull<u8>, layout: Layout);
    /// By so many bytes more, or fewer.
    fn resized(&self, more: usize, fewer: usize);
    /// Before the child does it: the address may be another block's at once.
    fn freed(&self, block: NonNull<u8>, layout: Layout);
    fn refused(&self);
}

/// Asks for another size of a block, and lists it where it is then.
#[inline]
fn listed(counts: &impl Counts, block: NonNull<u8>, new: Layout, ask: impl FnOnce() -> Answer) -> Answer {
    let Some(live) = counts.live() else { return ask().inspect_err(|_| counts.refused()) };
    let out = live.take_out(block);
    let block = ask().inspect_err(|_| counts.refused())?;
    if new.size() == 0 {
        out.gone()
    } else {
        out.moved_to(block.cast(), new)
    }
    Ok(block)
}

impl<C: Counts> Around for C {
    type Child = C::Child;

    #[inline(always)]
    fn child(&self) -> &C::Child {
        self.below()
    }

    #[inline(always)]
    fn on_allocate(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        let block = ask().inspect_err(|_| self.refused())?;
        if layout.size() != 0 {
            self.allocated(block.cast(), layout);
        }
        Ok(block)
    }

    #[inline]
    fn on_grow(&self, block: NonNull<u8>, old: Layout, new: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        if old.size() == 0 {
            return self.on_allocate(new, ask);
        }
        let block = listed(self, block, new, ask)?;
        self.resized(new.size() - old.size(), 0);
        Ok(block)
    }

    #[inline]
    fn on_shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        ask: impl FnOnce() -> Answer,
    ) -> Answer {
        let moved = listed(self, block, new, ask)?;
        if new.size() != 0 {
            self.resized(0, old.size() - new.size());
        } else if old.size() != 0 {
            self.freed(block, old);
        }
        Ok(moved)
    }

    #[inline(always)]
    fn on_free(&self, block: NonNull<u8>, layout: Layout, free: impl FnOnce()) {
        if layout.size() != 0 {
            self.freed(block, layout);
        }
        free();
    }
}
implement_around!([A: Allocator] Tagged<'_, A>);
implement_around!([A: Allocator] Tracking<A>);

impl<A: Allocator> Counts for Tagged<'_, A> {
    type Child = A;

    #[inline(always)]
    fn below(&self) -> &A {
        &self.tracking.child
    }
    #[inline(always)]
    fn live(&self) -> Option<&Live> {
        self.tracking.live.as_deref()
    }
    #[inline]
    fn allocated(&self, block: NonNull<u8>, layout: Layout) {
        self.count_allocation(block, layout);
    }
    #[inline]
    fn resized(&self, more: usize, fewer: usize) {
        self.count_resize(more, fewer);
    }
    #[inline]
    fn freed(&self, block: NonNull<u8>, layout: Layout) {
        self.count_free(block, layout);
    }
    #[cold]
    fn refused(&self) {
        self.tag.refused();
    }
}

impl<A: Allocator> Counts for Tracking<A> {
    type Child = A;

    #[inline(always)]
    fn below(&self) -> &A {
        &self.child
    }
    #[inline(always)]
    fn live(&self) -> Option<&Live> {
        self.live.as_deref()
    }
    #[inline(always)]
    fn allocated(&self, block: NonNull<u8>, layout: Layout) {
        let line = self.meter.line();
        if line.take(layout.size()) {
            line.count(ALLOCATIONS, Relaxed);
        } else {
            self.allocated_slowly(line, block, layout);
        }
    }
    #[inline(never)]
    fn resized(&self, more: usize, fewer: usize) {
        if self.more(self.meter.line(), more) {
            // The one above may have opened it.
            self.fewer(self.meter.line(), fewer);
            self.untagged.resized_on_line();
        } else {
            self.untagged().count_resize(more, fewer);
        }
    }
    #[inline(always)]
    fn freed(&self, block: NonNull<u8>, layout: Layout) {
        let line = self.meter.line();
        if line.give(layout.size()) {
            // ORDER: Release, pairs with Acquire in `Tag::read`: who sees the free sees the allocation, too.
            line.count(FREES, Release);
        } else {
            self.freed_slowly(line, block, layout);
        }
    }
    #[cold]
    fn refused(&self) {
        self.untagged.refused();
    }
}

/// A tag's books, and the total beside them.
impl<A> Tagged<'_, A> {
    #[inline]
    fn count_allocation(&self, block: NonNull<u8>, layout: Layout) {
        self.tracking.total.add(self.tracking.part(), layout.size());
        self.tag.allocated(layout.size());
        if let Some(live) = &self.tracking.live {
            live.add(block, layout, self.tag.index());
        }
    }

    #[inline]
    fn count_resize(&self, more: usize, fewer: usize) {
        self.tracking.total.add(self.tracking.part(), more);
        self.tracking.total.take(self.tracking.part(), fewer);
        self.tag.resized(more, fewer);
    }

    #[inline]
    fn count_free(&self, block: NonNull<u8>, layout: Layout) {
        if let Some(live) = &self.tracking.live {
            live.take_out(block).gone();
        }
        self.tracking.total.take(self.tracking.part(), layout.size());
        self.tag.freed(layout.size());
    }
}

/// Opens a line, on which nothing has moved yet.
fn begin(line: &Line) {
    /// So much that it is never used up, and more fits above.
    const PLENTY: isize = isize::MAX / 2;
    line.open(PLENTY, PLENTY, PLENTY + OWN, 0);
}

/// A thread's line.
impl<A> Tracking<A> {
    /// This thread's part of the total. What the thread has counted on its line so far is counted there then.
    #[inline(always)]
    fn part(&self) -> Option<&Part> {
        self.parts.own_or_made(|part| self.leave_line(part))
    }

    /// Nobody has a line to count on any more: who uses tags is to see from the first call on how far it is in all.
    #[cold]
    fn leave_line(&self, part: &Part) {
        let Some(line) = self.meter.own_before() else { return };
        if let Some(moved) = moved(line)
            && self.untagged.take_over(line, moved)
        {
            part.set(moved);
            line.reset();
        }
    }

    /// Counts bytes on a line. False where there is none, and nothing was counted.
    #[inline(always)]
    fn more(&self, line: &Line, bytes: usize) -> bool {
        line.take(bytes) || self.more_slowly(line, bytes)
    }
    #[inline(always)]
    fn fewer(&self, line: &Line, bytes: usize) -> bool {
        line.give(bytes) || self.fewer_slowly(line, bytes)
    }

    #[cold]
    #[inline(never)]
    fn more_slowly(&self, tripped: &Line, bytes: usize) -> bool {
        let Some(line) = self.open_line(tripped) else { return false };
        if line.is_some_and(|line| line.take(bytes)) {
            return true;
        }
        let line = line.unwrap_or(tripped);
        line.note_least();
        self.settle(line);
        true
    }

    #[cold]
    #[inline(never)]
    fn fewer_slowly(&self, tripped: &Line, bytes: usize) -> bool {
        let Some(line) = self.open_line(tripped) else { return false };
        if line.is_some_and(|line| line.give(bytes)) {
            return true;
        }
        self.settle(line.unwrap_or(tripped));
        true
    }

    /// This thread's line, where what tripped was closed: then that step is forgotten. None in `Some` where it was open, and
    /// the step counts; `None` where there is no line to be had.
    fn open_line(&self, tripped: &Line) -> Option<Option<&Line>> {
        if tripped.is_open() {
            return Some(None);
        }
        tripped.forget_step();
        if self.meter.is_retired() {
            return None;
        }
        let line = self.meter.own()?;
        // The thread that had this one's record before may have left something there.
        if !line.is_open() {
            begin(line);
        }
        Some(Some(line))
    }

    /// Tells the others, if the thread is far enough ahead or behind.
    fn settle(&self, line: &Line) {
        let (moved, most) = (line.moved(), line.most());
        if moved.abs() > OWN {
            begin(line);
            self.total.tell(moved, most);
            self.untagged.bytes.tell(moved, most);
        }
    }

    #[cold]
    #[inline(never)]
    fn allocated_slowly(&self, tripped: &Line, block: NonNull<u8>, layout: Layout) {
        if self.more_slowly(tripped, layout.size()) {
            self.meter.line().count(ALLOCATIONS, Relaxed);
        } else {
            self.untagged().count_allocation(block, layout);
        }
    }

    #[cold]
    #[inline(never)]
    fn freed_slowly(&self, tripped: &Line, block: NonNull<u8>, layout: Layout) {
        if self.fewer_slowly(tripped, layout.size()) {
            self.meter.line().count(FREES, Release);
        } else {
            self.untagged().count_free(block, layout);
        }
    }
}
