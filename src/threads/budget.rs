//! So many bytes for all threads together, to the byte, of which each thread takes without asking.
//!
//! A thread is granted bytes on its [`Line`]; what it takes of them, and what comes back, it notes there alone. Who asks
//! for more than is left closes the lines and adds up what threads have really taken. So nobody is refused what fits, and
//! nobody is ever given what does not.
//!
//! (L3) Under the lock: what is settled and what is granted are together no more than the least bound above what is settled:
//! the soft one, or the hard one. Above the soft one, what is settled less what lines may fall is above it, too. So no
//! bound is crossed by what happens on lines, and no peak rises unnoticed.

use crate::sync::{Lock, MutexGuard, barrier_of_all};
use crate::threads::Line;

/// Bytes granted to one thread where there are several: what a peak may be off by for each.
const STEP: isize = if cfg!(loom) { 1 } else { 64 << 10 };
/// With fewer bytes than that on a line its owner would soon be back.
const LEAST: isize = if cfg!(loom) { 1 } else { 1 << 10 };
/// Calls under the lock after lines of others were closed, before one is opened again: what closing costs (some 0.5 to
/// 5 µs) should be small beside what lines save.
const CALLS: u32 = if cfg!(loom) { 1 } else { 128 };

/// A number of bytes for all threads. The lines that are handed to it are those of one meter.
#[derive(Debug)]
pub(crate) struct Budget {
    hard: isize,
    soft: isize,
    books: Lock<Books>,
}

#[derive(Debug)]
struct Books {
    /// Bytes in use but for what was taken on open lines, or came back on them.
    settled: isize,
    /// Granted on open lines.
    granted: isize,
    /// By how much open lines may fall, where that counts.
    down: isize,
    /// The most that were in use.
    peak: isize,
    /// Lines that are open.
    open: usize,
    /// Lines that were ever opened.
    lines: usize,
    /// Calls to come before a line is opened.
    calm: u32,
}

/// Bytes that were taken, for a request that may still fail.
#[derive(Debug)]
pub(crate) enum Charge {
    /// On the thread's line, where they were the most yet; and what had been before.
    Line(isize),
    /// On the thread's line, which was closed just then.
    Seen,
    /// In the books: the peak before and after, and the bytes in use where they have crossed the soft bound.
    Books { peak: [isize; 2], crossed: Option<usize> },
}

fn clamped(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

impl Budget {
    #[cfg(not(loom))]
    pub(crate) const fn new(hard: usize) -> Self {
        let hard = if hard > isize::MAX as usize { isize::MAX } else { hard as isize };
        Self { hard, soft: isize::MAX, books: Lock::new(Books::new()) }
    }
    #[cfg(loom)]
    pub(crate) fn new(hard: usize) -> Self {
        Self { hard: clamped(hard), soft: isize::MAX, books: Lock::new(Books::new()) }
    }

    /// With a soft bound, where there was none.
    pub(crate) fn with_soft<'l, I: Iterator<Item = &'l Line>>(
        self,
        soft: usize,
        lines: impl Fn() -> I,
    ) -> Self {
        self.books.lock().recall(&lines);
        Self { soft: clamped(soft), ..self }
    }

    /// Takes so many bytes; `None` where they are too many. `line` is the calling thread's, if it may be opened, and
    /// `stored` what its `left` was before the step for these bytes was undone, if there was one.
    pub(crate) fn take<'l, I: Iterator<Item = &'l Line>>(
        &self,
        line: Option<&Line>,
        stored: Option<isize>,
        bytes: usize,
        lines: impl Fn() -> I,
    ) -> Option<Charge> {
        let mut books = self.books.lock();
        if books.begin(line, stored, &lines) {
            return Some(Charge::Seen);
        }
        let bytes = clamped(bytes);
        if bytes > books.headroom(self.bound_above(&books)) {
            books.recall(&lines);
            if bytes > books.headroom(self.hard) {
                self.end(books, line);
                return None;
            }
        }
        let (before, peak) = (books.settled, books.peak);
        let now = before + bytes;
        books.settled = now;
        books.note_peak(&lines);
        let peak = [peak, books.peak];
        self.end(books, line);
        let crossed = (before <= self.soft && now > self.soft).then_some(now.unsigned_abs());
        Some(Charge::Books { peak, crossed })
    }

    /// Gives so many bytes back. `line` and `stored` are as for [`take`](Self::take).
    pub(crate) fn give<'l, I: Iterator<Item = &'l Line>>(
        &self,
        line: Option<&Line>,
        stored: Option<isize>,
        bytes: usize,
        lines: impl Fn() -> I,
    ) {
        let mut books = self.books.lock();
        if books.begin(line, stored, &lines) {
            return;
        }
        self.settle_fewer(&mut books, bytes, &lines);
        self.end(books, line);
    }

    /// Gives back what a request that has failed took in the books, and forgets the peak it made, unless there was a
    /// higher one. `line` is the caller's, if it may be opened.
    pub(crate) fn refund<'l, I: Iterator<Item = &'l Line>>(
        &self,
        line: Option<&Line>,
        bytes: usize,
        [before, after]: [isize; 2],
        lines: impl Fn() -> I,
    ) {
        let mut books = self.books.lock();
        // It was opened for that peak: what is below it would not be noticed.
        if let Some(line) = line.filter(|line| line.is_open()) {
            line.close();
            books.settle(line);
            line.was_seen(None);
        }
        if books.peak == after {
            books.peak = before;
        }
        self.settle_fewer(&mut books, bytes, &lines);
        self.end(books, line);
    }

    /// So many bytes less are settled.
    fn settle_fewer<'l, I: Iterator<Item = &'l Line>>(
        &self,
        books: &mut Books,
        bytes: usize,
        lines: &impl Fn() -> I,
    ) {
        let bytes = clamped(bytes);
        if books.settled > self.soft && books.settled - bytes - books.down <= self.soft {
            books.recall(lines);
        }
        books.settled -= bytes;
    }

    /// Bytes in use now, and the most there have been.
    pub(crate) fn read<'l>(&self, lines: impl Iterator<Item = &'l Line>) -> (usize, usize) {
        let books = self.books.lock();
        let (mut now, mut peak) = (books.settled, books.settled);
        for line in lines.filter(|line| line.is_open()) {
            now += line.taken();
            peak += line.most();
        }
        let now = now.clamp(0, self.hard).unsigned_abs();
        (now, books.peak.max(peak).unsigned_abs().max(now))
    }

    /// The least bound that is not crossed yet.
    fn bound_above(&self, books: &Books) -> isize {
        if books.settled > self.soft { self.hard } else { self.hard.min(self.soft) }
    }

    /// Opens the caller's line if that is worth it, and lets go of the lock.
    fn end(&self, mut books: MutexGuard<'_, Books>, line: Option<&Line>) {
        let Some(line) = line else { return };
        if books.calm > 0 {
            books.calm -= 1;
            return;
        }
        if line.is_new() {
            books.lines += 1;
        }
        let is_above = books.settled > self.soft;
        let up = books.headroom(self.bound_above(&books));
        let down = if is_above { books.settled - books.down - self.soft - 1 } else { isize::MAX };
        let is_alone = books.lines == 1;
        let share = |all: isize| {
            if is_alone { all } else { STEP.min(all / (2 * books.lines).cast_signed()) }
        };
        let (granted, falls) = (share(up), share(down));
        if !is_alone && granted.min(falls) < LEAST {
            return;
        }
        let below_peak = books.peak.saturating_sub(books.settled).saturating_sub(books.granted).max(0);
        line.open(
            granted,
            (granted - below_peak).max(0),
            granted.saturating_add(falls),
            if is_above { falls } else { 0 },
        );
        books.granted += granted;
        books.down += line.down();
        books.open += 1;
    }
}

impl Books {
    const fn new() -> Self {
        Self { settled: 0, granted: 0, down: 0, peak: 0, open: 0, lines: 0, calm: 0 }
    }

    /// Bytes below `bound` that nobody has or was granted.
    fn headroom(&self, bound: isize) -> isize {
        bound.saturating_sub(self.settled).saturating_sub(self.granted)
    }

    /// Settles the caller's line, if it is open. Whether its step was settled by whoever closed it.
    fn begin<'l, I: Iterator<Item = &'l Line>>(
        &mut self,
        line: Option<&Line>,
        stored: Option<isize>,
        lines: &impl Fn() -> I,
    ) -> bool {
        let Some(line) = line else { return false };
        if line.is_open() {
            self.note_peak(lines);
            line.close();
            self.settle(line);
            line.was_seen(None);
            return false;
        }
        line.was_seen(stored)
    }

    /// Of a line that was closed.
    fn settle(&mut self, line: &Line) {
        self.granted -= line.granted();
        self.down -= line.down();
        self.settled += line.settle();
        self.open -= 1;
    }

    fn note_peak<'l, I: Iterator<Item = &'l Line>>(&mut self, lines: &impl Fn() -> I) {
        let mut now = self.settled;
        if self.open > 0 {
            now += lines().filter(|line| line.is_open()).map(Line::most).sum::<isize>();
        }
        self.peak = self.peak.max(now);
    }

    /// Closes and settles every line. What is settled then is what is in use.
    #[cold]
    fn recall<'l, I: Iterator<Item = &'l Line>>(&mut self, lines: &impl Fn() -> I) {
        if self.open == 0 {
            return;
        }
        let open = || lines().filter(|line| line.is_open());
        let most: isize = open().map(Line::close).sum();
        self.peak = self.peak.max(self.settled + most);
        barrier_of_all();
        open().for_each(|line| self.settle(line));
        self.calm = CALLS;
    }
}
