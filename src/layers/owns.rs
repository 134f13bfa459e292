//! Whose block is it?

use core::ptr::NonNull;

use super::{Failing, Limit, Null, Panicking, Segregate, Tracking};
#[cfg(feature = "tlsf")]
use crate::FixedHeap;
use crate::allocator_api2::alloc::Allocator;
use crate::{FixedBuffer, Heap, RollbackStack, SharedFixedBuffer, StackFallback};

/// An allocator that knows its own blocks by their address.
///
/// # Safety
///
/// `owns` is true for each live block that has bytes and came from this value (a reference to it, a clone), and false
/// for each live block of any other allocator, unless that other allocator keeps its blocks inside blocks of this one.
pub unsafe trait Owns {
    /// Whether `block` is in memory of this allocator. For what is no live block with bytes the answer is any.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::boxed::Box, layers::Owns};
    ///
    /// let (heap, other) = (Heap::new(), Heap::new());
    /// let number = std::ptr::NonNull::from(Box::leak(Box::new_in(7, &heap))).cast();
    /// assert!(Owns::owns(&heap, number) && !Owns::owns(&other, number));
    /// ```
    fn owns(&self, block: NonNull<u8>) -> bool;
}

/// An allocator whose value is the only way to its memory: nothing else can still allocate from it once the value has
/// been moved. So no allocator that existed before can keep its own blocks inside this one's.
///
/// Not so a reference, or a handle that is `Clone`.
///
/// # Safety
///
/// As said above.
pub unsafe trait Unshared: Owns {}

// SAFETY: the same value.
unsafe impl<A: Owns + ?Sized> Owns for &A {
    fn owns(&self, block: NonNull<u8>) -> bool {
        (**self).owns(block)
    }
}

// SAFETY: all blocks are in the buffer, which is this value's alone.
unsafe impl Owns for FixedBuffer<'_> {
    #[inline]
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.contains(block.as_ptr())
    }
}
// SAFETY: handles are references.
unsafe impl Unshared for FixedBuffer<'_> {}

// SAFETY: all blocks that have bytes are in the stack's, which are this value's alone.
unsafe impl Owns for RollbackStack<'_> {
    #[inline]
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.contains(block.as_ptr())
    }
}
// SAFETY: handles are references.
unsafe impl Unshared for RollbackStack<'_> {}

// SAFETY: all blocks that have bytes are in the heap's, which are this value's alone.
#[cfg(feature = "tlsf")]
unsafe impl Owns for FixedHeap<'_> {
    #[inline]
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.contains(block.as_ptr())
    }
}
// SAFETY: handles are references.
#[cfg(feature = "tlsf")]
unsafe impl Unshared for FixedHeap<'_> {}

// SAFETY: all blocks are in the buffer, which is this value's alone.
unsafe impl Owns for SharedFixedBuffer<'_> {
    #[inline]
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.contains(block.as_ptr())
    }
}
// SAFETY: handles are references.
unsafe impl Unshared for SharedFixedBuffer<'_> {}

// SAFETY: (S2) blocks that have bytes are in the buffer or the child's.
unsafe impl<const N: usize, A: Allocator + Owns> Owns for StackFallback<N, A> {
    #[inline]
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.contains(block.as_ptr()) || self.child().owns(block)
    }
}
// SAFETY: handles are references, as far as the buffer goes; the child is as it promises.
unsafe impl<const N: usize, A: Allocator + Unshared> Unshared for StackFallback<N, A> {}

// SAFETY: blocks with bytes are in segments and mappings of the heap, each of one heap.
unsafe impl Owns for Heap {
    fn owns(&self, block: NonNull<u8>) -> bool {
        Self::owns(self, block.as_ptr())
    }
}
// SAFETY: handles borrow the heap.
unsafe impl Unshared for Heap {}

// SAFETY: it has no blocks with bytes.
unsafe impl Owns for Null {
    fn owns(&self, _block: NonNull<u8>) -> bool {
        false
    }
}

// SAFETY: it has no blocks with bytes.
unsafe impl Owns for Panicking {
    fn owns(&self, _block: NonNull<u8>) -> bool {
        false
    }
}

macro_rules! as_the_child {
    ($([$($generics:tt)*] $type:ty),+) => {$(
        // SAFETY: its blocks are the child's.
        unsafe impl<$($generics)*> Owns for $type {
            #[inline]
            fn owns(&self, block: NonNull<u8>) -> bool {
                self.child().owns(block)
            }
        }
    )+};
}
as_the_child!([A: Owns, F] Limit<A, F>, [A: Owns] Failing<A>, [A: Owns] Tracking<A>);

#[cfg(feature = "tracing")]
as_the_child!([A: Owns] super::Logging<A>);

// SAFETY: each block is of one of the two.
unsafe impl<S: Owns, L: Owns, const THRESHOLD: usize> Owns for Segregate<S, L, THRESHOLD> {
    fn owns(&self, block: NonNull<u8>) -> bool {
        self.small().owns(block) || self.large().owns(block)
    }
}
