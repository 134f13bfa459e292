//! Temporary memory: whole arenas, lent by the thread for the length of a scope.
//!
//! Each thread has a stack of idle arenas. [`scope`] takes the top one, runs a closure on it, resets it
//! and puts it back, when the closure panics too. A scope inside a scope takes the next arena, and so does
//! a rayon job that is stolen inside a scope and opens its own: two scopes never share an arena, and nothing
//! is ever rewound under anyone. [`Lease`] is the same as a value, for what has no closure's shape.
//!
//! # What a thread keeps
//!
//! An idle arena keeps its chunks: all of them up to 1 MiB, and beyond that what recent scopes needed, which
//! falls by an eighth with each scope that needed less. So a frame loop asks for no memory after its first
//! frames, and one large scope is forgotten after some tens of smaller ones. A thread keeps at most 32 idle
//! arenas; they go when it ends, or with [`collect`].
//!
//! Calls from destructors of other thread-locals work: once the stack is gone, each lease is a fresh arena.
//!
//! # Examples
//!
//! ```
//! use blockyard::{allocator_api2::vec::Vec, temp};
//!
//! fn longest(words: &[&str]) -> usize {
//!     temp::scope(|t| {
//!         let mut lengths = Vec::new_in(t);
//!         lengths.extend(words.iter().map(|word| word.len()));
//!         lengths.into_iter().max().unwrap_or(0)
//!     })
//! }
//!
//! assert_eq!(longest(&["hull", "mast", "rudder"]), 6);
//! ```

mod kept;
mod lease;

pub use self::lease::Lease;
use crate::Arena;

/// Runs `f` with an arena of its own, which is reset afterwards.
///
/// No value in the arena can leave the closure, and none is dropped except in an
/// [`ArenaBox`](crate::ArenaBox) or a container.
///
/// # Cost
///
/// A few nanoseconds where the thread has an idle arena, whether or not it is used, while the scope fits into
/// one chunk; a scope of many chunks takes time in their number. The first scope at a depth allocates an
/// arena, of some 200 bytes.
///
/// # Panics
///
/// When `f` does; the arena is reset and goes back all the same.
///
/// # Examples
///
/// ```
/// use blockyard::temp;
///
/// let total: usize = temp::scope(|outer| {
///     let names = outer.alloc_slice_copy(&["hull", "mast"]);
///     // Another arena: what `outer` holds stays where it is.
///     names.iter().map(|name| temp::scope(|inner| inner.alloc_str(name).len())).sum()
/// });
/// assert_eq!(total, 8);
/// ```
///
/// ```compile_fail
/// let escaped = blockyard::temp::scope(|t| t.alloc(1));
/// ```
#[inline]
pub fn scope<R>(f: impl for<'t> FnOnce(&'t Arena) -> R) -> R {
    let lease = Lease::new();
    f(&lease)
}

/// Gives back the memory of this thread's idle arenas, to the block heap that it came from. Returns how
/// many bytes of chunks that were.
///
/// Arenas that are lent out are not touched. To return memory to the system, call
/// [`Global::collect`](crate::Global::collect) next.
///
/// # Examples
///
/// ```
/// use blockyard::temp;
///
/// temp::scope(|t| t.alloc_slice_copy(&[0_u8; 3000]).len());
/// assert!(temp::collect() >= 3000);
/// assert_eq!(temp::collect(), 0);
/// ```
pub fn collect() -> usize {
    kept::take_all().map_or(0, |idle| idle.bytes())
}
