//! What can be installed.

use core::any::type_name;
use core::fmt;
use std::sync::Arc;

use crate::allocator_api2::alloc::Allocator;
use crate::{Global, Heap};

/// An allocator that can be current: [`Global`], a heap that threads share, an allocator of your own, or an
/// arena of the thread that installs it.
///
/// Functions here take `impl Into<Ambient>`: `Global`, `Arc<Heap>`, `&Arc<Heap>` and `Heap` convert,
/// everything else goes through [`new`](Self::new). Clones share the allocator. An allocator that borrows
/// something cannot be installed, for handles may outlive any scope.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use blockyard::{Heap, allocator_api2::alloc, context::{self, Ambient}};
///
/// let heap = Arc::new(Heap::new());
/// for ambient in [Ambient::from(&heap), Ambient::new(alloc::Global), Ambient::arena()] {
///     context::with_allocator(ambient, || println!("{:?}", context::current()));
/// }
/// ```
#[derive(Clone, Default)]
pub struct Ambient(pub(super) Kind);

#[derive(Clone, Default)]
pub(super) enum Kind {
    #[default]
    Global,
    Heap(Arc<Heap>),
    Users(Arc<dyn Installable>),
    /// One that the installing thread leases.
    Arena,
}

/// An allocator of any type, which can say what it is.
pub(super) trait Installable: Allocator + Send + Sync {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl Ambient {
    /// Any allocator, for all threads that it is captured for.
    ///
    /// # Cost
    ///
    /// One allocation, and an indirect call at each use.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{allocator_api2::{alloc, boxed::Box}, context::{self, Ambient}};
    ///
    /// let own = Ambient::new(alloc::Global); // or a type of yours
    /// context::with_allocator(own, || assert_eq!(*Box::new_in(7, context::current()), 7));
    /// ```
    #[must_use]
    pub fn new<A: Allocator + Send + Sync + 'static>(allocator: A) -> Self {
        Self(Kind::Users(Arc::new(OfUser(allocator))))
    }

    /// An arena that each installation leases from its thread's stack, the one of
    /// [`temp::scope`](crate::temp::scope): the current allocator of [`with_arena`](super::with_arena).
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{allocator_api2::boxed::Box, context::{self, Ambient}};
    ///
    /// let arena = context::install(Ambient::arena());
    /// let number = Box::new_in(7, context::current());
    /// drop(arena);
    /// assert_eq!(*number, 7); // its handle keeps the arena
    /// ```
    #[must_use]
    pub const fn arena() -> Self {
        Self(Kind::Arena)
    }
}

impl From<Global> for Ambient {
    fn from(_: Global) -> Self {
        Self(Kind::Global)
    }
}

impl From<Arc<Heap>> for Ambient {
    fn from(heap: Arc<Heap>) -> Self {
        Self(Kind::Heap(heap))
    }
}

impl From<&Arc<Heap>> for Ambient {
    fn from(heap: &Arc<Heap>) -> Self {
        heap.clone().into()
    }
}

impl From<Heap> for Ambient {
    fn from(heap: Heap) -> Self {
        Arc::new(heap).into()
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Global => fmt::Debug::fmt(&Global, f),
            Kind::Heap(heap) => fmt::Debug::fmt(heap, f),
            Kind::Users(users) => users.describe(f),
            Kind::Arena => f.write_str("Arena"),
        }
    }
}

pub(super) struct OfUser<A>(pub(super) A);

impl<A: Allocator + Send + Sync> Installable for OfUser<A> {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(type_name::<A>())
    }
}
