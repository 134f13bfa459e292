//! Calls as events.

use core::alloc::Layout;
use core::mem;
use core::ptr::NonNull;
use std::panic::{self, AssertUnwindSafe};

use tracing::{debug, trace};

use super::around::{Answer, Around, implement_around};
use crate::allocator_api2::alloc::{AllocError, Allocator};

/// An allocator that tells the [`tracing`] crate of each call: with target `blockyard`, as level TRACE, and what is
/// refused as level DEBUG. Fields are the layer's `name`, the `block`'s address, its `size` and `align`; where it was
/// resized, `old_block` and `old_size` as well.
///
/// `Clone` where the child is.
///
/// A subscriber that panics does not disturb the program: its panic ends at this layer, after the panic hook has run, and
/// the event is lost. A subscriber must not allocate from the allocator that it is told about. Needs the feature
/// `tracing`.
///
/// # Cost
///
/// While nobody listens, a load and a comparison; else what the subscriber does.
///
/// # Examples
///
/// ```
/// use blockyard::{Global, allocator_api2::vec::Vec, layers::Logging};
///
/// let mut numbers = Vec::new_in(Logging::new(Global, "numbers"));
/// numbers.push(1); // TRACE blockyard: allocate name="numbers" block=0x7f0c6a400000 size=16 align=4
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Logging<A> {
    child: A,
    name: &'static str,
}

impl<A> Logging<A> {
    /// Tells of calls to `child`, as `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// let memory = blockyard::layers::Logging::new(blockyard::Global, "scene");
    /// assert_eq!(memory.name(), "scene");
    /// ```
    #[must_use]
    pub const fn new(child: A, name: &'static str) -> Self {
        Self { child, name }
    }

    /// The child allocator. What is allocated there is not told.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::Logging};
    ///
    /// assert_eq!(*Logging::new(Global, "scene").child(), Global);
    /// ```
    #[must_use]
    pub const fn child(&self) -> &A {
        &self.child
    }

    /// The name given to `new`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::Logging::new(blockyard::Global, "scene").name(), "scene");
    /// ```
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn resized(&self, block: NonNull<u8>, old: Layout, new: Layout, answer: Answer) -> Answer {
        let (name, old_block, old_size) = (self.name, block.as_ptr(), old.size());
        let (size, align) = (new.size(), new.align());
        undisturbed(|| match answer {
            Ok(block) => trace!(
                target: "blockyard",
                name, block = ?block.cast::<u8>(), size, align, ?old_block, old_size, "resize"
            ),
            Err(AllocError) => {
                debug!(target: "blockyard", name, ?old_block, old_size, size, align, "resize refused");
            }
        });
        answer
    }
}

/// Runs what the subscriber does. The child has answered, so a panic must not get out: the block would be nobody's, or
/// the caller's pointer stale.
fn undisturbed(tell: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(tell)) {
        mem::forget(payload); // its destructor may panic, too
    }
}

impl<A: Allocator> Around for Logging<A> {
    type Child = A;

    #[inline(always)]
    fn child(&self) -> &A {
        &self.child
    }
    fn on_allocate(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        let (name, size, align) = (self.name, layout.size(), layout.align());
        let answer = ask();
        undisturbed(|| match answer {
            Ok(block) => {
                trace!(target: "blockyard", name, block = ?block.cast::<u8>(), size, align, "allocate");
            }
            Err(AllocError) => debug!(target: "blockyard", name, size, align, "allocate refused"),
        });
        answer
    }
    fn on_grow(&self, block: NonNull<u8>, old: Layout, new: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        self.resized(block, old, new, ask())
    }
    fn on_shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        ask: impl FnOnce() -> Answer,
    ) -> Answer {
        self.resized(block, old, new, ask())
    }
    fn on_free(&self, block: NonNull<u8>, layout: Layout, free: impl FnOnce()) {
        let (name, size, align) = (self.name, layout.size(), layout.align());
        undisturbed(|| trace!(target: "blockyard", name, ?block, size, align, "free"));
        free();
    }
}
implement_around!([A: Allocator] Logging<A>);
