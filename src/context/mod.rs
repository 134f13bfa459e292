//! What a thread has at hand: a current allocator, a temporary arena, a name.
//!
//! Odin and jank pass such a context to every function. Here it belongs to the thread. A scope
//! ([`with_allocator`], [`with_arena`], [`with_name`], [`with_temp`], [`Context::enter`]) or a guard
//! ([`install`]) puts something else in its place, and its end restores what was there, after a panic too:
//! what a callee installs never reaches its caller. With nothing installed the current allocator is
//! [`Global`](crate::Global), and there is no name.
//!
//! ```
//! use std::sync::Arc;
//!
//! use blockyard::{Heap, allocator_api2::vec::Vec, context};
//!
//! fn load() -> Vec<u64, context::Current> {
//!     let mut meshes = Vec::new_in(context::current()); // wherever the caller wants them
//!     meshes.extend(0..1000);
//!     meshes
//! }
//!
//! let level = Arc::new(Heap::builder().name("level").build()?);
//! let meshes = context::with_allocator(&level, load);
//! assert_eq!(meshes.len(), 1000);
//! assert_eq!(level.stats().blocks.live(), 1);
//! # Ok::<(), blockyard::BuildError>(())
//! ```
//!
//! # Handles stay valid
//!
//! [`current`] and [`temp`] return handles that containers can keep for as long as they like. A handle holds
//! a count on what was installed when it was made, and the last one to go ends it: the heap stays, the
//! arena is not reset. The count is not atomic and the handles are not `Send`, so that they cost a
//! nanosecond; sending one to another thread does not compile. Take [`Context::capture`] there instead.
//!
//! Counting was preferred to a lifetime because a handle with a lifetime could not be asked for by a function
//! that knows nothing of the scope, which is the purpose; and to a check at each use because `deallocate`
//! cannot fail.
//!
//! # Other threads
//!
//! A thread starts with nothing installed, and a job on another thread inherits nothing: it would be a
//! matter of chance, since a job that another one waits for may run on the same thread, or on any.
//! [`Context::capture`] takes the current allocator and the name along, and [`Context::enter`] or
//! [`Context::wrap`] installs them where the job runs. A job that is *not* wrapped and is stolen by a worker
//! that waits inside a scope sees that scope's context, as any callee does.
//!
//! # Ends of threads
//!
//! All of it can be called from destructors of other thread-locals. Once our own are gone, nothing is
//! installed any more: `current` is `Global`, each `temp` is an arena of its own, scopes and guards have no
//! effect.

mod allocator;
mod ambient;
mod captured;
mod current;
mod frame;
mod installed;
mod scopes;
mod slots;
mod temp;

pub use self::{
    ambient::Ambient,
    captured::Context,
    current::{Current, current, name},
    installed::{Installed, install},
    scopes::{with_allocator, with_arena, with_name},
    temp::{Temp, free_temp, temp, with_temp},
};
