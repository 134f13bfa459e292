//! No memory, and no mercy.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::around::{Answer, empty};
use crate::allocator_api2::alloc::Allocator;
use crate::by_02::also_04;

/// An allocator that panics when it is asked for bytes: where it is reached, the program is wrong.
///
/// For code that must never get so far: behind a buffer that was measured to be enough, as the large side of a
/// [`Segregate`](super::Segregate), in the test of a path that must not allocate. Code that is to handle the refusal
/// wants [`Null`](super::Null).
///
/// # Panics
///
/// `allocate` and `grow` panic with the message given to `new`, unless no bytes are asked for.
///
/// # Cost
///
/// Two words for the message.
///
/// # Examples
///
/// ```should_panic
/// use blockyard::{allocator_api2::vec::Vec, layers::Panicking};
///
/// let mut numbers = Vec::new_in(Panicking::new("the audio thread must not allocate"));
/// numbers.push(1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Panicking {
    why: &'static str,
}

impl Panicking {
    /// An allocator that panics with `why`, and the layout it was asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// let never = blockyard::layers::Panicking::new("everything fits into the buffer");
    /// ```
    #[must_use]
    pub const fn new(why: &'static str) -> Self {
        Self { why }
    }

    fn only_empty(&self, layout: Layout) -> Answer {
        if layout.size() == 0 { Ok(empty(layout)) } else { self.panic(layout) }
    }

    #[cold]
    fn panic(&self, layout: Layout) -> ! {
        panic!("{}: asked for {} bytes aligned to {}", self.why, layout.size(), layout.align())
    }
}

// SAFETY: the only blocks have no bytes.
unsafe impl Allocator for Panicking {
    fn allocate(&self, layout: Layout) -> Answer {
        self.only_empty(layout)
    }
    unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}
    unsafe fn grow(&self, _block: NonNull<u8>, _old: Layout, new: Layout) -> Answer {
        self.only_empty(new)
    }
    unsafe fn grow_zeroed(&self, _block: NonNull<u8>, _old: Layout, new: Layout) -> Answer {
        self.only_empty(new)
    }
    unsafe fn shrink(&self, _block: NonNull<u8>, _old: Layout, new: Layout) -> Answer {
        self.only_empty(new)
    }
}
also_04!([] Panicking where);
