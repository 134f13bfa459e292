//! One arena, lent.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;

use super::kept::{self, Node};
use crate::Arena;

/// Bytes up to which an idle arena keeps all it has: as much as the largest chunk.
const SMALL: usize = 1 << 20;

/// An arena of this thread's, until it is dropped: then it is reset and goes back to the thread's stack.
///
/// What is allocated borrows the lease, so it cannot outlive it. For the length of a closure,
/// [`scope`](super::scope) is shorter. A lease that is forgotten is leaked, and harms nobody.
///
/// # Cost
///
/// That of [`scope`](super::scope).
///
/// # Examples
///
/// ```
/// use blockyard::temp::Lease;
///
/// let lease = Lease::new();
/// let name = lease.alloc_str("hull");
/// let other = Lease::new(); // another arena
/// assert_eq!(other.stats().used, 0);
/// assert_eq!(name, "hull");
/// ```
///
/// ```compile_fail,E0505
/// let lease = blockyard::temp::Lease::new();
/// let number = lease.alloc(1);
/// drop(lease);
/// *number += 1;
/// ```
///
/// It stays on its thread:
///
/// ```compile_fail,E0277
/// let lease = blockyard::temp::Lease::new();
/// std::thread::spawn(move || drop(lease));
/// ```
pub struct Lease {
    node: ManuallyDrop<Box<Node>>,
    /// The arena goes back to the thread that it is from.
    _not_send: PhantomData<*mut ()>,
}

impl Lease {
    /// The arena that came back last, or a fresh one.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(*blockyard::temp::Lease::new().alloc(7), 7);
    /// ```
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self { node: ManuallyDrop::new(kept::take()), _not_send: PhantomData }
    }

    /// Takes back all that was allocated, and keeps the chunks as an idle arena does.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lease = blockyard::temp::Lease::new();
    /// for frame in 0..3_u64 {
    ///     lease.alloc(frame);
    ///     lease.reset();
    /// }
    /// assert_eq!(lease.stats().used, 0);
    /// ```
    #[inline]
    pub fn reset(&mut self) {
        self.node.arena.reset_for_reuse(SMALL);
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.reset();
        // SAFETY: not used again: this is the end of the lease.
        kept::put(unsafe { ManuallyDrop::take(&mut self.node) });
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Lease {
    type Target = Arena;

    #[inline(always)]
    fn deref(&self) -> &Arena {
        &self.node.arena
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.node.arena).finish()
    }
}
