//! Routes: what a thread allocates through `Global` goes to a heap of its own for a while.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{Heap, HeapCore};
use crate::global;
use crate::local_heap::BlockCache;
use crate::threads::{binding, current_blocks};

/// Why allocations could not be routed.
///
/// # Examples
///
/// ```
/// use blockyard::{Heap, RouteError};
///
/// // This program has another global allocator.
/// assert_eq!(Heap::new().route(|| ()), Err(RouteError::NotInstalled));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// [`Global`](crate::Global) is not the program's global allocator.
    NotInstalled,
    /// There is no memory for this thread's part of the heap, or the thread is so near its end that it
    /// has none.
    OutOfMemory,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInstalled => {
                "blockyard::Global is not the program's #[global_allocator], so nothing can be routed"
            }
            Self::OutOfMemory => "no memory for this thread's part of the heap",
        })
    }
}

impl core::error::Error for RouteError {}

/// A heap whose routed allocations have just exceeded its limit: see
/// [`HeapBuilder::on_limit`](crate::HeapBuilder::on_limit).
///
/// # Examples
///
/// ```
/// use blockyard::{Heap, LimitExceeded};
///
/// let heap = Heap::builder().name("assets").limit(1 << 20).on_limit(|exceeded: &LimitExceeded<'_>| {
///     eprintln!("{exceeded}");
/// });
/// # drop(heap);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct LimitExceeded<'a> {
    /// The heap's name.
    pub heap: Option<&'a str>,
    /// Its limit, in bytes.
    pub limit: usize,
    /// Bytes of chunks and big blocks in use now.
    pub in_use: usize,
}

impl fmt::Display for LimitExceeded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heap, limit, in_use } = self;
        write!(f, "heap {:?} uses {in_use} bytes, above its limit of {limit}", heap.unwrap_or("(no name)"))
    }
}

/// Called when a limit is exceeded.
pub(crate) type OnLimit = dyn Fn(&LimitExceeded<'_>) + Send + Sync;

/// Whether a heap is above its limit, and whether somebody is still to be told.
#[derive(Debug)]
pub(super) struct Excess {
    is: AtomicBool,
    news: AtomicBool,
}

// ORDER: Relaxed throughout: who tells does not depend on anything else.
impl Excess {
    pub(super) const fn new() -> Self {
        Self { is: AtomicBool::new(false), news: AtomicBool::new(false) }
    }
    pub(super) fn begin(&self) {
        if !self.is.swap(true, Ordering::Relaxed) {
            self.news.store(true, Ordering::Relaxed);
        }
    }
    pub(super) fn end(&self) {
        self.is.store(false, Ordering::Relaxed);
    }
    pub(super) fn is(&self) -> bool {
        self.is.load(Ordering::Relaxed)
    }
    fn take_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::Relaxed)
    }
}

/// While it lives, this thread's `Global` takes blocks from another local heap.
struct Detour {
    before: *const BlockCache,
}

impl Detour {
    fn new(to: *const BlockCache) -> Self {
        Self { before: binding(|binding| binding.blocks.replace(to)) }
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        binding(|binding| binding.blocks.set(self.before));
    }
}

/// Runs `f`, whose allocations are our own and the program's for longer than any route.
pub(crate) fn unrouted<R>(f: impl FnOnce() -> R) -> R {
    // A thread that is not routed needs no local heap for that, and is not given one.
    let routed = binding(|binding| binding.blocks.get() != binding.own_blocks.get());
    // The cache is the first field.
    let _detour = routed.then(global::own).flatten().map(|own| Detour::new(own.cast()));
    f()
}

impl Heap {
    /// Runs `f`, and sends everything that this thread allocates through [`Global`](crate::Global)
    /// meanwhile, whatever crate asks for it, to this heap: under its name in [`stats`](crate::stats()),
    /// within its limit.
    ///
    /// What was allocated may outlive the call and is freed as ever, on any thread. It may outlive the
    /// heap's handle too: what is left of a heap that was routed into goes when its last block does (on a
    /// thread that lives, when that thread next takes memory), and has its row in the statistics until
    /// then. Blocks that the program leaks keep it for ever. Nested calls end where they began, panics
    /// included. It is a matter of this thread alone: a job that runs on another calls `route` there;
    /// a rayon job that this thread steals inside `f` is routed along.
    ///
    /// The heap's [limit](crate::HeapBuilder::limit) is soft for routed allocations, as a failed global
    /// allocation ends the program: they exceed it, and [`on_limit`](crate::HeapBuilder::on_limit) is
    /// called; see [`hard_limit`](crate::HeapBuilder::hard_limit). Not routed are blocks aligned to 4 MiB or
    /// more, and what a container or an arena takes from a `Global` *handle*: who names an allocator gets it.
    ///
    /// # Errors
    ///
    /// `f` does not run, and [`RouteError::NotInstalled`] comes back, where `Global` is not the program's
    /// global allocator; [`RouteError::OutOfMemory`] where there is no memory for this thread's part of
    /// the heap.
    ///
    /// # Cost
    ///
    /// A few nanoseconds to enter and leave; none per allocation and free.
    ///
    /// # Examples
    ///
    /// ```
    /// #[global_allocator]
    /// static ALLOCATOR: blockyard::Global = blockyard::Global;
    ///
    /// let parser = blockyard::Heap::builder().name("parser").build()?;
    /// let words: Vec<String> = parser.route(|| "of any crate".split(' ').map(String::from).collect())?;
    /// assert_eq!(parser.stats().blocks.live(), 4);
    /// drop(parser); // the words stay
    /// assert_eq!(words[2], "crate");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route<R>(&self, f: impl FnOnce() -> R) -> Result<R, RouteError> {
        if !global::is_installed() {
            return Err(RouteError::NotInstalled);
        }
        let core = self.core();
        let local = core.local().ok_or(RouteError::OutOfMemory)?;
        // ORDER: Relaxed: whoever frees a routed block learns of it from this thread.
        if !core.routed.load(Ordering::Relaxed) {
            core.routed.store(true, Ordering::Relaxed);
        }
        // The cache is the first field.
        let _detour = Detour::new(local.cast());
        Ok(f())
    }
}

impl HeapCore {
    /// Whether blocks may outlive the handle.
    pub(super) fn was_routed(&self) -> bool {
        self.routed.load(Ordering::Relaxed)
    }

    /// Whether this thread's `Global` takes blocks from here.
    pub(super) fn is_routed_here(&self) -> bool {
        let local = BlockCache::local(current_blocks());
        // SAFETY: (I7) this thread's own local heap; (I6) it is alive.
        self.was_routed() && local.is_some_and(|local| unsafe { (*local).is_of(self) })
    }

    /// Calls back after a routed allocation, if it was the one to exceed the limit.
    pub(crate) fn report_limit(&self) {
        let Some(on_limit) = self.settings.on_limit.as_ref().filter(|_| self.excess.take_news()) else {
            return;
        };
        let exceeded = LimitExceeded {
            heap: self.settings.name.as_deref(),
            limit: self.settings.limit,
            in_use: self.in_use.now(),
        };
        // An allocation must not unwind. The panic's message has been printed then; to drop what was thrown
        // could panic again.
        let call = std::panic::AssertUnwindSafe(|| on_limit(&exceeded));
        if let Err(thrown) = unrouted(|| std::panic::catch_unwind(call)) {
            core::mem::forget(thrown);
        }
    }
}
