//! Time that does not run while others have the core.

use std::time::Duration;

/// Processor time: what a wall clock would show if nobody else used the machine.
///
/// Rows with one thread at a time use it, because nobody waits for anybody there and a machine that is
/// shared with others would otherwise show their work too. The system's part (page faults, mapping, births
/// of threads) is included. Rows with several threads use the wall clock: waiting is part of what they
/// measure.
pub(crate) struct CpuClock {
    clock: libc::clockid_t,
    start: Duration,
}

impl CpuClock {
    /// Of the calling thread.
    #[inline(always)]
    pub(crate) fn of_thread() -> Self {
        Self::start(libc::CLOCK_THREAD_CPUTIME_ID)
    }

    /// Of all threads of the process together.
    pub(crate) fn of_process() -> Self {
        Self::start(libc::CLOCK_PROCESS_CPUTIME_ID)
    }

    #[inline(always)]
    fn start(clock: libc::clockid_t) -> Self {
        Self { clock, start: now(clock) }
    }

    #[inline(always)]
    pub(crate) fn elapsed(&self) -> Duration {
        now(self.clock).saturating_sub(self.start)
    }
}

fn now(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both clocks exist on every system that the suite runs on, and `time` is there to be written.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(failed, 0, "the system has no clock of processor time");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
