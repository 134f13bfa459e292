//! The closure forms.

use std::sync::Arc;

use super::frame::{Frame, Served};
use super::{Ambient, slots};

/// Runs `f` with `allocator` as this thread's current one, and restores what was there.
///
/// # Cost
///
/// A small allocation.
///
/// # Panics
///
/// When `f` does; what was there is restored all the same.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use blockyard::{Global, Heap, allocator_api2::vec::Vec, context};
///
/// let level = Arc::new(Heap::new());
/// context::with_allocator(&level, || {
///     let meshes = Vec::<u32, _>::with_capacity_in(100, context::current());
///     context::with_allocator(Global, || assert_eq!(context::current(), context::Current::GLOBAL));
///     assert_eq!(level.stats().blocks.live(), 1);
/// });
/// ```
pub fn with_allocator<R>(allocator: impl Into<Ambient>, f: impl FnOnce() -> R) -> R {
    let name = slots::top().and_then(|frame| frame.name.clone());
    let _scope = slots::Scope::new(Frame::new(Served::from_ambient(allocator.into()), name));
    f()
}

/// Runs `f` with an arena as this thread's current allocator, and restores what was there.
///
/// The arena is leased from the stack of [`temp::scope`](crate::temp::scope). It is reset and goes back when
/// the closure has ended and the last [`Current`](super::Current) of it is gone, whichever is later.
///
/// # Cost
///
/// Two small allocations, and what a lease costs.
///
/// # Panics
///
/// When `f` does; what was there is restored all the same.
///
/// # Examples
///
/// ```
/// use blockyard::{allocator_api2::vec::Vec, context};
///
/// let total: u64 = context::with_arena(|| {
///     let mut numbers = Vec::new_in(context::current());
///     numbers.extend(0..1000_u64);
///     numbers.iter().sum()
/// });
/// assert_eq!(total, 499_500);
/// ```
pub fn with_arena<R>(f: impl FnOnce() -> R) -> R {
    with_allocator(Ambient::arena(), f)
}

/// Runs `f` with a name for what it does, and restores the one that was there. The current allocator stays.
///
/// # Cost
///
/// Two small allocations, one with an `Arc<str>` that is there already.
///
/// # Panics
///
/// When `f` does; the name that was there is restored all the same.
///
/// # Examples
///
/// ```
/// use blockyard::context;
///
/// context::with_name("frame", || {
///     context::with_name("physics", || assert_eq!(context::name().as_deref(), Some("physics")));
///     assert_eq!(context::name().as_deref(), Some("frame"));
/// });
/// ```
pub fn with_name<R>(name: impl Into<Arc<str>>, f: impl FnOnce() -> R) -> R {
    let served = slots::top().map_or(Served::Global, |frame| frame.served.clone());
    let _scope = slots::Scope::new(Frame::new(served, Some(name.into())));
    f()
}
