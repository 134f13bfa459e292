//! The peers that come with a `GlobalAlloc` of their own: called through it, as their users do.

use super::{Contender, Need, Role, Stateless};

/// The C library's `malloc`, by way of `std::alloc::System`.
pub(crate) struct Glibc;

impl Contender for Glibc {
    type Local = Stateless<std::alloc::System>;

    const NAME: &'static str = "glibc";
    const ROLE: Role = Role::Peer;
    const COLLECTS: bool = cfg!(target_env = "gnu");

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(std::alloc::System)
    }

    #[cfg(target_env = "gnu")]
    fn collect(&'static self) {
        // SAFETY: `malloc_trim` may be called at any time from any thread.
        unsafe { libc::malloc_trim(0) };
    }
}

/// mimalloc, the version that the `mimalloc` crate builds by default.
#[cfg(feature = "peer-mimalloc")]
pub(crate) struct Mimalloc;

#[cfg(feature = "peer-mimalloc")]
impl Contender for Mimalloc {
    type Local = Stateless<mimalloc::MiMalloc>;

    const NAME: &'static str = "mimalloc";
    const ROLE: Role = Role::Peer;
    const COLLECTS: bool = true;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(mimalloc::MiMalloc)
    }

    fn collect(&'static self) {
        unsafe extern "C" {
            fn mi_collect(force: bool);
        }
        // SAFETY: part of the library that the `mimalloc` crate links, with this signature in its public
        // header; it may be called at any time from any thread.
        unsafe { mi_collect(true) };
    }
}

/// snmalloc, built without its checks.
#[cfg(feature = "peer-snmalloc")]
pub(crate) struct Snmalloc;

#[cfg(feature = "peer-snmalloc")]
impl Contender for Snmalloc {
    type Local = Stateless<snmalloc_rs::SnMalloc>;

    const NAME: &'static str = "snmalloc";
    const ROLE: Role = Role::Peer;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(snmalloc_rs::SnMalloc)
    }
}

/// jemalloc 5.3, without its background threads.
#[cfg(feature = "peer-jemalloc")]
pub(crate) struct Jemalloc;

#[cfg(feature = "peer-jemalloc")]
impl Contender for Jemalloc {
    type Local = Stateless<tikv_jemallocator::Jemalloc>;

    const NAME: &'static str = "jemalloc";
    const ROLE: Role = Role::Peer;
    const COLLECTS: bool = true;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(tikv_jemallocator::Jemalloc)
    }

    fn collect(&'static self) {
        use std::ffi::{c_char, c_int, c_void};
        use std::ptr::null_mut;

        unsafe extern "C" {
            fn _rjem_mallctl(
                name: *const c_char,
                old: *mut c_void,
                old_len: *mut usize,
                new: *mut c_void,
                new_len: usize,
            ) -> c_int;
        }
        // 4096 stands for "all arenas" in jemalloc's control tree.
        for name in [c"thread.tcache.flush", c"arena.4096.purge"] {
            // SAFETY: part of the library that `tikv-jemallocator` links, with this signature in its
            // public header; both names take no value and may be written at any time.
            unsafe { _rjem_mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
        }
    }
}

/// rallocator: a port of snmalloc to Rust.
pub(crate) struct Rallocator;

impl Contender for Rallocator {
    type Local = Stateless<rallocator::Rallocator>;

    const NAME: &'static str = "rallocator";
    const ROLE: Role = Role::Peer;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(rallocator::Rallocator)
    }
}
