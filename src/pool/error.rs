//! Why a pool has no block.

use core::fmt;
use std::sync::Arc;

/// Why a pool had no block: it is full, or out of memory.
///
/// # Examples
///
/// ```
/// let pool = blockyard::Pool::builder().name("doors").capacity(1).build()?;
/// let door = pool.alloc("front");
/// let error = pool.try_duplicate(&"back").unwrap_err();
/// assert_eq!(error.to_string(), "pool \"doors\": its capacity of 1 is taken");
/// # Ok::<(), blockyard::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolError {
    name: Option<Arc<str>>,
    /// `None` when out of memory.
    capacity: Option<usize>,
}

impl PoolError {
    #[cold]
    pub(super) fn full(name: Option<&str>, capacity: usize) -> Self {
        Self { name: name.map(Arc::from), capacity: Some(capacity) }
    }
    #[cold]
    pub(super) fn out_of_memory(name: Option<&str>) -> Self {
        Self { name: name.map(Arc::from), capacity: None }
    }

    /// The pool's capacity if all of it is taken; `None` when the reason is that there is no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = blockyard::Pool::<u8>::builder().capacity(0).build()?;
    /// assert_eq!(pool.try_alloc_uninit().unwrap_err().capacity(), Some(0));
    /// # Ok::<(), blockyard::BuildError>(())
    /// ```
    #[must_use]
    pub const fn capacity(&self) -> Option<usize> {
        self.capacity
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pool")?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        match self.capacity {
            Some(capacity) => write!(f, ": its capacity of {capacity} is taken"),
            None => f.write_str(": out of memory"),
        }
    }
}

impl core::error::Error for PoolError {}

/// A value for which a pool had no block, and why. See [`Pool::try_alloc`](super::Pool::try_alloc).
///
/// # Examples
///
/// ```
/// let pool = blockyard::Pool::builder().capacity(0).build()?;
/// let refused = pool.try_alloc(7).unwrap_err();
/// assert_eq!(refused.to_string(), "pool: its capacity of 0 is taken");
/// assert_eq!(refused.into_value(), 7);
/// # Ok::<(), blockyard::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PoolRefused<T> {
    value: T,
    error: PoolError,
}

impl<T> PoolRefused<T> {
    pub(super) fn new(value: T, error: PoolError) -> Self {
        Self { value, error }
    }

    /// Why.
    #[must_use]
    pub const fn error(&self) -> &PoolError {
        &self.error
    }

    /// The value that was to be moved into the pool.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> From<PoolRefused<T>> for PoolError {
    fn from(refused: PoolRefused<T>) -> Self {
        refused.error
    }
}

impl<T> fmt::Debug for PoolRefused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolRefused").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PoolRefused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> core::error::Error for PoolRefused<T> {}

/// What the infallible twins say.
#[inline(always)]
#[track_caller]
pub(super) fn expect<R>(result: Result<R, PoolError>) -> R {
    match result {
        Ok(result) => result,
        Err(error) => refuse(&error),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse(error: &PoolError) -> ! {
    panic!("{error}")
}
