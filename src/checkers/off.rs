//! Without a checker: nothing, which the compiler leaves out.

use core::alloc::Layout;

#[inline(always)]
pub(crate) const fn is_on() -> bool {
    false
}
#[inline(always)]
pub(crate) fn alloc(layout: Layout, raw: impl FnOnce(Layout) -> *mut u8) -> *mut u8 {
    raw(layout)
}
#[inline(always)]
pub(crate) fn alloc_zero(layout: Layout, raw: impl FnOnce(Layout) -> *mut u8) -> *mut u8 {
    raw(layout)
}
#[inline(always)]
pub(crate) unsafe fn dealloc(block: *mut u8, layout: Layout, raw: impl FnOnce(*mut u8, Layout)) {
    raw(block, layout);
}
#[inline(always)]
pub(crate) unsafe fn free(block: *mut u8, _usable: usize, raw: impl FnOnce(*mut u8)) {
    raw(block);
}
#[inline(always)]
pub(crate) unsafe fn realloc(
    block: *mut u8,
    _old: Layout,
    _new: Layout,
    _raw_alloc: impl FnOnce(Layout) -> *mut u8,
    _raw_dealloc: impl FnOnce(*mut u8, Layout),
) -> *mut u8 {
    block
}
#[inline(always)]
pub(crate) fn usable(_block: *mut u8, usable: usize) -> usize {
    usable
}
#[inline(always)]
pub(crate) fn with_link<R>(_block: *mut u8, f: impl FnOnce() -> R) -> R {
    f()
}
#[inline(always)]
pub(crate) fn hide(_start: *mut u8, _size: usize) {}
#[inline(always)]
pub(crate) fn show(_start: *mut u8, _size: usize) {}
#[inline(always)]
pub(crate) fn give_back(_start: *mut u8, _size: usize) {}
#[cfg(feature = "allocator-api2-02")]
#[inline(always)]
pub(crate) fn place<T>(
    layout: Layout,
    raw: impl FnOnce(Layout) -> T,
    _address: impl FnOnce(&T) -> Option<*mut u8>,
) -> Option<T> {
    Some(raw(layout))
}
