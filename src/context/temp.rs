//! A thread's temporary arena.

use core::fmt;
use core::ops::Deref;
use std::rc::Rc;

use super::slots;
use crate::Arena;
use crate::temp::Lease;

/// A handle to what was this thread's temporary arena when it was made.
///
/// It is an [`Allocator`](crate::allocator_api2::alloc::Allocator) of one pointer, for containers to keep,
/// and an [`Arena`] for single values, which borrow the handle. The arena is not reset while there are
/// handles.
///
/// # Examples
///
/// ```
/// use blockyard::{allocator_api2::vec::Vec, context};
///
/// let temp = context::temp();
/// let name = temp.alloc_str("hull");
/// let mut visible = Vec::new_in(context::temp());
/// visible.extend(0..10);
/// context::free_temp(); // both are still there
/// assert_eq!((&*name, visible.len()), ("hull", 10));
/// ```
///
/// A handle stays on its thread:
///
/// ```compile_fail,E0277
/// let temp = blockyard::context::temp();
/// std::thread::spawn(move || drop(temp));
/// ```
#[derive(Clone)]
pub struct Temp(Rc<Lease>);

/// This thread's temporary arena: for what is needed until the end of a frame, or of a request.
///
/// It is leased from the stack of [`temp::scope`](crate::temp::scope) when it is first asked for, and stays
/// until the thread ends. Call [`free_temp`] once per frame, or it grows.
///
/// # Cost
///
/// Some two nanoseconds: a read of a thread-local and a count.
///
/// # Examples
///
/// ```
/// use blockyard::context;
///
/// for frame in 0..3 {
///     let temp = context::temp();
///     assert_eq!(temp.stats().used, 0);
///     temp.alloc_str(&format!("frame {frame}"));
///     drop(temp);
///     context::free_temp();
/// }
/// ```
#[inline]
#[must_use]
pub fn temp() -> Temp {
    slots::temp().unwrap_or_else(make)
}

#[cold]
fn make() -> Temp {
    let temp = Temp(Rc::new(Lease::new()));
    slots::replace_temp(Some(temp.clone()));
    temp
}

/// Takes back all that was allocated in this thread's temporary arena (Odin's `free_all`), and keeps its
/// chunks as [`temp`](crate::temp) says.
///
/// While there are handles to it, the arena is left to them as it is, and goes back to the thread's stack
/// with the last; the thread gets another one. So nothing dangles: a handle that is kept for ever costs an
/// arena.
///
/// # Cost
///
/// A few nanoseconds while the frame fits into one chunk; else time in the number of chunks.
///
/// # Examples
///
/// ```
/// use blockyard::context;
///
/// context::temp().alloc_slice_copy(&[0_u8; 1000]);
/// assert_eq!(context::temp().stats().used, 1000);
/// context::free_temp();
/// assert_eq!(context::temp().stats().used, 0);
/// ```
pub fn free_temp() {
    let Some(mut temp) = slots::replace_temp(None) else { return };
    if let Some(lease) = Rc::get_mut(&mut temp.0) {
        lease.reset();
        slots::replace_temp(Some(temp));
    }
}

/// Runs `f` with a temporary arena of its own: what it allocates and frees there, with [`free_temp`] too,
/// leaves the caller's alone.
///
/// # Cost
///
/// A few nanoseconds, and what [`temp`] costs if it is used.
///
/// # Panics
///
/// When `f` does; the caller's arena is restored all the same.
///
/// # Examples
///
/// ```
/// use blockyard::context;
///
/// context::temp().alloc(1_u8);
/// context::with_temp(|| assert_eq!(context::temp().stats().used, 0));
/// assert_eq!(context::temp().stats().used, 1);
/// ```
pub fn with_temp<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Temp>);
    impl Drop for Restore {
        fn drop(&mut self) {
            drop(slots::replace_temp(self.0.take()));
        }
    }
    let _restore = Restore(slots::replace_temp(None));
    f()
}

impl Deref for Temp {
    type Target = Arena;

    #[inline(always)]
    fn deref(&self) -> &Arena {
        &self.0
    }
}

impl fmt::Debug for Temp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Temp").field(&**self.0).finish()
    }
}
