//! No memory at all.

use core::alloc::Layout;
use core::ptr::NonNull;

use super::around::{Answer, empty};
use crate::allocator_api2::alloc::{AllocError, Allocator};
use crate::by_02::also_04;

/// An allocator that refuses everything but blocks without bytes: the end of a chain, and a test for code that must
/// do without memory.
///
/// # Cost
///
/// None.
///
/// # Examples
///
/// ```
/// use blockyard::{allocator_api2::vec::Vec, layers::Null};
///
/// assert!(Vec::<u8, _>::new_in(Null).try_reserve(1).is_err());
/// Vec::new_in(Null).extend([(); 1000]); // no bytes
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Null;

fn only_empty(layout: Layout) -> Answer {
    if layout.size() == 0 { Ok(empty(layout)) } else { Err(AllocError) }
}

// SAFETY: the only blocks have no bytes.
unsafe impl Allocator for Null {
    fn allocate(&self, layout: Layout) -> Answer {
        only_empty(layout)
    }
    unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}
    unsafe fn grow(&self, _block: NonNull<u8>, _old: Layout, new: Layout) -> Answer {
        only_empty(new)
    }
    unsafe fn grow_zeroed(&self, _block: NonNull<u8>, _old: Layout, new: Layout) -> Answer {
        only_empty(new)
    }
    unsafe fn shrink(&self, _block: NonNull<u8>, _old: Layout, new: Layout) -> Answer {
        only_empty(new)
    }
}
also_04!([] Null where);
