//! The handles: `Heap` for all threads, `LocalHeap` for one.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use super::afterlife::{abandon, sign_off};
use super::builder::HeapBuilder;
use super::core::HeapCore;
use crate::checkers;
use crate::local_heap::{LocalCore, free_layout, free_unsized, usable_size};
use crate::stats::{self, HeapStats};
use crate::threads::{Binding, Lease, binding, current_heap, current_record, last_handle_dropped};

/// A heap of its own: threads share it, and dropping it releases everything in it at once.
///
/// `&Heap` is an [`Allocator`](crate::allocator_api2::alloc::Allocator), and it is `Send + Sync`: allocate
/// on any thread, free on any other. Each thread allocates from chunks of its own; a block freed on
/// another thread travels home through a lock-free queue, in chains. [`local`](Self::local) gives a
/// thread its own handle, which saves the thread lookup.
///
/// # Cost
///
/// A heap that nobody uses costs some 500 bytes. The first allocation reserves 4 MiB of address space;
/// resident are some 20 KB, and 7 KB for each thread that uses it.
///
/// # Examples
///
/// ```
/// use blockyard::{Heap, allocator_api2::vec::Vec};
///
/// let heap = Heap::new();
/// let mut shared = Vec::new_in(&heap);
/// std::thread::scope(|scope| {
///     let made_there = scope.spawn(|| {
///         let mut numbers = Vec::new_in(&heap);
///         numbers.extend(0..1000);
///         numbers
///     });
///     shared = made_there.join().unwrap(); // allocated there, freed here
/// });
/// assert_eq!(shared.len(), 1000);
/// ```
///
/// A heap cannot go while anything borrows it:
///
/// ```compile_fail,E0505
/// use blockyard::{Heap, allocator_api2::vec::Vec};
///
/// let heap = Heap::new();
/// let mut numbers = Vec::new_in(&heap);
/// numbers.push(1);
/// drop(heap);
/// numbers.push(2);
/// ```
pub struct Heap {
    core: NonNull<HeapCore>,
    /// The core's number, here so that the fast path finds it without another load.
    id: u64,
}

// SAFETY: the pointer is to a `HeapCore`, which is `Send + Sync`, and the handle's own.
unsafe impl Send for Heap {}
// SAFETY: as for `Send`.
unsafe impl Sync for Heap {}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.core();
        f.debug_struct("Heap")
            .field("id", &core.id)
            .field("name", &core.settings.name)
            .field("limit", &(core.settings.limit != usize::MAX).then_some(core.settings.limit))
            .field("in_use", &core.in_use.now())
            .finish_non_exhaustive()
    }
}

impl Heap {
    /// A heap over the system's memory, without name or limit.
    ///
    /// # Panics
    ///
    /// When there is no memory for the heap's record; `Heap::builder().build()` is the fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::new();
    /// let numbers = blockyard::allocator_api2::boxed::Box::new_in([0; 100], &heap);
    /// assert!(heap.owns(numbers.as_ptr().cast()));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        match Self::builder().build() {
            Ok(heap) => heap,
            Err(error) => panic!("blockyard::Heap::new: {error}"),
        }
    }

    /// Name, limit, source and purge delay of a heap to be made.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::builder().name("physics").limit(64 << 20).build()?;
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    pub fn builder() -> HeapBuilder {
        HeapBuilder::new()
    }

    /// `None` when there is no memory to list the heap; the core is gone then.
    ///
    /// # Safety
    /// `core` was allocated with its layout from the program's allocator and is the handle's now.
    pub(super) unsafe fn from_core(core: NonNull<HeapCore>) -> Option<Self> {
        // SAFETY: just made, and nobody else's; allocated like a box's.
        unsafe {
            let id = core.as_ref().id;
            if !stats::register(core) {
                drop(Box::from_raw(core.as_ptr()));
                return None;
            }
            Some(Self { core, id })
        }
    }

    #[inline(always)]
    pub(crate) fn core(&self) -> &HeapCore {
        // SAFETY: the core lives until the handle is dropped.
        unsafe { self.core.as_ref() }
    }

    /// The name given to the builder.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::Heap::new().name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.core().settings.name.as_deref()
    }

    /// This thread's handle: an allocator that looks no thread up.
    ///
    /// The handle is one pointer and stays on its thread; it lives as long as it borrows the heap.
    /// Blocks it allocated can be freed through it, through `&Heap`, and on any thread.
    ///
    /// # Panics
    ///
    /// When there is no memory for the thread's part of the heap; [`try_local`](Self::try_local) is the
    /// fallible twin.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::vec::Vec};
    ///
    /// let heap = Heap::new();
    /// let local = heap.local();
    /// let mut numbers = Vec::new_in(local.clone());
    /// numbers.push(1);
    /// ```
    ///
    /// It cannot cross threads:
    ///
    /// ```compile_fail,E0277
    /// let heap = blockyard::Heap::new();
    /// let local = heap.local();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| drop(local));
    /// });
    /// ```
    #[must_use]
    pub fn local(&self) -> LocalHeap<'_> {
        match self.try_local() {
            Some(local) => local,
            None => panic!("blockyard::Heap::local: no memory for this thread's part of the heap"),
        }
    }

    /// This thread's handle, or `None` when there is no memory for the thread's part of the heap.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::new();
    /// assert!(heap.try_local().is_some());
    /// ```
    #[must_use]
    pub fn try_local(&self) -> Option<LocalHeap<'_>> {
        let core = self.core();
        let local = core.local().or_else(|| {
            let lease = Lease::new()?;
            // SAFETY: (I7) just leased, for this handle.
            let local = unsafe { core.local_for(lease.record()) }?;
            lease.into_handle();
            Some(local)
        })?;
        // SAFETY: (I7) the handle is made on the thread that holds the record.
        Some(unsafe { LocalHeap::new(local) })
    }

    /// Gives back everything that can be given back now; returns how many bytes of memory the source
    /// took.
    ///
    /// It sends home the foreign blocks that this thread still holds, takes in what other threads
    /// sent, does the same for threads that have ended, and purges every free chunk. What other live
    /// threads keep for themselves (four empty chunks and what is waiting in their queue) stays: they
    /// give it back themselves when they call `collect`, when they end, or as they allocate.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::vec::Vec};
    ///
    /// let heap = Heap::new();
    /// drop(Vec::<u8, _>::with_capacity_in(100 << 20, &heap));
    /// assert!(heap.collect() >= 100 << 20);
    /// ```
    pub fn collect(&self) -> usize {
        collect(self.core())
    }

    /// Sends home the foreign blocks that this thread has freed but still holds: at most 16 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// blockyard::Heap::new().flush();
    /// ```
    pub fn flush(&self) {
        // SAFETY: (I7) this thread's own local heap, or a leased one.
        self.core().with_local(|local| unsafe { local.flush() });
    }

    /// One reading of this heap's counters.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::boxed::Box};
    ///
    /// let heap = Heap::new();
    /// let number = Box::new_in(7_u64, &heap);
    /// assert_eq!(heap.stats().blocks.live(), 1);
    /// drop(number);
    /// assert_eq!(heap.stats().blocks.live(), 0);
    /// ```
    #[must_use]
    pub fn stats(&self) -> HeapStats {
        stats::snapshot(self.core())
    }

    /// Whether `ptr` points into memory that this heap hands out blocks from. It says nothing about
    /// whether there is a live block. Costs a walk over the heap's segments, one per 4 MiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::boxed::Box};
    ///
    /// let (heap, other) = (Heap::new(), Heap::new());
    /// let number = Box::new_in(7, &heap);
    /// let address = std::ptr::from_ref(&*number).cast();
    /// assert!(heap.owns(address) && !other.owns(address));
    /// ```
    #[must_use]
    pub fn owns(&self, ptr: *const u8) -> bool {
        self.core().owns(ptr)
    }

    /// Bytes that may be used at `ptr`: at least what was asked for.
    ///
    /// # Safety
    ///
    /// `ptr` is a live block of this heap, of a layout that is not zero-sized.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::alloc::{Allocator, Layout}};
    ///
    /// let heap = Heap::new();
    /// let layout = Layout::new::<[u8; 129]>();
    /// let block = (&heap).allocate(layout).unwrap().cast();
    /// unsafe {
    ///     assert!((129..=144).contains(&heap.usable_size(block)));
    ///     (&heap).deallocate(block, layout);
    /// }
    /// ```
    #[must_use]
    pub unsafe fn usable_size(&self, ptr: NonNull<u8>) -> usize {
        // SAFETY: passed on.
        let usable = unsafe { usable_size(self.core(), ptr.as_ptr()) };
        if checkers::is_on() { checkers::usable(ptr.as_ptr(), usable) } else { usable }
    }

    /// Frees a block without its layout, for callers that have none to give, such as a C host's `free`.
    ///
    /// Statistics count such a block's size in place of the bytes requested for it.
    ///
    /// # Safety
    ///
    /// `ptr` is a live block of this heap, of a layout that is not zero-sized, and is not used
    /// afterwards.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Heap, allocator_api2::alloc::{Allocator, Layout}};
    ///
    /// let heap = Heap::new();
    /// let block = (&heap).allocate(Layout::new::<u64>()).unwrap();
    /// unsafe { heap.free(block.cast()) };
    /// assert_eq!(heap.stats().blocks.live(), 0);
    /// ```
    pub unsafe fn free(&self, ptr: NonNull<u8>) {
        // SAFETY: (I1) passed on.
        unsafe {
            if checkers::is_on() {
                let usable = usable_size(self.core(), ptr.as_ptr());
                let raw = |block| free_unsized(self.core(), current_record(), block);
                return checkers::free(ptr.as_ptr(), usable, raw);
            }
            free_unsized(self.core(), current_record(), ptr.as_ptr());
        }
    }

    #[inline(always)]
    pub(crate) fn alloc(&self, layout: Layout) -> *mut u8 {
        if checkers::is_on() {
            return checkers::alloc(layout, |layout| self.alloc_raw(layout));
        }
        self.alloc_raw(layout)
    }

    #[inline(always)]
    fn alloc_raw(&self, layout: Layout) -> *mut u8 {
        let (id, local) = current_heap();
        if id == self.id {
            // SAFETY: (I7) the binding's local heap is of the record this thread holds; (I6) the
            // number is this heap's, so the local heap is alive.
            unsafe { (*local).alloc(layout) }
        } else {
            self.alloc_slow(layout)
        }
    }

    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, layout: Layout) -> *mut u8 {
        // SAFETY: (I7) this thread's own local heap, or a leased one.
        self.with_local(|local| unsafe { local.alloc(layout) })
    }

    fn with_local(&self, f: impl FnOnce(&LocalCore) -> *mut u8) -> *mut u8 {
        self.core().with_local(f).unwrap_or(ptr::null_mut())
    }

    pub(crate) fn alloc_zero(&self, layout: Layout) -> *mut u8 {
        if checkers::is_on() {
            return checkers::alloc_zero(layout, |layout| self.alloc_raw(layout));
        }
        // SAFETY: (I7) as in `alloc_slow`.
        self.with_local(|local| unsafe { local.alloc_zero(layout) })
    }

    /// # Safety
    /// (I1) The caller gives up `block`, a live block for `layout` of this heap.
    #[inline(always)]
    pub(crate) unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: (I1) passed on.
        let raw =
            |block, layout| unsafe { free_layout(|| Some(self.core()), current_record(), block, layout) };
        if checkers::is_on() {
            // SAFETY: (I1) passed on.
            return unsafe { checkers::dealloc(block, layout, raw) };
        }
        raw(block, layout);
    }

    /// # Safety
    /// (I1) `block` is a live block for `old` of this heap; the caller gives it up unless null comes
    /// back.
    #[inline(always)]
    pub(crate) unsafe fn realloc(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        let (id, local) = current_heap();
        // SAFETY: (I7), (I6) as in `alloc`; (I1) passed on.
        unsafe {
            if checkers::is_on() {
                let free = |block, layout| free_layout(|| Some(self.core()), current_record(), block, layout);
                return checkers::realloc(block, old, new, |layout| self.alloc_raw(layout), free);
            }
            if id == self.id { (*local).realloc(block, old, new) } else { self.realloc_slow(block, old, new) }
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn realloc_slow(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: (I7) as in `alloc_slow`; (I1) passed on.
        self.with_local(|local| unsafe { local.realloc(block, old, new) })
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.core().stop_purger();
        if self.core().was_routed() {
            // SAFETY: this is the handle.
            return unsafe { abandon(self.core) };
        }
        // SAFETY: nothing borrows the heap any more, so nobody uses its blocks or local heaps; the
        // record was allocated like a box's.
        unsafe {
            stats::unregister(self.core);
            // First detach them all: a thread that is ending just now sends home what it holds of any.
            self.core().locals().for_each(LocalCore::detach);
            self.core().release_all();
            drop(Box::from_raw(self.core.as_ptr()));
        }
    }
}

/// Everything a heap can give back now; returns how many bytes the source took.
pub(crate) fn collect(core: &HeapCore) -> usize {
    use ::core::sync::atomic::Ordering;
    let before = core.given_back.load(Ordering::Relaxed);
    if let Some(record) = binding(Binding::held) {
        // SAFETY: (I7) this thread's own record.
        unsafe { sign_off(record) };
    }
    // SAFETY: (I7) this thread's own local heap, or a leased one.
    core.with_local(|local| unsafe { local.retire() });
    core.empty_orphans(usize::MAX);
    core.purge_all();
    (core.given_back.load(Ordering::Relaxed) - before) as usize
}

/// One thread's handle to a [`Heap`]: no thread lookup per call. See [`Heap::local`].
///
/// # Examples
///
/// ```
/// use blockyard::{Heap, LocalHeap, allocator_api2::vec::Vec};
///
/// fn squares<'h>(n: u64, local: &LocalHeap<'h>) -> Vec<u64, LocalHeap<'h>> {
///     let mut squares = Vec::new_in(local.clone());
///     squares.extend((0..n).map(|i| i * i));
///     squares
/// }
///
/// let heap = Heap::new();
/// assert_eq!(squares(4, &heap.local()).as_slice(), [0, 1, 4, 9]);
/// ```
///
/// It stays on its thread:
///
/// ```compile_fail,E0277
/// let heap = blockyard::Heap::new();
/// let local = heap.local();
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(local));
/// });
/// ```
pub struct LocalHeap<'heap> {
    local: NonNull<LocalCore>,
    _borrow: PhantomData<(&'heap Heap, *mut ())>,
}

impl LocalHeap<'_> {
    /// # Safety
    /// (I7) The calling thread holds the local heap's record; the lifetime is one of the heap.
    unsafe fn new(local: *const LocalCore) -> Self {
        // SAFETY: (I7) as the caller promises.
        unsafe {
            let record = &*(*local).record();
            record.handles.set(record.handles.get() + 1);
            Self { local: NonNull::new_unchecked(local.cast_mut()), _borrow: PhantomData }
        }
    }

    #[inline(always)]
    pub(crate) fn core(&self) -> &LocalCore {
        // SAFETY: (I6) the handle borrows the heap, whose local heaps live as long.
        unsafe { self.local.as_ref() }
    }

    /// Sends home the foreign blocks that this thread has freed but still holds: at most 16 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::new();
    /// heap.local().flush();
    /// ```
    pub fn flush(&self) {
        // SAFETY: (I7) the handle keeps the record with this thread.
        unsafe { self.core().flush() };
    }

    #[inline(always)]
    pub(crate) fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: (I7) the handle keeps the record with this thread.
        let raw = |layout| unsafe { self.core().alloc(layout) };
        if checkers::is_on() { checkers::alloc(layout, raw) } else { raw(layout) }
    }

    pub(crate) fn alloc_zero(&self, layout: Layout) -> *mut u8 {
        // SAFETY: (I7) as in `alloc`.
        unsafe {
            if checkers::is_on() {
                return checkers::alloc_zero(layout, |layout| self.core().alloc(layout));
            }
            self.core().alloc_zero(layout)
        }
    }

    /// # Safety
    /// (I1) The caller gives up `block`, a live block for `layout` of this heap.
    #[inline(always)]
    pub(crate) unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let core = self.core();
        // SAFETY: (I1) passed on; (I7) as in `alloc`.
        let raw = |block, layout| unsafe { free_layout(|| Some(core.heap()), core.record(), block, layout) };
        if checkers::is_on() {
            // SAFETY: (I1) passed on.
            return unsafe { checkers::dealloc(block, layout, raw) };
        }
        raw(block, layout);
    }

    /// # Safety
    /// (I1) `block` is a live block for `old` of this heap; the caller gives it up unless null comes
    /// back.
    #[inline]
    pub(crate) unsafe fn realloc(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        let core = self.core();
        // SAFETY: (I1) passed on; (I7) as in `alloc`.
        unsafe {
            if checkers::is_on() {
                let free = |block, layout| free_layout(|| Some(core.heap()), core.record(), block, layout);
                return checkers::realloc(block, old, new, |layout| core.alloc(layout), free);
            }
            core.realloc(block, old, new)
        }
    }
}

impl fmt::Debug for LocalHeap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heap = self.core().heap();
        f.debug_struct("LocalHeap")
            .field("heap", &heap.id)
            .field("name", &heap.settings.name)
            .finish_non_exhaustive()
    }
}

impl Clone for LocalHeap<'_> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: (I7) this handle is on the thread that holds the record.
        unsafe { Self::new(self.local.as_ptr()) }
    }
}

impl Drop for LocalHeap<'_> {
    #[inline]
    fn drop(&mut self) {
        let record = self.core().record();
        // SAFETY: (I7) as in `clone`. A record outlives every handle.
        unsafe {
            let left = (*record).handles.get() - 1;
            (*record).handles.set(left);
            if left == 0 {
                last_handle_dropped(record);
            }
        }
    }
}
