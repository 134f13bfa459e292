//! The allocator traits for layers.

use core::alloc::Layout;
use core::num::NonZero;
use core::ptr::NonNull;

use crate::allocator_api2::alloc::{AllocError, Allocator};

pub(super) type Answer = Result<NonNull<[u8]>, AllocError>;

/// What a layer does around the calls of one child. `ask` and `free` are the child's calls.
///
/// A hook calls its closure once at most, returns what it answered if it called it, and does not panic after
/// the child has answered: the block would be nobody's, or the caller's pointer stale.
pub(super) trait Around {
    type Child: Allocator;

    fn child(&self) -> &Self::Child;
    fn on_allocate(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer;
    fn on_grow(&self, block: NonNull<u8>, old: Layout, new: Layout, ask: impl FnOnce() -> Answer) -> Answer;
    /// Nothing besides.
    #[inline]
    fn on_shrink(
        &self,
        _block: NonNull<u8>,
        _old: Layout,
        _new: Layout,
        ask: impl FnOnce() -> Answer,
    ) -> Answer {
        ask()
    }
    /// Nothing besides.
    #[inline]
    fn on_free(&self, _block: NonNull<u8>, _layout: Layout, free: impl FnOnce()) {
        free();
    }
}

/// The block, as long as was asked for.
#[inline(always)]
pub(super) fn exactly(block: NonNull<[u8]>, layout: Layout) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block.cast(), layout.size())
}

/// A block without bytes, nowhere.
#[inline(always)]
pub(super) fn empty(layout: Layout) -> NonNull<[u8]> {
    let align = NonZero::new(layout.align()).unwrap_or(NonZero::<usize>::MIN);
    NonNull::slice_from_raw_parts(NonNull::without_provenance(align), 0)
}

/// `implement_around!([generics] type)`: the traits for `type`, through [`Around`].
///
/// Closures take what they need with them: borrowed, a layout would be written to memory on every call.
macro_rules! implement_around {
    ([$($generics:tt)*] $type:ty) => {
        // SAFETY: blocks are the child's, which lives as long as this value and may be moved with it; hooks
        // pass its answers on. A clone, where there is one, has an equal child and no books.
        unsafe impl<$($generics)*> $crate::allocator_api2::alloc::Allocator for $type {
            #[inline]
            fn allocate(&self, layout: Layout) -> Answer {
                let block = self.on_allocate(layout, move || self.child().allocate(layout))?;
                Ok($crate::layers::around::exactly(block, layout))
            }
            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Answer {
                let block = self.on_allocate(layout, move || self.child().allocate_zeroed(layout))?;
                Ok($crate::layers::around::exactly(block, layout))
            }
            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: passed on.
                self.on_free(block, layout, move || unsafe { self.child().deallocate(block, layout) });
            }
            #[inline]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
                // SAFETY: passed on.
                let block = self.on_grow(block, old, new, move || unsafe { self.child().grow(block, old, new) })?;
                Ok($crate::layers::around::exactly(block, new))
            }
            #[inline]
            unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
                // SAFETY: passed on.
                let block = self.on_grow(block, old, new, move || unsafe { self.child().grow_zeroed(block, old, new) })?;
                Ok($crate::layers::around::exactly(block, new))
            }
            #[inline]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
                // SAFETY: passed on.
                let block = self.on_shrink(block, old, new, move || unsafe { self.child().shrink(block, old, new) })?;
                Ok($crate::layers::around::exactly(block, new))
            }
        }
        $crate::by_02::also_04!([$($generics)*] $type where);
    };
}
pub(super) use implement_around;
