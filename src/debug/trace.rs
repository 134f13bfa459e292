//! Who did something, and from where.

use core::cell::Cell;
use core::fmt;
use core::num::NonZero;

use super::private::Private;
use crate::allocator_api2::{boxed::Box, vec::Vec};
use crate::threads::os_thread_id;

thread_local! {
    /// This thread's number; 0 when it has not been asked for yet, or names are being looked up.
    static THREAD: Cell<u32> = const { Cell::new(0) };
    /// Names of functions are being looked up: what is allocated for that is ours.
    static LOOKING_UP: Cell<bool> = const { Cell::new(false) };
}

/// Whether what this thread allocates now is for reports, not the program's.
#[inline]
pub(super) fn is_looking_up() -> bool {
    LOOKING_UP.get()
}

/// This thread's number in the operating system, where that is known and what the thread does is the program's.
#[inline(always)]
pub(super) fn this_thread_at_work() -> Option<NonZero<u32>> {
    NonZero::new(THREAD.get())
}

/// This thread's number in the operating system.
pub(super) fn this_thread() -> u32 {
    match THREAD.get() {
        0 => ask_for_thread(),
        thread => thread,
    }
}

#[cold]
#[inline(never)]
fn ask_for_thread() -> u32 {
    let thread = os_thread_id() as u32;
    if !is_looking_up() {
        THREAD.set(thread);
    }
    thread
}

/// Something that happened to a block: which thread did it, and from where.
///
/// # Examples
///
/// See [`Report`](super::Report).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event {
    /// The thread's number in the operating system.
    pub thread: u64,
    /// The calls that led there, where the allocator [was told](super::Debug::traces) to keep them.
    pub trace: Option<Trace>,
}

impl Event {
    #[inline(always)]
    pub(super) fn now(frames: usize) -> Self {
        Self { thread: this_thread().into(), trace: if frames == 0 { None } else { Trace::capture(frames) } }
    }
}

/// The calls that led somewhere, innermost first. Displayed with the names of functions, files and lines,
/// which are looked up then.
#[derive(Clone)]
pub struct Trace {
    frames: Box<Frames, Private>,
}

#[derive(Clone)]
struct Frames {
    addresses: Vec<usize, Private>,
    /// Those that are displayed; the rest is in case the first ones are the allocator's own.
    wanted: usize,
}

impl Trace {
    #[cfg(not(feature = "backtrace"))]
    fn capture(_wanted: usize) -> Option<Self> {
        None
    }

    /// Neither locks nor allocates from what is being debugged.
    #[cfg(feature = "backtrace")]
    #[cold]
    fn capture(wanted: usize) -> Option<Self> {
        /// Calls between the program's own and this one, at most.
        const OWN: usize = 12;
        // What looks names up allocates; nobody asks from where.
        if is_looking_up() {
            return None;
        }
        let most = wanted.saturating_add(OWN).min(256);
        let mut addresses = Vec::new_in(Private);
        addresses.try_reserve_exact(most).ok()?;
        let frame = |frame: &backtrace::Frame| {
            addresses.push(frame.ip().addr());
            addresses.len() < most
        };
        // SAFETY: what this does not synchronise is the unwinder, and on Unix that is safe to use on any
        // thread.
        #[cfg(unix)]
        unsafe {
            backtrace::trace_unsynchronized(frame);
        }
        #[cfg(not(unix))]
        looking_up(|| backtrace::trace(frame));
        Some(Self { frames: Box::try_new_in(Frames { addresses, wanted }, Private).ok()? })
    }

    /// The return addresses, the allocator's own calls first.
    #[must_use]
    pub fn addresses(&self) -> &[usize] {
        &self.frames.addresses
    }
}

#[cfg(feature = "backtrace")]
fn looking_up<R>(f: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            LOOKING_UP.set(self.0);
        }
    }
    let _before = Before(LOOKING_UP.replace(true));
    THREAD.set(0);
    f()
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.addresses()).finish()
    }
}

#[cfg(not(feature = "backtrace"))]
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls = self.addresses().iter().take(self.frames.wanted);
        calls.try_for_each(|address| writeln!(f, "    at {address:#x}"))
    }
}

#[cfg(feature = "backtrace")]
impl fmt::Display for Trace {
    /// A line per call.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.frames.wanted;
        let mut inside = true;
        for &address in self.addresses() {
            if left == 0 {
                break;
            }
            let text = looking_up(|| describe(address, inside));
            inside = inside && text.is_none();
            if let Some(text) = text {
                writeln!(f, "    at {text}")?;
                left -= 1;
            }
        }
        Ok(())
    }
}

/// The functions at an address, several where they were inlined; `None` for those of the allocator itself,
/// which are looked for at the trace's beginning.
#[cfg(feature = "backtrace")]
fn describe(address: usize, inside: bool) -> Option<String> {
    use core::fmt::Write;

    let mut text = String::new();
    let mut is_own = false;
    backtrace::resolve(core::ptr::without_provenance_mut(address), |symbol| {
        let Some(name) = symbol.name().map(|name| format!("{name:#}")) else { return };
        let own = ["blockyard::debug::", "backtrace::", "__rust_"].iter().any(|own| name.contains(own));
        if inside && own {
            is_own = true;
            return;
        }
        let separator = if text.is_empty() { "" } else { ", inlined in " };
        // A `String` takes what it is given.
        let _ = match (symbol.filename(), symbol.lineno()) {
            (Some(file), Some(line)) => write!(text, "{separator}{name} ({}:{line})", file.display()),
            _ => write!(text, "{separator}{name}"),
        };
    });
    if text.is_empty() {
        if is_own {
            return None;
        }
        let _ = write!(text, "{address:#x}");
    }
    Some(text)
}
