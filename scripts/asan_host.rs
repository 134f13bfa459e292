//! What `scripts/asan.sh` links into a C program: a heap and `Global`, as C would call them.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Global, Heap};

static HEAP: OnceLock<Heap> = OnceLock::new();

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("C asks for sensible sizes")
}

/// # Safety
/// `size` is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn global_take(size: usize) -> *mut u8 {
    // SAFETY: passed on.
    unsafe { Global.alloc(layout(size)) }
}

/// # Safety
/// `block` is a live block of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn global_give(block: *mut u8, size: usize) {
    // SAFETY: passed on.
    unsafe { Global.dealloc(block, layout(size)) }
}

/// # Safety
/// `size` is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn heap_take(size: usize) -> *mut u8 {
    let made = HEAP.get_or_init(Heap::new).allocate(layout(size));
    made.map_or(ptr::null_mut(), |block| block.cast().as_ptr())
}

/// # Safety
/// `block` is a live block. Its size is not asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn heap_give(block: *mut u8, _size: usize) {
    if let (Some(heap), Some(block)) = (HEAP.get(), NonNull::new(block)) {
        // SAFETY: passed on.
        unsafe { heap.free(block) };
    }
}

/// Gives memory back to the system, and takes some anew.
#[unsafe(no_mangle)]
pub extern "C" fn heap_collect() {
    HEAP.get_or_init(Heap::new).collect();
}
