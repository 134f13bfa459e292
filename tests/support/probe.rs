//! A source that watches how it is used, refuses on demand and hands out dirty memory.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use blockyard::source::{Purged, Source, System};

/// The unit in which parts of a reservation are committed and purged.
const PAGE: usize = 4096;
/// What fresh and purged memory is filled with if it is not to read as zero: as a pointer it leads
/// nowhere.
const GARBAGE: u8 = 0xc5;

/// When calls that may fail do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Never,
    /// The call of this number, counted from 0.
    Only(usize),
    /// That call and all later ones.
    From(usize),
}

/// How a [`Probe`] behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    pub(crate) refusal: Refusal,
    /// Memory is zero at first; otherwise garbage.
    pub(crate) fresh_is_zero: bool,
    /// What purging does; [`Purged::Unspecified`] leaves garbage.
    pub(crate) purged: Purged,
    pub(crate) remaps: bool,
    /// Reservations may come back in parts.
    pub(crate) splits: bool,
}

impl Habits {
    /// A source as good as the system's.
    pub(crate) const GOOD: Self = Self {
        refusal: Refusal::Never,
        fresh_is_zero: true,
        purged: Purged::Zeroed,
        remaps: true,
        splits: true,
    };
    /// A source that promises nothing it need not.
    pub(crate) const POOR: Self = Self {
        refusal: Refusal::Never,
        fresh_is_zero: false,
        purged: Purged::Unspecified,
        remaps: false,
        splits: false,
    };
}

/// A source over [`System`]. Clones are the same source, so that a test can look into it after its
/// heap is gone. Memory that is not committed cannot be touched: the process would end.
#[derive(Debug, Clone)]
pub(crate) struct Probe(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    habits: Habits,
    /// Calls that could be refused.
    calls: AtomicUsize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// By address.
    reservations: BTreeMap<usize, Reservation>,
    counts: Counts,
    /// Breaches of the contract of `Source`.
    faults: Vec<String>,
}

#[derive(Debug)]
struct Reservation {
    size: usize,
    align: usize,
    /// By page.
    committed: Vec<bool>,
}

/// Calls that were served.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) reserved: usize,
    pub(crate) released: usize,
    pub(crate) purged: usize,
    pub(crate) remapped: usize,
    /// Bytes that were to be used densely.
    pub(crate) dense: usize,
    /// Bytes reserved now.
    pub(crate) bytes: usize,
}

impl Probe {
    pub(crate) fn new(habits: Habits) -> Self {
        Self(Arc::new(Shared { habits, calls: AtomicUsize::new(0), ledger: Mutex::default() }))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().expect("nothing panics under the lock")
    }

    pub(crate) fn counts(&self) -> Counts {
        self.ledger().counts
    }

    /// Calls made so far that could have been refused.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }

    #[track_caller]
    pub(crate) fn assert_well_used(&self) {
        assert_eq!(self.ledger().faults, [""; 0]);
    }

    /// For when the heap is gone: everything came back, once, as it was reserved.
    #[track_caller]
    pub(crate) fn assert_balanced(&self) {
        self.assert_well_used();
        let ledger = self.ledger();
        assert!(ledger.reservations.is_empty(), "never released: {:?}", ledger.reservations.keys());
        let Counts { reserved, released, bytes, .. } = ledger.counts;
        assert!(bytes == 0 && (self.0.habits.splits || reserved == released), "{:?}", ledger.counts);
    }

    fn refuses(&self) -> bool {
        let call = self.0.calls.fetch_add(1, Ordering::Relaxed);
        match self.0.habits.refusal {
            Refusal::Never => false,
            Refusal::Only(number) => call == number,
            Refusal::From(number) => call >= number,
        }
    }
}

impl Ledger {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) -> bool {
        if !holds {
            self.faults.push(what());
        }
        holds
    }

    /// Where the reservation starts that these bytes are, or a part of. `None` if they are neither.
    fn whole(&mut self, start: NonNull<u8>, size: usize, align: usize, splits: bool) -> Option<usize> {
        let (from, to) = (start.addr().get(), start.addr().get() + size);
        let (&first, whole) = self.reservations.range(..=from).next_back()?;
        let (last, aligned) = (first + whole.size, whole.align == align);
        let begins = from == first || splits && from.is_multiple_of(align);
        let ends = to == last || splits && to < last && to.is_multiple_of(align);
        (aligned && begins && ends).then_some(first)
    }

    /// Takes `size` bytes at `from` out of the reservation that starts at `first`. The rest are reservations.
    fn cut(&mut self, first: usize, from: usize, size: usize) {
        let Reservation { align, committed, .. } =
            self.reservations.remove(&first).expect("the caller looked");
        let (before, behind) = ((from - first) / PAGE, (from - first + size) / PAGE);
        let rest = [(first, &committed[..before]), (from + size, &committed[behind..])];
        for (start, pages) in rest.into_iter().filter(|(_, pages)| !pages.is_empty()) {
            let rest = Reservation { size: pages.len() * PAGE, align, committed: pages.to_vec() };
            self.reservations.insert(start, rest);
        }
    }

    /// The pages of a range within one reservation.
    fn pages(&mut self, start: NonNull<u8>, size: usize, what: &str) -> &mut [bool] {
        let address = start.addr().get();
        let found = self.reservations.range(..=address).next_back().map(|(&start, r)| (start, r.size));
        let inside = found.filter(|&(start, length)| address + size <= start + length);
        let whole_pages = address.is_multiple_of(PAGE) && size.is_multiple_of(PAGE) && size > 0;
        if !self.check(inside.is_some() && whole_pages, || format!("{what} {address:#x} + {size:#x}")) {
            return &mut [];
        }
        let (start, _) = inside.expect("checked just now");
        let pages = (address - start) / PAGE..(address - start + size) / PAGE;
        &mut self.reservations.get_mut(&start).expect("found just now").committed[pages]
    }
}

/// # Safety
/// The range is nobody's, or about to be made so.
unsafe fn protect(start: NonNull<u8>, size: usize, access: libc::c_int) {
    // SAFETY: passed on; the range is of whole pages of one mapping.
    let done = unsafe { libc::mprotect(start.as_ptr().cast(), size, access) };
    assert_eq!(done, 0, "mprotect");
}

// SAFETY: memory comes from `System`, which keeps the contract; what this adds only takes away
// access before a part is committed, and contents where the heap has none.
unsafe impl Source for Probe {
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        if self.refuses() {
            return None;
        }
        let start = System.reserve(size, align)?;
        // SAFETY: just reserved.
        unsafe { protect(start, size, libc::PROT_NONE) };
        let mut ledger = self.ledger();
        ledger.check(size.is_multiple_of(PAGE) && align.is_power_of_two() && align >= 4 << 20, || {
            format!("reserve {size:#x} aligned to {align:#x}")
        });
        ledger.counts.reserved += 1;
        ledger.counts.bytes += size;
        let committed = vec![false; size / PAGE];
        ledger.reservations.insert(start.addr().get(), Reservation { size, align, committed });
        Some(start)
    }

    unsafe fn commit(&self, start: NonNull<u8>, size: usize) -> bool {
        if self.refuses() {
            return false;
        }
        let mut ledger = self.ledger();
        let pages = ledger.pages(start, size, "commit outside of reservations");
        let again = pages.contains(&true);
        pages.fill(true);
        ledger.check(!again, || format!("committed twice: {start:?} + {size:#x}"));
        // SAFETY: the range is in a reservation, and the heap has not used it yet.
        unsafe {
            protect(start, size, libc::PROT_READ | libc::PROT_WRITE);
            if !self.0.habits.fresh_is_zero {
                start.write_bytes(GARBAGE, size);
            }
        }
        true
    }

    unsafe fn purge(&self, start: NonNull<u8>, size: usize) -> Purged {
        let mut ledger = self.ledger();
        let committed = ledger.pages(start, size, "purge outside of reservations").iter().all(|&page| page);
        ledger.check(committed, || format!("purged before it was committed: {start:?} + {size:#x}"));
        ledger.counts.purged += usize::from(self.0.habits.purged != Purged::Kept);
        match self.0.habits.purged {
            // SAFETY: passed on.
            Purged::Zeroed => return unsafe { System.purge(start, size) },
            // SAFETY: the heap needs nothing in the range.
            Purged::Unspecified => unsafe { start.write_bytes(GARBAGE, size) },
            Purged::Kept => {}
        }
        self.0.habits.purged
    }

    unsafe fn release(&self, start: NonNull<u8>, size: usize, align: usize) {
        let mut ledger = self.ledger();
        let whole = ledger.whole(start, size, align, self.0.habits.splits);
        if ledger.check(whole.is_some(), || format!("released as {size:#x} aligned to {align:#x}: {start:?}"))
        {
            ledger.cut(whole.expect("checked just now"), start.addr().get(), size);
            ledger.counts.released += 1;
            ledger.counts.bytes -= size;
            // SAFETY: passed on.
            unsafe { System.release(start, size, align) };
        }
    }

    unsafe fn remap(
        &self,
        start: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        if !self.0.habits.remaps || self.refuses() {
            return None;
        }
        let mut ledger = self.ledger();
        let whole = ledger.whole(start, old_size, align, self.0.habits.splits);
        ledger
            .check(whole.is_some(), || format!("remapped as {old_size:#x} aligned to {align:#x}: {start:?}"));
        let committed =
            ledger.pages(start, old_size, "remapped outside of reservations").iter().all(|&page| page);
        ledger.check(committed, || format!("remapped before it was committed: {start:?}"));
        // SAFETY: passed on.
        let moved = unsafe { System.remap(start, old_size, new_size, align) }?;
        if !self.0.habits.fresh_is_zero && new_size > old_size {
            // SAFETY: the range was just added, and the heap has not used it yet.
            unsafe { moved.add(old_size).write_bytes(GARBAGE, new_size - old_size) };
        }
        ledger.cut(whole?, start.addr().get(), old_size);
        let committed = vec![true; new_size / PAGE];
        ledger.reservations.insert(moved.addr().get(), Reservation { size: new_size, align, committed });
        ledger.counts.remapped += 1;
        ledger.counts.bytes = ledger.counts.bytes - old_size + new_size;
        Some(moved)
    }

    unsafe fn expect_dense(&self, start: NonNull<u8>, size: usize) {
        let mut ledger = self.ledger();
        ledger.pages(start, size, "huge pages outside of reservations");
        ledger.counts.dense += size;
    }

    fn splits(&self) -> bool {
        self.0.habits.splits
    }

    fn fresh_is_zero(&self) -> bool {
        self.0.habits.fresh_is_zero
    }
}
