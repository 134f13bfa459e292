//! The allocators that the same job runs on.

use serde::{Deserialize, Serialize};

/// An allocator to compare. The system's is [`allocator_api2::alloc::System`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Contender {
    /// A `blockyard::Heap`, passed as `&Heap`.
    Blockyard,
    /// [`blockyard::Global`], whose handle takes no room in containers.
    Global,
    /// The `mimalloc` crate.
    #[cfg(feature = "peer-mimalloc")]
    Mimalloc,
    /// What `malloc` is on this system.
    System,
}

impl Contender {
    /// All of them, ours first: the others are compared with it.
    pub(super) const ALL: &[Self] = &[
        Self::Blockyard,
        Self::Global,
        #[cfg(feature = "peer-mimalloc")]
        Self::Mimalloc,
        Self::System,
    ];

    /// The value of `--contender` that selects it.
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Blockyard => "blockyard",
            Self::Global => "global",
            #[cfg(feature = "peer-mimalloc")]
            Self::Mimalloc => "mimalloc",
            Self::System => "system",
        }
    }

    /// What it is called in tables, with its version.
    pub(super) fn label(self) -> String {
        match self {
            Self::Blockyard => "blockyard &Heap".to_owned(),
            Self::Global => "blockyard Global".to_owned(),
            #[cfg(feature = "peer-mimalloc")]
            Self::Mimalloc => format!("mimalloc {}", super::mimalloc_memory::version()),
            Self::System => system_label(),
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn system_label() -> String {
    // SAFETY: returns a pointer to a constant, NUL-terminated string that is never freed.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn system_label() -> String {
    "system malloc".to_owned()
}

/// Gives back what the system's `malloc` holds but does not use, of all threads.
pub(super) fn collect_system() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn flags_select_their_contenders() {
        for &contender in Contender::ALL {
            assert_eq!(Contender::from_str(contender.flag(), false), Ok(contender));
            assert!(!contender.label().is_empty());
        }
    }
}
