//! An allocator that watches how another one is used.
//!
//! [`Debug`](struct@Debug) pads every block with a canary (`block`), enters it in its books (`table`), and
//! holds what is freed in a quarantine. What it finds is a [`Report`], which `deliver` takes where the
//! [`Policy`] says. The books are kept in the C library's memory (`private`), so that a `Debug` may be the
//! program's allocator. `child` is how it reaches the allocator below, `allocator` the traits above.

mod allocator;
mod block;
mod child;
mod deliver;
mod private;
mod record;
mod registry;
mod report;
mod shadow;
mod shard;
mod table;
mod trace;

use core::alloc::Layout;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use self::child::{Way, release};
use self::deliver::deliver;
use self::private::Private;
use self::record::{Entry, Gone, Made, State};
pub use self::report::{Misuse, Policy, Report};
use self::table::{Freed, Quick, Table};
pub use self::trace::{Event, Trace};
use crate::allocator_api2::{boxed::Box, vec::Vec};

/// Bytes in quarantine by default, for each thread: some 6,500 blocks of 64 bytes.
const QUARANTINE: usize = 512 << 10;

/// An allocator over any other one that finds what is done wrong with it: leaks, double and invalid frees,
/// wrong layouts, writes past the end and after the free, frees in the wrong allocator.
///
/// `&Debug<A>` is an [`Allocator`](crate::allocator_api2::alloc::Allocator) where `A` is one, and `Debug<A>`
/// a `GlobalAlloc` where `A` is one, so it can be the program's. It may be shared between threads where `A`
/// may.
///
/// Each block has 16 bytes behind it that nobody may write, looked at when it is freed and by
/// [`check`](Self::check). A freed block is overwritten (its first 64 KiB) and waits in a quarantine: until
/// that is full its address is not used again, a second free of it is recognised, and when it leaves, or
/// `check` is called, a write to it is found. Blocks always move when they are resized, so that pointers to
/// their old places show. What is reported goes where the [`Policy`] says; a refused free leaves the block as
/// it was.
///
/// # Cost
///
/// A pair of 64 bytes takes some 9 times what a heap alone takes, and 5 times without a quarantine
/// (measured on a loaded machine with two cores; see `docs/performance.md`). A thread that frees its
/// own blocks uses books of its own, without a lock. Who frees another thread's block takes that thread's lock, and its
/// owner, too, for its next 128 calls. Poisoning, and the look at it when a block leaves the quarantine, go over the
/// block once each. There are 64 bytes of books for each block that is allocated or in quarantine, and 8 for each 32
/// bytes of address space in which blocks begin. [Traces](Self::traces) come on top.
///
/// # Examples
///
/// ```
/// use std::sync::Mutex;
/// use blockyard::{Debug, Heap, Misuse, Policy, Report};
/// use blockyard::allocator_api2::alloc::{Allocator, Layout};
///
/// static FOUND: Mutex<Vec<Misuse>> = Mutex::new(Vec::new());
/// fn note(report: &Report) {
///     FOUND.lock().unwrap().push(report.misuse);
/// }
///
/// let heap = Heap::new();
/// let debug = Debug::new(&heap).policy(Policy::Call(&note));
/// let layout = Layout::new::<u64>();
/// let block = (&debug).allocate(layout).unwrap().cast::<u8>();
/// // SAFETY: none: this is what `Debug` is there to find.
/// unsafe {
///     block.add(8).write(1);
///     (&debug).deallocate(block, layout);
///     (&debug).deallocate(block, layout);
/// }
/// assert_eq!(*FOUND.lock().unwrap(), [Misuse::Overflow { offset: 8 }, Misuse::DoubleFree]);
/// ```
///
/// As the program's allocator:
///
/// ```
/// use blockyard::{Debug, Global, Policy};
///
/// #[global_allocator]
/// static ALLOCATOR: Debug<Global> = Debug::new(Global).name("program").policy(Policy::Abort);
///
/// let before = ALLOCATOR.mark();
/// std::mem::forget(vec![1, 2, 3]);
/// assert_eq!(ALLOCATOR.leaks_since(before).len(), 1);
/// ```
///
/// It does not go before its blocks:
///
/// ```compile_fail,E0505
/// use blockyard::{Debug, Global, allocator_api2::boxed::Box};
///
/// let debug = Debug::new(Global);
/// let number = Box::new_in(7, &debug);
/// drop(debug);
/// println!("{number}");
/// ```
#[doc(alias = "DebugAllocator")]
#[doc(alias = "GeneralPurposeAllocator")]
pub struct Debug<A> {
    /// The books, made when the first block is allocated; null until then. They do not move with the
    /// allocator.
    table: AtomicPtr<Table>,
    /// How often [`mark`](Self::mark) was called; wraps.
    epoch: AtomicU32,
    settings: Settings,
    child: A,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    name: &'static str,
    policy: Policy,
    /// Bytes in quarantine at most.
    quarantine: usize,
    /// Calls kept for each event; 0 is none.
    frames: usize,
}

/// A moment in a [`Debug`](struct@Debug) allocator's life. See [`Debug::mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u32);

/// A block that is allocated, and by the program.
fn leak(entry: &Entry) -> Option<Report> {
    (entry.state() == State::Live && !entry.is_ours()).then(|| entry.report(Misuse::Leak, None))
}

impl<A> fmt::Debug for Debug<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debug").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<A> Debug<A> {
    /// Watches how `child` is used: reports go to standard error, 512 KiB are in quarantine, no traces are
    /// kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Debug, Global};
    ///
    /// static ALLOCATOR: Debug<Global> = Debug::new(Global);
    /// assert!(ALLOCATOR.leaks().is_empty());
    /// ```
    #[must_use]
    pub const fn new(child: A) -> Self {
        let settings = Settings { name: "debug", policy: Policy::Stderr, quarantine: QUARANTINE, frames: 0 };
        Self { table: AtomicPtr::new(ptr::null_mut()), epoch: AtomicU32::new(0), settings, child }
    }

    /// Names the allocator in reports. The default is `debug`.
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.settings.name = name;
        self
    }

    /// What happens when a misuse is found. The default is [`Policy::Stderr`].
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// How many bytes of freed blocks are kept from being used again at most, for each thread that allocated
    /// them, 16 more than was asked for each. The default is 512 KiB.
    ///
    /// The oldest block leaves first; a larger one than all of it goes back at once. What a thread leaves when it
    /// ends the next one goes on with, and above 255 threads some share one quarantine. With 0 there is
    /// no quarantine: no write after a free is found, and a second free is an invalid one, or is taken for a
    /// free of the block that is there by then.
    #[must_use]
    pub const fn quarantine(mut self, bytes: usize) -> Self {
        self.settings.quarantine = bytes;
        self
    }

    /// Keeps up to this many calls, at most 240, for each allocation and each free, the innermost first. The
    /// default is 0: none.
    ///
    /// To keep them neither locks nor allocates from what is being watched; names are looked up when a report
    /// is displayed.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Debug, Global, allocator_api2::boxed::Box};
    ///
    /// let debug = Debug::new(Global).traces(8);
    /// let number = Box::new_in(7, &debug);
    /// println!("{}", debug.leaks()[0]); // "leak of the block of 4 bytes", who and where
    /// ```
    #[cfg(feature = "backtrace")]
    #[must_use]
    pub const fn traces(mut self, frames: usize) -> Self {
        self.settings.frames = if frames < 240 { frames } else { 240 };
        self
    }

    /// The allocator below. Blocks of it that did not come from here are unknown here.
    #[must_use]
    pub const fn child(&self) -> &A {
        &self.child
    }

    /// Every block that is allocated now. The reports are returned, and not delivered.
    ///
    /// # Cost
    ///
    /// A walk over all blocks, shard by shard; threads that use the shard at hand wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Debug, Global, allocator_api2::boxed::Box};
    ///
    /// let debug = Debug::new(Global);
    /// let number = Box::new_in(7, &debug);
    /// assert_eq!(debug.leaks().len(), 1);
    /// drop(number);
    /// assert!(debug.leaks().is_empty());
    /// ```
    #[must_use]
    pub fn leaks(&self) -> std::vec::Vec<Report> {
        self.live(|_| true)
    }

    /// The blocks allocated since `mark` that are still allocated.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Debug, Global, allocator_api2::boxed::Box};
    ///
    /// let debug = Debug::new(Global);
    /// let before = Box::new_in(1, &debug);
    /// let mark = debug.mark();
    /// let since = Box::new_in([2; 10], &debug);
    /// let leaks = debug.leaks_since(mark);
    /// assert_eq!((leaks.len(), leaks[0].layout.size()), (1, 40));
    /// ```
    #[must_use]
    pub fn leaks_since(&self, mark: Mark) -> std::vec::Vec<Report> {
        // Epochs wrap: later ones are up to half of all numbers ahead.
        self.live(|entry| entry.epoch.wrapping_sub(mark.0) <= u32::MAX / 2)
    }

    /// This moment, for [`leaks_since`](Self::leaks_since). What other threads allocate just now may fall on
    /// either side.
    #[must_use]
    pub fn mark(&self) -> Mark {
        // ORDER: Relaxed; a block's epoch is read on the thread that allocates it.
        Mark(self.epoch.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }

    /// Looks at every block now: at the bytes behind those that are allocated, and at those in quarantine.
    /// The reports are returned, and not delivered; damage is reported again when the block is freed or
    /// leaves.
    ///
    /// # Cost
    ///
    /// As for [`leaks`](Self::leaks), and a read of all memory in quarantine.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Debug, Global, Misuse, Policy, allocator_api2::boxed::Box};
    ///
    /// let debug = Debug::new(Global).policy(Policy::Call(&|_report| ()));
    /// let mut bytes = Box::new_in([0_u8; 4], &debug);
    /// assert!(debug.check().is_empty());
    /// // SAFETY: none: this is what `Debug` is there to find.
    /// unsafe { bytes.as_mut_ptr().add(4).write(1) };
    /// assert_eq!(debug.check()[0].misuse, Misuse::Overflow { offset: 4 });
    /// ```
    #[must_use]
    pub fn check(&self) -> std::vec::Vec<Report> {
        let now = self.event();
        self.all(|entry| Some(entry.report(entry.damage()?, Some(now.clone()))))
    }

    fn live(&self, is_wanted: impl Fn(&Entry) -> bool) -> std::vec::Vec<Report> {
        self.all(|entry| if is_wanted(entry) { leak(entry) } else { None })
    }

    fn all(&self, f: impl FnMut(&Entry) -> Option<Report>) -> std::vec::Vec<Report> {
        let Some(table) = self.books() else { return std::vec::Vec::new() };
        let found = table.collect(f);
        found.into_iter().map(|report| self.signed(report)).collect()
    }

    fn signed(&self, report: Report) -> Report {
        Report { allocator: self.settings.name, ..report }
    }

    #[inline]
    fn event(&self) -> Event {
        Event::now(self.settings.frames)
    }

    /// The books, if there are any.
    #[inline]
    fn books(&self) -> Option<&Table> {
        // ORDER: Acquire, pairs with the Release in `open_books`; publishes the table.
        // SAFETY: a table that was published stays until the allocator is dropped.
        unsafe { self.table.load(Ordering::Acquire).as_ref() }
    }

    /// The books, made if need be; `None` when there is no memory for them.
    #[cold]
    fn open_books(&self) -> Option<&Table> {
        let made = Box::into_raw(Table::new()?);
        // ORDER: Release, pairs with the Acquire here and in `books`.
        let before = self.table.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire);
        // SAFETY: the table is a box's, and stays until the allocator is dropped if it was published; nobody
        // else has seen it otherwise.
        unsafe {
            match before {
                Ok(_) => registry::add(NonNull::new_unchecked(made), self.settings.name),
                Err(_) => drop(Box::from_raw_in(made, Private)),
            }
        }
        self.books()
    }

    /// Gives what left the books to the child.
    ///
    /// # Safety
    /// `gone` was taken off the table, which is this allocator's.
    #[cold]
    unsafe fn release(&self, table: &Table, gone: Gone) {
        let Gone { block, layout, way } = gone;
        // SAFETY: (D1) the child's block, which nobody has any more, and the way that it came.
        unsafe { table.release(way)(ptr::from_ref(&self.child).cast(), block, layout) };
    }

    /// Says what was found, if anything was.
    #[inline]
    fn tell(&self, found: Vec<Report, Private>, may_unwind: bool) {
        if !found.is_empty() {
            self.tell_some(found, may_unwind);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_some(&self, mut found: Vec<Report, Private>, may_unwind: bool) {
        for report in &mut found {
            report.allocator = self.settings.name;
            if report.misuse != Misuse::Leak && report.noticed.is_none() {
                report.noticed = Some(self.event());
            }
            let table = NonNull::new(self.table.load(Ordering::Acquire)).unwrap_or(NonNull::dangling());
            if report.misuse == Misuse::InvalidFree
                && let Some(owner) = registry::owner(table, report.address)
            {
                report.misuse = Misuse::WrongAllocator { owner };
            }
        }
        deliver(self.settings.policy, &found, may_unwind);
    }

    /// A block for `layout`.
    #[inline(always)]
    fn take<W: Way<A>>(&self, layout: Layout, zeroed: bool) -> Option<NonNull<u8>> {
        let padded = block::padded(layout)?;
        let table = match self.books() {
            Some(table) => table,
            None => self.open_books()?,
        };
        let block = W::take(&self.child, padded, zeroed)?;
        // SAFETY: the child's block for the padded layout, nobody else's; the way is this one's.
        unsafe {
            block::guard(block, layout);
            table.set_release(W::NUMBER, release::<A, W>);
        }
        if let Some(by) = trace::this_thread_at_work()
            && self.settings.frames == 0
        {
            let epoch = self.epoch.load(Ordering::Relaxed);
            let made = Made { block, layout, by: by.get(), way: W::NUMBER, epoch, is_ours: false };
            if table.insert_quickly(&made) {
                return Some(block);
            }
        }
        self.enter(table, block, layout, W::NUMBER)
    }

    /// Enters a block in the books. `None`, and the block is the child's again, when there is no memory for
    /// that.
    #[cold]
    #[inline(never)]
    fn enter(&self, table: &Table, block: NonNull<u8>, layout: Layout, way: u8) -> Option<NonNull<u8>> {
        let (epoch, is_ours) = (self.epoch.load(Ordering::Relaxed), trace::is_looking_up());
        if table.insert(Made { block, layout, by: self.event(), way, epoch, is_ours }) {
            return Some(block);
        }
        // SAFETY: the child's, just taken, for this way.
        unsafe { self.release(table, Gone { block, layout, way }) };
        None
    }

    /// Frees a block, or says why not.
    ///
    /// # Safety
    /// The caller gives up `block`, if that is a block of this allocator.
    #[inline(always)]
    unsafe fn give<W: Way<A>>(&self, block: NonNull<u8>, layout: Layout) {
        if self.settings.frames == 0
            && let Some(table) = self.books()
            && let Some(by) = trace::this_thread_at_work()
        {
            let (address, share) = (block.addr().get(), self.settings.quarantine);
            // SAFETY: passed on; what comes back was just taken off the table.
            match unsafe { table.free_quickly(address, layout, W::NUMBER, share, by.get()) } {
                Some(Quick::Held(false)) => return,
                Some(Quick::Held(true)) => return self.give_rest::<W>(table),
                // SAFETY: (D1) the child's block, which nobody has any more, and came that way.
                Some(Quick::Alike(gone)) => unsafe {
                    return W::give(&self.child, gone, block::padded_before(layout));
                },
                None => {}
            }
        }
        // SAFETY: passed on.
        unsafe { self.give_slowly(block, layout, W::MAY_UNWIND) }
    }

    /// Lets blocks leave the calling thread's quarantine until it has no more than it may.
    #[inline(never)]
    fn give_rest<W: Way<A>>(&self, table: &Table) {
        let share = self.settings.quarantine;
        while let Some((gone, has_more)) = table.evict_quickly(share) {
            if gone.way == W::NUMBER {
                // SAFETY: (D1) the child's block, just taken off the table, and it came that way.
                unsafe { W::give(&self.child, gone.block, block::padded_before(gone.layout)) };
            } else {
                // SAFETY: just taken off the table.
                unsafe { self.release(table, gone) };
            }
            if !has_more {
                return;
            }
        }
        let mut found = Vec::new_in(Private);
        self.settle(table, table.own_number(), &mut found);
        self.tell(found, W::MAY_UNWIND);
    }

    /// [`give`](Self::give), whatever there is to it.
    ///
    /// # Safety
    /// As for `give`.
    #[cold]
    #[inline(never)]
    unsafe fn give_slowly(&self, block: NonNull<u8>, layout: Layout, may_unwind: bool) {
        let Some(table) = self.books().or_else(|| self.open_books()) else { return };
        let mut found = Vec::new_in(Private);
        // SAFETY: passed on.
        unsafe { self.retire(table, block, layout, true, &mut found) };
        self.tell(found, may_unwind);
    }

    /// Frees a block, into the quarantine or to the child. What leaves the quarantine for it goes to the
    /// child, if it `evicts`.
    ///
    /// # Safety
    /// As for [`give`](Self::give).
    unsafe fn retire(
        &self,
        table: &Table,
        block: NonNull<u8>,
        layout: Layout,
        evicts: bool,
        found: &mut Vec<Report, Private>,
    ) {
        let share = self.settings.quarantine;
        // SAFETY: passed on; what comes back was just taken off the table.
        unsafe {
            match table.free(block.addr().get(), layout, share, evicts, self.event(), found) {
                Freed::Released(gone) => self.release(table, gone),
                Freed::Held(Some(gone), has_more) => {
                    self.release(table, gone);
                    if let Some(shard) = has_more {
                        self.settle(table, shard, found);
                    }
                }
                Freed::Held(None, _) | Freed::Refused => {}
            }
        }
    }

    /// Lets blocks leave a shard's quarantine until it has no more than it may.
    #[cold]
    #[inline(never)]
    fn settle(&self, table: &Table, shard: u16, found: &mut Vec<Report, Private>) {
        while let Some(gone) = table.evict(shard, self.settings.quarantine, found) {
            // SAFETY: just taken off the table.
            unsafe { self.release(table, gone) };
        }
    }

    /// Moves what a block holds to a new one, and frees it. `None` when there is no memory or no such block;
    /// then nothing has changed.
    ///
    /// # Safety
    /// `block` is a live block of this allocator for `old`, or none at all; the caller gives it up where a
    /// block comes back.
    unsafe fn resize<W: Way<A>>(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        zeroed: bool,
    ) -> Option<NonNull<u8>> {
        let address = block.addr().get();
        // What there is to say is said before anything changes, since it may unwind.
        let mut found = Vec::new_in(Private);
        let look = |entry: &Entry| {
            if entry.state() != State::Live {
                return None;
            }
            let mismatch = (entry.layout() != old).then_some(Misuse::LayoutMismatch { given: old });
            let wrong = entry.damage().into_iter().chain(mismatch);
            found.extend(wrong.map(|misuse| entry.report(misuse, Some(self.event()))));
            Some(entry.layout())
        };
        let Some((table, layout)) = self.books().and_then(|table| Some((table, table.read(address, look)??)))
        else {
            // SAFETY: passed on; this says why not.
            unsafe { self.give::<W>(block, old) };
            return None;
        };
        self.tell(found, W::MAY_UNWIND);

        let moved = self.take::<W>(new, zeroed)?;
        let bytes = layout.size().min(old.size()).min(new.size());
        // SAFETY: two live blocks, both at least as long; the old one is given up.
        unsafe {
            moved.copy_from_nonoverlapping(block, bytes);
            // What is wrong with the block has been told.
            self.retire(table, block, layout, false, &mut Vec::new_in(Private));
        }
        Some(moved)
    }
}

impl<A> Drop for Debug<A> {
    /// Gives what is in quarantine to the child and reports what is still allocated, which stays the child's.
    fn drop(&mut self) {
        let Some(table) = NonNull::new(*self.table.get_mut()) else { return };
        registry::remove(table);
        // SAFETY: the table was a box's, and nobody else has it any more.
        let table = unsafe { Box::from_raw_in(table.as_ptr(), Private) };
        let mut found = Vec::new_in(Private);
        while let Some(gone) = table.evict_any(&mut found) {
            // SAFETY: just taken off the table.
            unsafe { self.release(&table, gone) };
        }
        found.extend(table.collect(leak));
        drop(table);
        self.tell(found, true);
    }
}
