//! The bond between a thread and its record.

use core::cell::Cell;
use core::ptr::{self, NonNull};
#[cfg(feature = "allocator-api2-02")]
use core::sync::atomic::Ordering;

use super::orphans::OrphanList;
use super::record::{ThreadRecord, ThreadState};
use crate::heap::{HeapCore, sign_off};
use crate::local_heap::{BlockCache, EMPTY_CACHE, LocalCore};
use crate::source::{Source, System};
use crate::sync::Lock;

/// What a thread knows of itself. Constant at first and without a destructor, so that reading it
/// is one instruction, from a thread's first moment to its last.
pub(crate) struct Binding {
    /// The record this thread holds, or [`UNBOUND`].
    pub(crate) record: Cell<*const ThreadRecord>,
    /// Blocks for `Global`: of this thread's local heap, of one that it is routed to, or the static
    /// empty one.
    pub(crate) blocks: Cell<*const BlockCache>,
    /// The same, wherever the thread is routed to.
    pub(crate) own_blocks: Cell<*const BlockCache>,
    /// The heap used last through `&Heap`, by number, and this thread's local heap in it.
    pub(crate) heap_id: Cell<u64>,
    pub(crate) heap_local: Cell<*const LocalCore>,
    /// The record's lines, or the static closed ones.
    #[cfg(feature = "allocator-api2-02")]
    pub(super) lines: Cell<*const super::meter::Lines>,
    /// The thread's destructors have reached ours: it holds no record and gets none.
    exited: Cell<bool>,
}

/// Differs from every record and from null, which stands for "no owner".
pub(crate) const UNBOUND: *const ThreadRecord = ptr::without_provenance(1);

thread_local! {
    static BINDING: Binding = const {
        Binding {
            record: Cell::new(UNBOUND),
            blocks: Cell::new(EMPTY_CACHE.as_ptr()),
            own_blocks: Cell::new(EMPTY_CACHE.as_ptr()),
            heap_id: Cell::new(0),
            heap_local: Cell::new(ptr::null()),
            #[cfg(feature = "allocator-api2-02")]
            lines: Cell::new(&raw const super::meter::NO_LINES),
            exited: Cell::new(false),
        }
    };
    static SENTINEL: Sentinel = const { Sentinel };
}

/// Runs `f` on this thread's binding. On the fast paths `f` reads one word and no more: `LocalKey::with`
/// is not marked for inlining, and is inlined into other crates only while it is small.
#[inline(always)]
pub(crate) fn binding<R>(f: impl FnOnce(&Binding) -> R) -> R {
    BINDING.with(f)
}

/// The record that this thread holds, or one that nobody does.
#[inline(always)]
pub(crate) fn current_record() -> *const ThreadRecord {
    binding(|binding| binding.record.get())
}

/// This thread's number: no other thread has it until this one has ended, and what this one did until then
/// happens before what the next one does. `None` when the thread is past our destructor or out of memory.
#[cfg(feature = "allocator-api2-02")]
#[inline(always)]
pub(crate) fn thread_index() -> Option<usize> {
    let mut record = current_record();
    if record == UNBOUND {
        record = bind_now()?;
    }
    // SAFETY: (I7) records are never freed, and the index is constant.
    Some(unsafe { (*record).index })
}

#[cfg(feature = "allocator-api2-02")]
#[cold]
#[inline(never)]
fn bind_now() -> Option<*const ThreadRecord> {
    binding(Binding::bound)
}

/// This thread's block cache for `Global`, or the static empty one.
#[inline(always)]
pub(crate) fn current_blocks() -> *const BlockCache {
    binding(|binding| binding.blocks.get())
}

/// This thread's own block cache for `Global`, or the static empty one.
#[inline(always)]
pub(crate) fn own_blocks() -> *const BlockCache {
    binding(|binding| binding.own_blocks.get())
}

/// The number of the heap that this thread used last, and its local heap there.
#[inline(always)]
pub(crate) fn current_heap() -> (u64, *const LocalCore) {
    binding(|binding| (binding.heap_id.get(), binding.heap_local.get()))
}

/// Its destructor is how we learn that the thread ends.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        binding(|binding| {
            let record = binding.record.get();
            binding.forget();
            binding.exited.set(true);
            if record != UNBOUND {
                // SAFETY: (I7) this thread held the record until now.
                unsafe { end(record) };
            }
        });
    }
}

impl Binding {
    fn forget(&self) {
        self.record.set(UNBOUND);
        self.blocks.set(EMPTY_CACHE.as_ptr());
        self.own_blocks.set(EMPTY_CACHE.as_ptr());
        self.heap_id.set(0);
        self.heap_local.set(ptr::null());
        #[cfg(feature = "allocator-api2-02")]
        self.lines.set(&raw const super::meter::NO_LINES);
    }

    /// This thread's record, if it has one.
    pub(crate) fn held(&self) -> Option<*const ThreadRecord> {
        let record = self.record.get();
        (record != UNBOUND).then_some(record)
    }

    /// This thread's record, made if need be; `None` when the thread is past our destructor or out of memory.
    #[inline]
    pub(crate) fn bound(&self) -> Option<*const ThreadRecord> {
        self.held().or_else(|| self.bind())
    }

    #[cold]
    fn bind(&self) -> Option<*const ThreadRecord> {
        if self.exited.get() {
            return None;
        }
        #[cfg(unix)]
        crate::heap::guard_forks();
        let record = obtain(ThreadState::Live)?;
        // SAFETY: (I7) just obtained.
        unsafe { (*record).set_os_id(os_thread_id()) };
        // From here on this thread can allocate, which arming the destructor may do on some systems.
        self.record.set(record);
        #[cfg(feature = "allocator-api2-02")]
        // SAFETY: (I7) just obtained.
        self.lines.set(super::meter::lines_of(unsafe { &*record }));
        if SENTINEL.try_with(|_| ()).is_err() {
            self.forget();
            self.exited.set(true);
            // SAFETY: (I7) obtained above, given up here.
            unsafe { end(record) };
            return None;
        }
        Some(record)
    }
}

/// A record held for the length of one call, by a thread whose own is gone.
#[derive(Debug)]
pub(crate) struct Lease(*const ThreadRecord);

impl Lease {
    /// `None` when out of memory.
    pub(crate) fn new() -> Option<Self> {
        obtain(ThreadState::Leased).map(Self)
    }
    pub(crate) fn record(&self) -> *const ThreadRecord {
        self.0
    }
}

impl Lease {
    /// Keeps the record for a handle, whose last clone gives it up.
    pub(crate) fn into_handle(self) -> *const ThreadRecord {
        core::mem::ManuallyDrop::new(self).0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Only that: the call may come from a source, which some heap called under its lock.
        // SAFETY: (I7) the lease holds the record, and gives it up.
        unsafe { ORPHANS.put(self.0) };
    }
}

static ORPHANS: OrphanList = OrphanList::new();
static RECORDS: Lock<Records> =
    Lock::new(Records { next: 0, end: 0, region: None, count: 0, newest: ptr::null() });

/// Where records come from: regions of the system's memory that are never given back.
pub(crate) struct Records {
    /// Offsets into the region.
    next: usize,
    end: usize,
    region: Option<NonNull<u8>>,
    count: usize,
    newest: *const ThreadRecord,
}

// SAFETY: the pointers in it lead to records and memory for records, which live for ever and are
// reached under the lock.
unsafe impl Send for Records {}

/// Every record there is.
#[cfg(feature = "allocator-api2-02")]
pub(super) fn records() -> impl Iterator<Item = &'static ThreadRecord> {
    let newest = RECORDS.lock().newest;
    // SAFETY: (I7) records are never freed, and those that are linked have been made.
    let next = |record: *const ThreadRecord| unsafe { record.as_ref() };
    core::iter::successors(next(newest), move |record| next(record.older.load(Ordering::Relaxed)))
}

/// Bytes of one region: some 340 records.
const REGION: usize = 64 << 10;

/// A record for the caller to hold: the orphan that was put last, or a new one.
fn obtain(state: ThreadState) -> Option<*const ThreadRecord> {
    if let Some(record) = ORPHANS.take(state) {
        return Some(record);
    }
    let mut records = RECORDS.lock();
    if records.end - records.next < size_of::<ThreadRecord>() {
        records.region = Some(System.reserve(REGION, 4096)?);
        records.next = 0;
        records.end = REGION;
    }
    let region = records.region?;
    // SAFETY: the offset is inside the region, which is page-aligned, and so is the record's size
    // a multiple of its alignment; nobody else was given this part.
    let record = unsafe {
        let place = region.as_ptr().add(records.next).cast::<ThreadRecord>();
        place.write(ThreadRecord::new(records.count, records.newest));
        (*place).set_state(state);
        place.cast_const()
    };
    records.next += size_of::<ThreadRecord>();
    records.count += 1;
    records.newest = record;
    Some(record)
}

/// Ends a record's time with its holder: sends home what it holds of others, takes in what others
/// sent, gives empty chunks back, and lists the record for the next thread.
///
/// # Safety
/// (I7) The caller holds the record and does not use it, or anything it owns, afterwards.
unsafe fn end(record: *const ThreadRecord) {
    // SAFETY: (I7) as the caller promises.
    unsafe {
        if (*record).handles.get() != 0 {
            // A `LocalHeap` outlives our destructor, inside another thread-local. It still uses
            // the record; the last handle ends it. A handle that was leaked keeps it for ever.
            return;
        }
        (*record).set_last_name(os_thread_name());
        let locals = (*record).locals.lock();
        let mut local = *locals;
        while !local.is_null() {
            (*local).retire();
            local = (*local).next_in_record();
        }
        drop(locals);
        sign_off(record);
        put(record);
    }
}

/// Lets go of a record whose thread has ended when its last handle goes.
///
/// # Safety
/// (I7) The caller holds the record and has just dropped its last handle.
pub(crate) unsafe fn last_handle_dropped(record: *const ThreadRecord) {
    if binding(|binding| binding.record.get() != record) {
        // SAFETY: passed on.
        unsafe { end(record) };
    }
}

/// Takes orphans of `heap` that were sent something, one by one, lets `f` work on each one's local
/// heap, and puts them back. Stops after `limit` orphans.
pub(crate) fn lease_orphans(heap: &HeapCore, limit: usize, mut f: impl FnMut(&LocalCore)) {
    // What an orphan had when its thread ended went back then; only its inbox can hold more.
    let sent = heap.locals().filter(|local| local.has_mail());
    // SAFETY: (I7) records are never freed. Taking one makes us its holder, so nobody else uses its
    // local heaps until it is put back.
    let taken = sent.filter(|local| unsafe {
        // Only a hint, so that the lock is not taken for the living.
        let record = local.record();
        (*record).state() == ThreadState::Orphan && ORPHANS.take_this(record)
    });
    for local in taken.take(limit) {
        let record = local.record();
        f(local);
        // SAFETY: (I7) taken above.
        unsafe { put(record) };
    }
}

/// Signs off the local heaps of a record that was nudged, if it is an orphan. Else its holder does.
pub(crate) fn lease_nudged(record: *const ThreadRecord) {
    // SAFETY: (I7) records are never freed; taking one makes us its holder.
    unsafe {
        if ORPHANS.take_this(record) {
            sign_off(record);
            put(record);
        }
    }
}

/// Lists a record for the next thread. What it is nudged for until then is done here: later, whoever
/// nudges it finds it listed.
///
/// # Safety
/// (I7) The caller holds the record, and stops using it.
unsafe fn put(record: *const ThreadRecord) {
    // SAFETY: (I7) passed on.
    unsafe {
        loop {
            ORPHANS.put(record);
            if !(*record).is_nudged() || !ORPHANS.take_this(record) {
                return;
            }
            sign_off(record);
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn os_thread_id() -> u64 {
    // SAFETY: the call takes nothing and touches nothing.
    (unsafe { libc::syscall(libc::SYS_gettid) }) as u64
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
fn os_thread_name() -> [u8; 16] {
    let mut name = [0_u8; 16];
    // SAFETY: the call writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn os_thread_id() -> u64 {
    use core::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(any(not(any(target_os = "linux", target_os = "android")), miri))]
fn os_thread_name() -> [u8; 16] {
    [0; 16]
}

/// The locks of this module, and of the current thread's record, held over a `fork`.
#[cfg(unix)]
pub(crate) struct HeldThreads {
    _own: Option<OwnLocals>,
    _records: std::sync::MutexGuard<'static, Records>,
    _orphans: std::sync::MutexGuard<'static, super::orphans::Head>,
}

/// The list of the current thread's local heaps, from which others take heaps that they drop.
#[cfg(unix)]
pub(crate) type OwnLocals = std::sync::MutexGuard<'static, *const LocalCore>;

#[cfg(unix)]
impl HeldThreads {
    pub(crate) fn own_locals() -> Option<OwnLocals> {
        // SAFETY: (I7) records are never freed.
        binding(Binding::held).map(|record| unsafe { (*record).locals.lock() })
    }

    pub(crate) fn all(own: Option<OwnLocals>) -> Self {
        Self { _own: own, _records: RECORDS.lock(), _orphans: ORPHANS.hold() }
    }

    /// The thread has another number in the child.
    pub(crate) fn renew(&self) {
        if let Some(record) = binding(Binding::held) {
            // SAFETY: (I7) this thread's own record.
            unsafe { (*record).set_os_id(os_thread_id()) };
        }
    }
}
