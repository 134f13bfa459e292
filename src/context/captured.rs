//! A context for other threads.

use core::fmt;
use std::sync::Arc;

use super::frame::{Frame, Served};
use super::installed::Installed;
use super::{Ambient, slots};

/// A current allocator and a name, to be installed anywhere: what [`capture`](Self::capture) found.
///
/// An arena of [`with_arena`](super::with_arena) belongs to its thread, so it is captured as "an arena": each
/// entering leases one of the entering thread's. The temporary arena is always the entering thread's own. The
/// default is a context with nothing installed.
///
/// # Rayon
///
/// For single jobs, wrap the closure:
///
/// ```
/// use std::sync::Arc;
///
/// use blockyard::{Heap, allocator_api2::vec::Vec, context::{self, Context}};
/// use rayon::prelude::*;
///
/// let level = Arc::new(Heap::new());
/// context::with_allocator(&level, || {
///     let here = Context::capture();
///     let lengths: std::vec::Vec<usize> = (0..100_u64)
///         .into_par_iter()
///         .map(here.wrap(|n| {
///             let mut numbers = Vec::new_in(context::current()); // in the level, on any worker
///             numbers.extend(0..n);
///             numbers.len()
///         }))
///         .collect();
///     assert_eq!(lengths[99], 99);
/// });
/// ```
///
/// For all that a pool runs, let its threads run inside the context:
///
/// ```
/// use blockyard::{Heap, context::{self, Context}};
///
/// let heap = std::sync::Arc::new(Heap::new());
/// let inside = context::with_allocator(&heap, Context::capture);
/// let pool = rayon::ThreadPoolBuilder::new()
///     .num_threads(2)
///     .spawn_handler(|worker| {
///         let inside = inside.clone();
///         std::thread::Builder::new().spawn(move || inside.enter(|| worker.run())).map(drop)
///     })
///     .build()?;
/// pool.install(|| assert_ne!(context::current(), context::Current::GLOBAL));
/// # Ok::<(), rayon::ThreadPoolBuildError>(())
/// ```
///
/// Where a library wants a pair of handlers instead of a closure, as `start_handler` does, a guard that is
/// forgotten lasts as long as the thread: `.start_handler(move |_| std::mem::forget(inside.install()))`.
#[derive(Clone, Default)]
pub struct Context {
    allocator: Ambient,
    name: Option<Arc<str>>,
}

impl Context {
    /// This thread's current allocator and name.
    ///
    /// # Cost
    ///
    /// Two atomic counts at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::context::{self, Context};
    ///
    /// let context = context::with_name("loader", Context::capture);
    /// std::thread::spawn(move || {
    ///     context.enter(|| assert_eq!(context::name().as_deref(), Some("loader")));
    /// });
    /// ```
    #[must_use]
    pub fn capture() -> Self {
        slots::top().map_or_else(Self::default, |frame| Self {
            allocator: frame.served.to_ambient(),
            name: frame.name.clone(),
        })
    }

    /// The captured allocator.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::context::{self, Context};
    ///
    /// let context = context::with_arena(Context::capture);
    /// context::with_allocator(context.allocator().clone(), || println!("{:?}", context::current()));
    /// ```
    #[must_use]
    pub fn allocator(&self) -> &Ambient {
        &self.allocator
    }

    /// The captured name.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::context::Context::default().name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Runs `f` with this context installed on the calling thread, and restores what was there.
    ///
    /// # Cost
    ///
    /// Some nanoseconds where the same is installed already, as for the second of two jobs of one worker's;
    /// else a small allocation and two atomic counts.
    ///
    /// # Panics
    ///
    /// When `f` does; what was there is restored all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::context::{self, Context};
    ///
    /// let nothing = Context::default();
    /// context::with_arena(|| {
    ///     nothing.enter(|| assert_eq!(context::current(), context::Current::GLOBAL));
    ///     assert_ne!(context::current(), context::Current::GLOBAL);
    /// });
    /// ```
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _scope = slots::Scope::new(self.frame());
        f()
    }

    /// Makes this context the thread's until the guard is dropped; see [`install`](super::install).
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::context::{self, Context};
    ///
    /// let arena = context::with_arena(Context::capture);
    /// let guard = arena.install();
    /// assert_ne!(context::current(), context::Current::GLOBAL);
    /// drop(guard);
    /// ```
    pub fn install(&self) -> Installed {
        Installed::new(self.frame())
    }

    /// A function that runs `f` in this context, for jobs that run many times, on any thread: see
    /// [above](Self#rayon).
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::context::{self, Context};
    ///
    /// let named = context::with_name("loader", Context::capture);
    /// let job = named.wrap(|n: u32| (n, context::name()));
    /// assert_eq!(job(7), (7, Some("loader".into())));
    /// ```
    pub fn wrap<T, R, F: Fn(T) -> R>(&self, f: F) -> impl Fn(T) -> R + use<T, R, F> {
        let context = self.clone();
        move |argument| context.enter(|| f(argument))
    }

    /// As [`wrap`](Self::wrap), for a job that runs once: `rayon::spawn`, `rayon::join`, `thread::spawn`.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::context::{self, Context};
    ///
    /// let named = context::with_name("loader", Context::capture);
    /// let joined = std::thread::spawn(named.wrap_once(|| context::name())).join();
    /// assert_eq!(joined.unwrap().as_deref(), Some("loader"));
    /// ```
    pub fn wrap_once<R, F: FnOnce() -> R>(&self, f: F) -> impl FnOnce() -> R + use<R, F> {
        let context = self.clone();
        move || context.enter(f)
    }

    fn frame(&self) -> Option<std::rc::Rc<Frame>> {
        match slots::top() {
            Some(top) if top.is(&self.allocator, self.name.as_ref()) => Some(top),
            _ => Frame::new(Served::from_ambient(self.allocator.clone()), self.name.clone()),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("allocator", &self.allocator).field("name", &self.name).finish()
    }
}
