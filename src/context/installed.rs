//! The guard form.

use core::fmt;
use std::rc::Rc;

use super::Ambient;
use super::frame::{Frame, Served};
use super::slots::{self, Guard};

/// An allocator that is current until this guard is dropped; see [`install`].
///
/// It stays on its thread:
///
/// ```compile_fail,E0277
/// let guard = blockyard::context::install(blockyard::Global);
/// std::thread::spawn(move || drop(guard));
/// ```
#[must_use = "the allocator is installed until the guard is dropped, which is now"]
pub struct Installed(Option<Rc<Guard>>);

/// Makes an allocator current until the guard is dropped. [`with_allocator`](super::with_allocator) does it
/// for the length of a closure, and leaves nothing to get wrong.
///
/// # Order
///
/// The current allocator is that of the newest guard that is alive:
///
/// - A guard that is dropped before a newer one waits for it; then both are undone.
/// - A guard that is forgotten stays installed until the scope around it ends, or else the thread does; its
///   allocator lives as long. That is a way to equip a thread for good.
/// - A guard that leaves the scope (a closure of this module's) in which it was made ends with the scope;
///   dropping it then does nothing. One from outside that is dropped in a scope is undone after the scope.
///
/// # Cost
///
/// Two small allocations.
///
/// # Examples
///
/// ```
/// use blockyard::{Heap, allocator_api2::boxed::Box, context};
///
/// let guard = context::install(Heap::new());
/// let number = Box::new_in(7, context::current());
/// drop(guard);
/// assert_eq!(context::current(), context::Current::GLOBAL);
/// assert_eq!(*number, 7); // the heap lives as long as its last handle
/// ```
///
/// A guard stays on its thread:
///
/// ```compile_fail,E0277
/// let guard = blockyard::context::install(blockyard::Heap::new());
/// std::thread::spawn(move || drop(guard));
/// ```
pub fn install(allocator: impl Into<Ambient>) -> Installed {
    let name = slots::top().and_then(|frame| frame.name.clone());
    Installed::new(Frame::new(Served::from_ambient(allocator.into()), name))
}

impl Installed {
    pub(super) fn new(frame: Option<Rc<Frame>>) -> Self {
        Self(slots::install(frame))
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if let Some(guard) = &self.0 {
            guard.end();
        }
    }
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref().and_then(|guard| guard.frame()) {
            Some(frame) => Frame::describe(frame.as_deref(), "Installed", f),
            None => f.write_str("Installed { ended }"),
        }
    }
}
