//! The blocks that one thread has allocated, and those of them that are freed.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use super::block;
use super::private::Private;
use super::record::{Entry, Gone, Made, Record, State};
use super::report::{Misuse, Report};
use super::shadow::{Near, Shadow};
use super::trace::Event;
use crate::allocator_api2::{boxed::Box, vec::Vec};

/// Records that are made at once: 8 KiB.
const SLAB: usize = 128;

/// What became of a block that was to be freed.
pub(super) enum Freed {
    /// It waits in the quarantine, and the caller releases what left that for it. The shard, if it has still
    /// more there than it may.
    Held(Option<Gone>, Option<u16>),
    /// The caller has it and releases it.
    Released(Gone),
    /// Nothing happened to it.
    Refused,
}

/// What became of a block that was freed in the usual way.
pub(super) enum Quick {
    /// It waits in the quarantine, which has more than it may if the oldest block there is of another kind.
    Held(bool),
    /// This one left the quarantine for it, for the same layout, and came the same way; or it is the block itself.
    Alike(NonNull<u8>),
}

pub(super) struct Shard {
    number: u16,
    unused: Option<NonNull<Record>>,
    /// The quarantine, oldest first.
    first: Option<NonNull<Record>>,
    last: Option<NonNull<Record>>,
    /// Bytes in it.
    held: usize,
    near: Near,
    /// (D3) Records stay where they are until the books are closed.
    slabs: Vec<Box<[Record], Private>, Private>,
}

// SAFETY: records are the fields that are not; they are the shard's own, and say where blocks are that any
// thread which may use the allocator may free.
unsafe impl Send for Shard {}

/// Brings what is about to be needed nearer.
#[inline(always)]
fn prefetch<T>(at: NonNull<T>) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint, which reads nothing that could be seen.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.as_ptr().cast());
    }
    let _ = at;
}

impl Shard {
    pub(super) fn new(number: u16) -> Self {
        Self {
            number,
            unused: None,
            first: None,
            last: None,
            held: 0,
            near: Near::none(),
            slabs: Vec::new_in(Private),
        }
    }

    /// # Safety
    /// One of this shard's records, and no other entry of it is in use.
    #[inline(always)]
    unsafe fn entry<'e>(&mut self, record: NonNull<Record>) -> &'e mut Entry {
        // SAFETY: (D3), and `self` is borrowed by whoever is at the shard.
        unsafe { record.as_ref().entry() }
    }

    #[cold]
    #[inline(never)]
    fn make_records(&mut self) -> Option<()> {
        let mut slab = Vec::new_in(Private);
        slab.try_reserve_exact(SLAB).ok()?;
        self.slabs.try_reserve(1).ok()?;
        for _ in 0..SLAB {
            slab.push(Record::unused(self.number, None));
        }
        for record in &slab {
            let record = NonNull::from(record);
            // SAFETY: just made.
            unsafe { self.entry(record) }.next = self.unused;
            self.unused = Some(record);
        }
        self.slabs.push(slab.into_boxed_slice());
        Some(())
    }

    /// Enters a live block; the record that its address had before. `Err` when there is no memory for that.
    pub(super) fn insert(
        &mut self,
        shadow: &Shadow,
        made: Made<Event>,
    ) -> Result<Option<NonNull<Record>>, ()> {
        let record = match self.unused {
            Some(record) => record,
            None => {
                self.make_records().ok_or(())?;
                self.unused.ok_or(())?
            }
        };
        let before = shadow.set(made.block.addr().get(), record)?;
        // SAFETY: one of ours.
        let entry = unsafe { self.entry(record) };
        self.unused = entry.next;
        let Made { block, layout, by, way, epoch, is_ours } = made;
        let (thread, trace) = (by.thread as u32, by.trace);
        entry.begin(&Made { block, layout, by: thread, way, epoch, is_ours });
        entry.trace(trace);
        Ok(before)
    }

    /// [`insert`](Self::insert) where everything is there for it. False otherwise, and nothing has changed.
    #[inline(always)]
    pub(super) fn insert_quickly(&mut self, shadow: &Shadow, made: &Made<u32>) -> bool {
        let Some(record) = self.unused else { return false };
        let Some(word) = shadow.find_near(&mut self.near, made.block.addr().get()) else { return false };
        // ORDER: as in `Shadow::set`.
        if !word.load(Ordering::Relaxed).is_null() {
            return false;
        }
        word.store(record.as_ptr(), Ordering::Release);
        // SAFETY: one of ours.
        let entry = unsafe { self.entry(record) };
        self.unused = entry.next;
        entry.begin(made);
        true
    }

    /// Forgets the block of a record whose address the child has given out again.
    ///
    /// # Safety
    /// One of this shard's records.
    pub(super) unsafe fn lose(&mut self, record: NonNull<Record>) {
        // SAFETY: passed on.
        let entry = unsafe { self.entry(record) };
        match entry.state() {
            State::Live => self.recycle(record),
            State::Held => entry.lose(),
            State::Unused | State::Lost => {}
        }
    }

    #[inline(always)]
    fn recycle(&mut self, record: NonNull<Record>) {
        // SAFETY: (D3) one of ours, as every caller's.
        let entry = unsafe { self.entry(record) };
        self.take_back(entry, record);
    }

    /// What `f` says of the block at `address`, if it has that record.
    ///
    /// # Safety
    /// One of this shard's records.
    pub(super) unsafe fn read<R>(
        &mut self,
        record: NonNull<Record>,
        address: usize,
        f: impl FnOnce(&Entry) -> R,
    ) -> Option<R> {
        // SAFETY: passed on.
        let entry = unsafe { self.entry(record) };
        entry.is_of(address).then(|| f(entry))
    }

    /// Frees the block at `address` where that is what is usual: it is of this shard, nothing is wrong with it, it goes the
    /// way it came, and one block at most leaves the quarantine. `None` otherwise, and nothing has changed.
    ///
    /// # Safety
    /// The caller gives up the block, if there is one.
    #[inline(always)]
    pub(super) unsafe fn free_quickly(
        &mut self,
        shadow: &Shadow,
        address: usize,
        given: Layout,
        way: u8,
        share: usize,
        by: u32,
    ) -> Option<Quick> {
        let word = shadow.find_near(&mut self.near, address)?;
        // ORDER: Acquire, pairs with the Release in `Shadow::set`; publishes the record's shard.
        let record = NonNull::new(word.load(Ordering::Acquire))?;
        // SAFETY: (D3).
        if unsafe { record.as_ref() }.shard() != self.number {
            return None;
        }
        // SAFETY: one of ours.
        let entry = unsafe { self.entry(record) };
        let size = block::footprint(given);
        if !entry.is_such(State::Live, given, way) || entry.address() != address {
            return None;
        }
        // SAFETY: (D1), and the caller has given the block up.
        unsafe {
            let block = entry.block;
            if block::overwritten(block, given).is_some() {
                return None;
            }
            if size > share {
                word.store(ptr::null_mut(), Ordering::Relaxed);
                entry.end_such();
                self.reuse(entry, record);
                return Some(Quick::Alike(block));
            }
            block::poison(block, given);
        }
        entry.hold(by);
        let before = self.held;
        self.push(entry, record, size);
        if self.held <= share {
            return Some(Quick::Held(false));
        }
        // The oldest is most often like the one just freed, and what is known of that at compile time is known of it.
        if let Some(first) = self.first
            // SAFETY: one of ours.
            && let entry = unsafe { self.entry(first) }
            && entry.is_such(State::Held, given, way)
            && let Some(next) = entry.next
            // SAFETY: (D2) held, hence poisoned.
            && unsafe { block::written_after_free(entry.block, given) }.is_none()
        {
            let block = entry.end_such();
            self.leave_first(shadow, entry, first, next);
            self.held = before;
            return Some(Quick::Alike(block));
        }
        Some(Quick::Held(true))
    }

    /// Takes the oldest block, which has ended, out of the quarantine and out of the books; `next` is the one after it.
    #[inline(always)]
    fn leave_first(
        &mut self,
        shadow: &Shadow,
        entry: &mut Entry,
        record: NonNull<Record>,
        next: NonNull<Record>,
    ) {
        self.first = Some(next);
        // SAFETY: one of ours.
        let next = unsafe { self.entry(next) };
        // It is the next one to be looked at, and its line is here: the call before this one asked for it.
        prefetch(next.block);
        if let Some(after) = next.next {
            prefetch(after);
        }
        if let Some(word) = shadow.find_near(&mut self.near, entry.address())
            && word.load(Ordering::Relaxed) == record.as_ptr()
        {
            word.store(ptr::null_mut(), Ordering::Relaxed);
        }
        self.reuse(entry, record);
    }

    #[inline(always)]
    fn push(&mut self, entry: &mut Entry, record: NonNull<Record>, size: usize) {
        entry.next = None;
        match self.last.replace(record) {
            // SAFETY: one of ours.
            Some(last) => unsafe { self.entry(last) }.next = Some(record),
            None => self.first = Some(record),
        }
        self.held += size;
    }

    /// Takes the oldest block out of the quarantine, if nothing is wrong with it and it is not the only one. Whether there
    /// are still more than there may be.
    pub(super) fn evict_quickly(&mut self, shadow: &Shadow, share: usize) -> Option<(Gone, bool)> {
        let record = self.first?;
        // SAFETY: one of ours.
        let entry = unsafe { self.entry(record) };
        let next = entry.next?;
        let layout = entry.layout();
        // SAFETY: (D2) held, hence poisoned.
        if entry.state() != State::Held || unsafe { block::written_after_free(entry.block, layout) }.is_some()
        {
            return None;
        }
        self.held -= block::footprint(layout);
        let gone = entry.end();
        self.leave_first(shadow, entry, record, next);
        Some((gone, self.held > share))
    }

    #[inline(always)]
    fn take_back(&mut self, entry: &mut Entry, record: NonNull<Record>) -> Gone {
        let gone = entry.end();
        self.reuse(entry, record);
        gone
    }

    #[inline(always)]
    fn reuse(&mut self, entry: &mut Entry, record: NonNull<Record>) {
        entry.next = self.unused;
        self.unused = Some(record);
    }

    /// Frees the block at `address`, into the quarantine if `share` bytes of that suffice; one block leaves
    /// for it if it `evicts` and there are more. What is wrong with the block is told to `found`.
    ///
    /// # Safety
    /// One of this shard's records. The caller gives up the block, if there is one.
    #[allow(clippy::too_many_arguments, reason = "what a free is about")]
    pub(super) unsafe fn free(
        &mut self,
        shadow: &Shadow,
        record: NonNull<Record>,
        address: usize,
        given: Layout,
        share: usize,
        evicts: bool,
        now: Event,
        found: &mut Vec<Report, Private>,
    ) -> Freed {
        // SAFETY: passed on.
        let entry = unsafe { self.entry(record) };
        let layout = entry.layout();
        let is_live = entry.state() == State::Live && entry.address() == address;
        // SAFETY: (D1) live, and guarded by `take`.
        if !is_live || layout != given || unsafe { block::overwritten(entry.block, layout) }.is_some() {
            say_what_is_wrong(entry, address, given, &now, found);
            if !is_live {
                return Freed::Refused;
            }
        }
        let size = block::footprint(layout);
        if size > share {
            shadow.clear(address, record);
            return Freed::Released(self.take_back(entry, record));
        }
        // SAFETY: (D1), and the caller has given the block up.
        unsafe { block::poison(entry.block, layout) };
        entry.hold(now.thread as u32);
        entry.trace_free(now.trace);
        self.push(entry, record, size);
        if !evicts || self.held <= share {
            return Freed::Held(None, None);
        }
        let gone = self.evict(shadow, share, found);
        Freed::Held(gone, (self.held > share).then_some(self.number))
    }

    /// Takes the oldest block out of the quarantine while that has more than `share` bytes.
    pub(super) fn evict(
        &mut self,
        shadow: &Shadow,
        share: usize,
        found: &mut Vec<Report, Private>,
    ) -> Option<Gone> {
        while self.held > share {
            let record = self.first?;
            // SAFETY: one of ours.
            let entry = unsafe { self.entry(record) };
            self.first = entry.next;
            if entry.next.is_none() {
                self.last = None;
            }
            let size = block::footprint(entry.layout());
            self.held -= size;
            if entry.state() == State::Lost {
                self.recycle(record);
                continue;
            }
            // SAFETY: (D2) poisoned.
            if let Some(offset) = unsafe { block::written_after_free(entry.block, entry.layout()) } {
                say(entry, Misuse::UseAfterFree { offset }, found);
            }
            shadow.clear(entry.address(), record);
            return Some(self.take_back(entry, record));
        }
        None
    }

    /// Hands `f` every block in the books.
    pub(super) fn each(&mut self, mut f: impl FnMut(&Entry)) {
        for record in self.slabs.iter().flat_map(|slab| slab.iter()) {
            // SAFETY: one of ours.
            let entry = unsafe { record.entry() };
            if matches!(entry.state(), State::Live | State::Held) {
                f(entry);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn say(entry: &Entry, misuse: Misuse, found: &mut Vec<Report, Private>) {
    found.push(entry.report(misuse, None));
}

#[cold]
#[inline(never)]
fn say_what_is_wrong(
    entry: &Entry,
    address: usize,
    given: Layout,
    now: &Event,
    found: &mut Vec<Report, Private>,
) {
    if !entry.is_of(address) {
        found.push(unknown(address, given, now.clone()));
    } else if entry.state() == State::Held {
        found.push(entry.report(Misuse::DoubleFree, Some(now.clone())));
    } else {
        let mismatch = (given != entry.layout()).then_some(Misuse::LayoutMismatch { given });
        let wrong = entry.damage().into_iter().chain(mismatch);
        found.extend(wrong.map(|misuse| entry.report(misuse, Some(now.clone()))));
    }
}

/// A free of something that has no record.
#[cold]
pub(super) fn unknown(address: usize, layout: Layout, now: Event) -> Report {
    Report {
        misuse: Misuse::InvalidFree,
        allocator: "",
        address,
        layout,
        allocated: None,
        freed: None,
        noticed: Some(now),
    }
}
