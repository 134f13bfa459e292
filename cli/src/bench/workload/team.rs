//! Threads that start together.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

use super::CpuClock;
use crate::bench::contender::{Attached, Contender};

/// What a timed part took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// By the wall clock, or the thread's own time where there is only one.
    pub(crate) elapsed: Duration,
    /// Processor time of all threads together.
    pub(crate) processor: Duration,
}

impl From<Duration> for Took {
    /// Of work that one thread did.
    fn from(elapsed: Duration) -> Self {
        Self { elapsed, processor: elapsed }
    }
}

impl AddAssign for Took {
    fn add_assign(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.processor += other.processor;
    }
}

/// When one thread's timed part began and ended, and how long it worked.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: Instant,
    end: Instant,
    worked: Duration,
}

impl Span {
    /// From the first start to the last end; the thread's own time where there is only one.
    fn of_all(spans: &[Self]) -> Took {
        if let [only] = spans {
            return only.worked.into();
        }
        let start = spans.iter().map(|span| span.start).min();
        let end = spans.iter().map(|span| span.end).max();
        Took {
            elapsed: start.zip(end).map_or(Duration::ZERO, |(start, end)| end.duration_since(start)),
            processor: spans.iter().map(|span| span.worked).sum(),
        }
    }
}

/// Where the threads of a team wait for each other.
pub(crate) struct Gate {
    missing: AtomicUsize,
}

impl Gate {
    pub(crate) fn new(members: usize) -> Self {
        Self { missing: AtomicUsize::new(members) }
    }

    /// Waits until every member is here, then times `work`. To be called once by each member.
    pub(crate) fn time(&self, work: impl FnOnce()) -> Span {
        // ORDER: AcqRel pairs with the other members' own decrement and the load below: what a member set
        // up before the gate is seen by all of them after it.
        self.missing.fetch_sub(1, Ordering::AcqRel);
        let backoff = Backoff::new();
        while self.missing.load(Ordering::Acquire) > 0 {
            backoff.snooze();
        }
        let start = Instant::now();
        let clock = CpuClock::of_thread();
        work();
        Span { worked: clock.elapsed(), start, end: Instant::now() }
    }
}

/// Runs `job` on `members` fresh threads, attached to the contender, and returns how long their timed parts
/// took together. When it returns, the threads are gone, their thread-local destructors included.
pub(crate) fn team<C: Contender>(
    contender: &'static C,
    members: usize,
    job: impl Fn(usize, &Gate) -> Span + Sync,
) -> Took {
    let gate = Gate::new(members);
    let spans: Vec<Span> = thread::scope(|scope| {
        let threads: Vec<_> = (0..members)
            .map(|member| {
                let (gate, job) = (&gate, &job);
                scope.spawn(move || {
                    let _attached = Attached::new(contender);
                    job(member, gate)
                })
            })
            .collect();
        // Joined one by one: leaving the scope would not wait for thread-local destructors.
        threads.into_iter().map(|thread| thread.join().expect("a thread of the team panicked")).collect()
    });
    Span::of_all(&spans)
}

/// Runs `job` on `members` fresh threads, attached to the contender, and returns when they are gone, their
/// thread-local destructors included. Nobody waits for anybody.
pub(crate) fn generation<C: Contender>(contender: &'static C, members: usize, job: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..members)
            .map(|member| {
                let job = &job;
                scope.spawn(move || {
                    let _attached = Attached::new(contender);
                    job(member);
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("a thread of a generation panicked");
        }
    });
}

/// Times `work`, which starts and ends threads, `threads` of them at a time: by the wall clock, or as
/// processor time where there is only one.
pub(crate) fn watch(threads: usize, work: impl FnOnce()) -> Took {
    let (wall, processor) = (Instant::now(), CpuClock::of_process());
    work();
    let (wall, processor) = (wall.elapsed(), processor.elapsed());
    Took { elapsed: if threads == 1 { processor } else { wall }, processor }
}
