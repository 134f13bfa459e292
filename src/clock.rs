//! The purge clock: coarse monotonic time.

/// Milliseconds since some point before the process began; never 0.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn now_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`. It reads a page shared with the kernel, some 5 ns,
    // at the resolution of the timer tick (1 to 10 ms).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    (time.tv_sec as u64) * 1000 + (time.tv_nsec as u64) / 1_000_000 + 1
}

/// Milliseconds since the first call, plus one.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn now_ms() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}
