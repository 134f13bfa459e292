//! Blocks that go from one child to another.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

use super::around::Answer;
use crate::allocator_api2::alloc::Allocator;

/// Moves a block: its first bytes, as many as both layouts have. `zeroed` clears the others.
///
/// # Safety
/// `block` is a live block of `from` for `old`, and given up unless `to` refuses.
#[cold]
pub(super) unsafe fn transfer(
    from: &impl Allocator,
    to: &impl Allocator,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
    zeroed: bool,
) -> Answer {
    let moved = if zeroed { to.allocate_zeroed(new) } else { to.allocate(new) }?;
    // SAFETY: two live blocks of at least so many bytes; the caller gives up the old one.
    unsafe {
        let bytes = old.size().min(new.size());
        ptr::copy_nonoverlapping(block.as_ptr(), moved.cast::<u8>().as_ptr(), bytes);
        from.deallocate(block, old);
    }
    Ok(moved)
}
