//! What other code relies on: which handles may cross threads, and how large they are.

use std::rc::Rc;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::source::{FromAlloc, Purged, Source, System};
use blockyard::{BuildError, Global, Heap, HeapBuilder, HeapStats, LocalHeap, PoolBox, Stats, context, temp};
use static_assertions::{
    assert_eq_size, assert_impl_all, assert_not_impl_any, assert_obj_safe, const_assert_eq,
};

assert_impl_all!(Heap: Send, Sync, Default, std::fmt::Debug);
assert_impl_all!(&'static Heap: Allocator, Send, Sync, Clone, Copy);
assert_not_impl_any!(Heap: Clone);

assert_impl_all!(LocalHeap<'static>: Allocator, Clone, std::fmt::Debug);
assert_not_impl_any!(LocalHeap<'static>: Send, Sync, Copy);
assert_not_impl_any!(&'static LocalHeap<'static>: Send, Sync);

assert_not_impl_any!(temp::Lease: Send, Sync);
assert_not_impl_any!(context::Current: Send, Sync);
assert_not_impl_any!(context::Temp: Send, Sync);
assert_not_impl_any!(context::Installed: Send, Sync);
assert_impl_all!(PoolBox<'static, u8>: Send, Sync);
assert_not_impl_any!(PoolBox<'static, Rc<u8>>: Send, Sync);

assert_impl_all!(Global: Allocator, std::alloc::GlobalAlloc, Send, Sync, Clone, Copy, Default, Eq, std::fmt::Debug);

assert_impl_all!(HeapBuilder: std::fmt::Debug);
assert_impl_all!(BuildError: std::error::Error, Send, Sync, Copy, Eq);
assert_impl_all!(Stats: Send, Sync, Clone, PartialEq, std::fmt::Debug, std::fmt::Display, Unpin);
assert_impl_all!(HeapStats: Send, Sync, Clone, PartialEq, std::fmt::Debug, std::fmt::Display, Unpin);

assert_impl_all!(System: Source, Copy, Send, Sync);
assert_impl_all!(FromAlloc<std::alloc::System>: Source, Copy, Send, Sync);
assert_impl_all!(Purged: Copy, Eq, std::fmt::Debug);
assert_obj_safe!(Source);

// Containers store the handle.
assert_eq_size!(&'static Heap, *const ());
assert_eq_size!(LocalHeap<'static>, *const ());
assert_eq_size!(Option<LocalHeap<'static>>, *const ());
const_assert_eq!(size_of::<Global>(), 0);
