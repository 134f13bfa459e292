//! How much memory this process has in RAM.

use serde::{Deserialize, Serialize};

/// Resident memory of a process at some points of the job, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Footprint {
    /// Before the job: the program and the list of files.
    pub(super) start: u64,
    /// The most there ever was, as the kernel keeps it.
    pub(super) peak: u64,
    /// With half of the index dropped.
    pub(super) half: u64,
    /// With all of it dropped, all threads still there.
    pub(super) end: u64,
    /// After every thread has asked for unused memory to be given back. `None` where there is no such call.
    pub(super) collected: Option<u64>,
}

/// The resident memory of this process now, in bytes. `None` where there is no `/proc`.
pub(super) fn resident() -> Option<u64> {
    status_field("VmRSS:")
}

/// The most resident memory this process has had, in bytes. `None` where there is no `/proc`.
pub(super) fn peak_resident() -> Option<u64> {
    status_field("VmHWM:")
}

fn status_field(name: &str) -> Option<u64> {
    parse_status(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

/// Reads a line such as `VmRSS:      1234 kB`, which counts units of 1024 bytes.
fn parse_status(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 12 kB\nThreads:\t1\n";
        assert_eq!(parse_status(status, "VmRSS:"), Some(12 * 1024));
        assert_eq!(parse_status(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(parse_status(status, "Threads:"), None);
        assert_eq!(parse_status(status, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(resident().unwrap() > 0);
        assert!(peak_resident().unwrap() >= resident().unwrap() / 2);
    }
}
