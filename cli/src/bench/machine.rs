//! Where and from what the numbers come.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// The system's mode for transparent huge pages.
    pub(crate) huge_pages: String,
    /// Runnable threads on average over the last minute, when the run began: others' work disturbs.
    pub(crate) load: f64,
    /// What the system takes to hand over a page of 4 KiB at its first touch, in nanoseconds.
    pub(crate) first_touch_ns: f64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let cpu_info = read("/proc/cpuinfo");
        let memory_info = read("/proc/meminfo");
        let huge_pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
        Self {
            cpu: field(&cpu_info, "model name").unwrap_or_else(|| "unknown".into()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kibibytes(&memory_info, "MemTotal").unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            huge_pages: between(&huge_pages, '[', ']').unwrap_or("unknown").to_owned(),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            first_touch_ns: first_touch(),
        }
    }
}

/// The commit of the source tree that this was built from, where it is still there; `+` when changed.
pub(crate) fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR")]).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { commit + "+" } else { commit })
}

/// This process's resident memory, exactly, in bytes.
pub(crate) fn resident() -> u64 {
    kibibytes(&read("/proc/self/smaps_rollup"), "Rss").unwrap_or(0)
}

/// This process's address space, in bytes.
pub(crate) fn mapped() -> u64 {
    kibibytes(&read("/proc/self/status"), "VmSize").unwrap_or(0)
}

/// The largest resident memory since the start or the last [`reset_peak`], in bytes.
pub(crate) fn resident_peak() -> u64 {
    kibibytes(&read("/proc/self/status"), "VmHWM").unwrap_or(0)
}

/// Lets [`resident_peak`] start from here. Where the system refuses, the peak since the start stands, which
/// is that of a process that has done nothing yet.
pub(crate) fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Pages that the system has handed to the calling thread so far, without reading from a disk.
pub(crate) fn page_faults() -> u64 {
    usage_of(libc::RUSAGE_THREAD).ru_minflt as u64
}

/// The same, of all threads of the process, those that have ended included.
pub(crate) fn process_faults() -> u64 {
    usage_of(libc::RUSAGE_SELF).ru_minflt as u64
}

/// How often the calling thread was taken from its core although it had work to do.
pub(crate) fn cores_lost() -> u64 {
    usage_of(libc::RUSAGE_THREAD).ru_nivcsw as u64
}

fn usage_of(who: libc::c_int) -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the system fills the structure in, all of it, where it does not fail.
    unsafe {
        let failed = libc::getrusage(who, usage.as_mut_ptr());
        assert_eq!(failed, 0, "the system counts no page faults");
        usage.assume_init()
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What follows `name:` in a file of such lines.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = field(text, name)?;
    let number: u64 = value.strip_suffix(" kB")?.trim().parse().ok()?;
    Some(number << 10)
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    Some(text.split_once(open)?.1.split_once(close)?.0)
}

/// Touches fresh pages of the system.
fn first_touch() -> f64 {
    const PAGE: usize = 4 << 10;
    const PAGES: usize = 4_000;
    // SAFETY: a fresh private mapping, written within its bounds and unmapped once.
    unsafe {
        let (read_write, private) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let null = std::ptr::null_mut();
        let start = libc::mmap(null, PAGE * PAGES, read_write, private, -1, 0);
        if start == libc::MAP_FAILED {
            return 0.0;
        }
        let bytes: *mut u8 = start.cast();
        let clock = Instant::now();
        for page in 0..PAGES {
            bytes.add(page * PAGE).write_volatile(1);
        }
        let elapsed = clock.elapsed();
        libc::munmap(start, PAGE * PAGES);
        elapsed.as_secs_f64() * 1e9 / PAGES as f64
    }
}
