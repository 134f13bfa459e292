//! Who looks for misuse: the columns of the table.

use std::alloc::Layout;
use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Debug, Heap, Policy};

/// An allocator under which misuse is committed.
pub(crate) trait Subject: Sync {
    fn take(&self, layout: Layout) -> NonNull<u8>;
    /// # Safety
    /// None: that is the point.
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout);
    /// # Safety
    /// The same.
    unsafe fn free_without_layout(&self, block: NonNull<u8>);
    /// # Safety
    /// The same.
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout);
    /// Bytes from a block's start to the first that is nobody's.
    fn usable(&self, block: NonNull<u8>, layout: Layout) -> usize;
}

/// A column: what its reports begin with, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Hardened,
    Wiping,
    /// `Debug` over a heap, with what it has by default.
    Debug,
    /// `Global` of a build with the feature `hardened`.
    #[cfg(feature = "hardened")]
    Global,
}

impl Column {
    pub(crate) const ALL: &'static [Self] = &[
        Self::Hardened,
        Self::Wiping,
        Self::Debug,
        #[cfg(feature = "hardened")]
        Self::Global,
    ];

    pub(crate) fn subject(self) -> Box<dyn Subject> {
        let heap = || Heap::builder().name("guarded");
        match self {
            Self::Hardened => Box::new(heap().hardened(true).build().expect("memory")),
            Self::Wiping => Box::new(heap().wipe(true).build().expect("memory")),
            Self::Debug => {
                let below = Heap::builder().hardened(false).build().expect("memory");
                Box::new(Debug::new(&*Box::leak(Box::new(below))).name("watched").policy(Policy::Abort))
            }
            #[cfg(feature = "hardened")]
            Self::Global => Box::new(blockyard::Global),
        }
    }
}

fn take(allocator: &impl Allocator, layout: Layout) -> NonNull<u8> {
    allocator.allocate(layout).expect("there is memory").cast()
}

// SAFETY of all subjects: what their callers promise, which is nothing.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Subject for Heap {
    fn take(&self, layout: Layout) -> NonNull<u8> {
        take(&self, layout)
    }
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        unsafe { Allocator::deallocate(&self, block, layout) };
    }
    unsafe fn free_without_layout(&self, block: NonNull<u8>) {
        unsafe { Heap::free(self, block) };
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        _ = unsafe { Allocator::grow(&self, block, old, new) };
    }
    fn usable(&self, block: NonNull<u8>, _: Layout) -> usize {
        unsafe { self.usable_size(block) }
    }
}

#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Subject for Debug<&'static Heap> {
    fn take(&self, layout: Layout) -> NonNull<u8> {
        take(&self, layout)
    }
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        unsafe { Allocator::deallocate(&self, block, layout) };
    }
    unsafe fn free_without_layout(&self, _: NonNull<u8>) {
        unreachable!("`Debug` has no such call");
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        _ = unsafe { Allocator::grow(&self, block, old, new) };
    }
    fn usable(&self, _: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

#[cfg(feature = "hardened")]
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Subject for blockyard::Global {
    fn take(&self, layout: Layout) -> NonNull<u8> {
        take(self, layout)
    }
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        unsafe { Allocator::deallocate(&self, block, layout) };
    }
    unsafe fn free_without_layout(&self, _: NonNull<u8>) {
        unreachable!("`Global` has no such call");
    }
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        _ = unsafe { Allocator::grow(self, block, old, new) };
    }
    fn usable(&self, _: NonNull<u8>, layout: Layout) -> usize {
        // Rows that look are of 40 bytes, a run, and a mapping.
        match layout.size() {
            40 => 40,
            size => (size + 8).next_multiple_of(4096) - 8,
        }
    }
}
