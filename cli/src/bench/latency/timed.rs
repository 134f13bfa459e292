//! A contender whose every call is timed.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::sync::Mutex;

use quanta::Clock;

use super::Run;
use super::tail::Times;
use crate::bench::contender::{Contender, Need, Reach, Role, ThreadAlloc};
use crate::bench::machine;

/// A call this long, in nanoseconds, is looked into: did its thread keep its core?
const LONG: u64 = 5_000;
/// Calls after which a thread asks how often it has lost its core, so that a loss is not blamed on a later call.
const ASK_EVERY: u32 = 512;

thread_local! {
    /// What the calling thread's beginning has taken so far; added to its first allocation.
    static BEGINNING: Cell<u64> = const { Cell::new(0) };
}

/// What all threads that have ended their part came to.
static TOTALS: Mutex<Option<Totals>> = Mutex::new(None);

/// `C`, with every call timed.
pub(crate) struct Timed<C: Contender> {
    inner: &'static C,
    timer: Timer,
}

impl<C: Contender> Timed<C> {
    pub(crate) fn new(inner: &'static C) -> Self {
        Self { inner, timer: Timer::start() }
    }
}

impl<C: Contender> Contender for Timed<C> {
    type Local = TimedLocal<C::Local>;

    const NAME: &'static str = C::NAME;
    const ROLE: Role = C::ROLE;
    const REACH: Reach = C::REACH;
    const COLLECTS: bool = C::COLLECTS;

    fn start() -> Self {
        Self::new(Box::leak(Box::new(C::start())))
    }

    fn thread_start(&'static self) {
        let ((), ns) = self.timer.time(|| self.inner.thread_start());
        BEGINNING.set(ns);
    }

    fn thread_end(&'static self) {
        self.inner.thread_end();
    }

    fn local(&'static self, need: Need) -> Self::Local {
        let (inner, ns) = self.timer.time(|| self.inner.local(need));
        let timer = self.timer.clone();
        let log = Log::new(BEGINNING.take() + ns, timer.overhead);
        TimedLocal { inner, timer, log: RefCell::new(log) }
    }

    fn collect(&'static self) {
        self.inner.collect();
    }
}

/// A clock of cycles, and what reading it twice takes.
#[derive(Clone)]
struct Timer {
    clock: Clock,
    /// In nanoseconds: the median of pairs with nothing in between.
    overhead: u64,
}

impl Timer {
    fn start() -> Self {
        let mut timer = Self { clock: Clock::new(), overhead: 0 };
        let mut empty: Vec<u64> = (0..100_001).map(|_| timer.time(|| ()).1).collect();
        empty.sort_unstable();
        timer.overhead = empty[empty.len() / 2];
        timer
    }

    #[inline(always)]
    fn time<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let start = self.clock.raw();
        let result = work();
        let end = self.clock.raw();
        (result, self.clock.delta_as_nanos(start, end).saturating_sub(self.overhead))
    }
}

/// One thread's times.
struct Log {
    alloc: Times,
    free: Times,
    birth: Times,
    overhead: u64,
    /// What the thread's beginning took; none once it has allocated.
    beginning: Option<u64>,
    /// How often the thread had lost its core when it was asked last.
    losses: u64,
    losses_at_start: u64,
    until_asked: u32,
}

impl Log {
    fn new(beginning: u64, overhead: u64) -> Self {
        let losses = machine::cores_lost();
        Self {
            alloc: Times::new(),
            free: Times::new(),
            birth: Times::new(),
            overhead,
            beginning: Some(beginning),
            losses,
            losses_at_start: losses,
            until_asked: ASK_EVERY,
        }
    }

    /// Whether the thread may have lost its core in a call that took `ns`.
    #[inline(always)]
    fn disturbed(&mut self, ns: u64) -> bool {
        self.until_asked -= 1;
        if ns < LONG && self.until_asked > 0 {
            return false;
        }
        self.until_asked = ASK_EVERY;
        let losses = machine::cores_lost();
        let disturbed = losses != self.losses;
        self.losses = losses;
        disturbed
    }

    #[inline(always)]
    fn allocated(&mut self, ns: u64) {
        let disturbed = self.disturbed(ns);
        self.alloc.add(ns, disturbed);
        if let Some(beginning) = self.beginning.take() {
            self.birth.add(beginning + ns, disturbed);
        }
    }

    #[inline(always)]
    fn freed(&mut self, ns: u64) {
        let disturbed = self.disturbed(ns);
        self.free.add(ns, disturbed);
    }
}

/// Everything that was timed in this process.
pub(crate) struct Totals {
    alloc: Times,
    free: Times,
    birth: Times,
    overhead: u64,
    losses: u64,
}

impl Totals {
    /// What has come together, all locals being gone.
    pub(crate) fn take() -> Self {
        TOTALS.lock().expect("not poisoned").take().expect("a local has been used and dropped")
    }

    pub(crate) fn run(&self, page_faults: u64) -> Run {
        let (alloc, free) = (self.alloc.tail(), self.free.tail());
        Run {
            alloc,
            free,
            birth: self.birth.tail(),
            timer: self.overhead as f64,
            page_faults: page_faults as f64 * 1e3 / (alloc.calls + free.calls).max(1) as f64,
            preemptions: self.losses,
        }
    }
}

/// A thread's way to its allocator, with a log that is added to the totals when it is dropped.
pub(crate) struct TimedLocal<L> {
    inner: L,
    timer: Timer,
    log: RefCell<Log>,
}

impl<L> Drop for TimedLocal<L> {
    fn drop(&mut self) {
        let log = self.log.get_mut();
        let mut totals = TOTALS.lock().expect("not poisoned");
        let totals = totals.get_or_insert_with(|| Totals {
            alloc: Times::new(),
            free: Times::new(),
            birth: Times::new(),
            overhead: log.overhead,
            losses: 0,
        });
        totals.alloc.merge(&log.alloc);
        totals.free.merge(&log.free);
        totals.birth.merge(&log.birth);
        totals.losses += machine::cores_lost() - log.losses_at_start;
    }
}

// SAFETY: forwards to a `ThreadAlloc` and looks at the clock.
unsafe impl<L: ThreadAlloc> ThreadAlloc for TimedLocal<L> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        let (block, ns) = self.timer.time(|| unsafe { self.inner.alloc(layout) });
        self.log.borrow_mut().allocated(ns);
        block
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        let ((), ns) = self.timer.time(|| unsafe { self.inner.dealloc(block, layout) });
        self.log.borrow_mut().freed(ns);
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        let (block, ns) = self.timer.time(|| unsafe { self.inner.alloc_zeroed(layout) });
        self.log.borrow_mut().allocated(ns);
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        let (block, ns) = self.timer.time(|| unsafe { self.inner.realloc(block, layout, new_size) });
        self.log.borrow_mut().allocated(ns);
        block
    }
}
