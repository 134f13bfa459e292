//! Handles to the current allocator.

use core::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::frame::{Frame, Served};
use super::slots;

/// A handle to what was this thread's current allocator when it was made.
///
/// It is an [`Allocator`](crate::allocator_api2::alloc::Allocator) of one pointer, for containers to keep.
/// The allocator lives as long as the last handle, however its scope ends. The default is [`current()`], so a
/// type with such containers can derive `Default`.
///
/// What is allocated through one of two handles that are equal can be freed through the other.
///
/// # Examples
///
/// ```
/// use blockyard::context::{self, Current};
/// use hashbrown::{DefaultHashBuilder, HashMap};
///
/// #[derive(Default)]
/// struct Level {
///     heights: HashMap<u32, u32, DefaultHashBuilder, Current>,
/// }
///
/// let level = context::with_arena(|| {
///     let mut level = Level::default();
///     level.heights.extend((0..100).map(|n| (n, n * n)));
///     level
/// });
/// assert_eq!(level.heights[&99], 9801); // the arena is not reset before the level is dropped
/// ```
///
/// A handle stays on its thread:
///
/// ```compile_fail,E0277
/// let current = blockyard::context::current();
/// std::thread::spawn(move || drop(current));
/// ```
#[derive(Clone)]
pub struct Current(Option<Rc<Frame>>);

/// This thread's current allocator: [`Global`](crate::Global) where nothing is installed.
///
/// # Cost
///
/// Some two nanoseconds: a read of a thread-local, and a count where something is installed.
///
/// # Examples
///
/// ```
/// use blockyard::{allocator_api2::boxed::Box, context};
///
/// let number = Box::new_in(7, context::current());
/// assert_eq!(*number, 7);
/// ```
#[inline]
#[must_use]
pub fn current() -> Current {
    Current(slots::top())
}

/// The name that [`with_name`](super::with_name) or [`Context::enter`](super::Context::enter) installed.
///
/// # Examples
///
/// ```
/// use blockyard::context;
///
/// assert_eq!(context::name(), None);
/// context::with_name("physics", || assert_eq!(context::name().as_deref(), Some("physics")));
/// ```
#[must_use]
pub fn name() -> Option<Arc<str>> {
    slots::top().and_then(|frame| frame.name.clone())
}

impl Current {
    /// What [`current`] returns where nothing is installed.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::context::current(), blockyard::context::Current::GLOBAL);
    /// ```
    pub const GLOBAL: Self = Self(None);

    /// `None` for `Global` without a name.
    #[inline]
    pub(super) fn served(&self) -> Option<&Served> {
        self.0.as_deref().map(|frame| &frame.served)
    }
}

impl Default for Current {
    #[inline]
    fn default() -> Self {
        current()
    }
}

impl PartialEq for Current {
    fn eq(&self, other: &Self) -> bool {
        match (self.served().unwrap_or(&Served::Global), other.served().unwrap_or(&Served::Global)) {
            (Served::Global, Served::Global) => true,
            (Served::Heap(ours), Served::Heap(other)) => Arc::ptr_eq(ours, other),
            (Served::Users(ours), Served::Users(other)) => Arc::ptr_eq(ours, other),
            (Served::Arena(ours), Served::Arena(other)) => Rc::ptr_eq(ours, other),
            _ => false,
        }
    }
}

impl Eq for Current {}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Frame::describe(self.0.as_deref(), "Current", f)
    }
}
