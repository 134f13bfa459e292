//! Blockyard itself, in its three forms.

use std::alloc::Layout;
use std::any::Any;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::Allocator;
use blockyard::{Heap, LocalHeap};

use super::{Contender, Need, Reach, Role, Stateless, ThreadAlloc};

/// The unit struct that goes behind `#[global_allocator]`.
pub(crate) struct Global;

impl Contender for Global {
    type Local = Stateless<blockyard::Global>;

    const NAME: &'static str = "global";
    const ROLE: Role = Role::Ours;
    const COLLECTS: bool = true;

    fn start() -> Self {
        Self
    }

    fn local(&'static self, _: Need) -> Self::Local {
        Stateless(blockyard::Global)
    }

    fn collect(&'static self) {
        blockyard::Global.collect();
    }

    fn spare_heaps(&'static self, count: usize) -> Option<Box<dyn Any>> {
        Some(spare_heaps(count))
    }
}

/// A heap that all threads share, through `&Heap`.
pub(crate) struct SharedHeap(Heap);

impl Contender for SharedHeap {
    type Local = ThroughTrait<&'static Heap>;

    const NAME: &'static str = "heap";
    const ROLE: Role = Role::Ours;
    const COLLECTS: bool = true;

    fn start() -> Self {
        Self(Heap::new())
    }

    fn local(&'static self, _: Need) -> Self::Local {
        ThroughTrait(&self.0)
    }

    fn collect(&'static self) {
        self.0.collect();
    }

    fn spare_heaps(&'static self, count: usize) -> Option<Box<dyn Any>> {
        Some(spare_heaps(count))
    }
}

/// The same, with a handle on every thread.
pub(crate) struct Local(Heap);

impl Contender for Local {
    type Local = ThroughTrait<LocalHeap<'static>>;

    const NAME: &'static str = "local";
    const ROLE: Role = Role::Ours;
    const REACH: Reach = Reach::OwnThread;
    const COLLECTS: bool = true;

    fn start() -> Self {
        Self(Heap::new())
    }

    fn local(&'static self, _: Need) -> Self::Local {
        ThroughTrait(self.0.local())
    }

    fn collect(&'static self) {
        self.0.collect();
    }

    fn spare_heaps(&'static self, count: usize) -> Option<Box<dyn Any>> {
        Some(spare_heaps(count))
    }
}

/// Heaps with a block each.
fn spare_heaps(count: usize) -> Box<dyn Any> {
    let heaps: Vec<Heap> = (0..count)
        .map(|_| {
            let heap = Heap::new();
            // The block is freed with its heap.
            (&heap).allocate(Layout::new::<[u64; 8]>()).expect("a block");
            heap
        })
        .collect();
    Box::new(heaps)
}

/// An `Allocator` as a thread's way to allocate.
pub(crate) struct ThroughTrait<A>(pub(crate) A);

fn block_or_null<E>(block: Result<NonNull<[u8]>, E>) -> *mut u8 {
    block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
}

// SAFETY: forwards to an `Allocator`, whose contract is the same: `grow` and `shrink` together are `realloc`.
unsafe impl<A: Allocator> ThreadAlloc for ThroughTrait<A> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        block_or_null(self.0.allocate(layout))
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller passes a live block of this allocator with its layout.
        unsafe { self.0.deallocate(NonNull::new_unchecked(block), layout) }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        block_or_null(self.0.allocate_zeroed(layout))
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller passes a live block with its layout, and a size that makes a layout.
        unsafe {
            let block = NonNull::new_unchecked(block);
            let new_layout = Layout::from_size_align_unchecked(new_size, layout.align());
            block_or_null(if new_size >= layout.size() {
                self.0.grow(block, layout, new_layout)
            } else {
                self.0.shrink(block, layout, new_layout)
            })
        }
    }
}
