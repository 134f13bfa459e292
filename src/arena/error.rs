//! Why an arena or a buffer has no place.

use core::alloc::Layout;
use core::fmt;
use std::sync::Arc;

/// Why there was no place: the request's size overflowed, the limit is reached, or the child allocator
/// refused.
///
/// # Examples
///
/// ```
/// use blockyard::Arena;
///
/// let arena = Arena::builder().name("level").limit(64 << 10).build();
/// let error = arena.try_alloc_slice_copy(&[0_u8; 100_000]).unwrap_err();
/// assert_eq!(error.limit(), Some(64 << 10));
/// assert_eq!(error.to_string(), "arena \"level\": 100000 bytes more would exceed its limit of 65536 bytes");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArenaError {
    name: Option<Arc<str>>,
    cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// More bytes than any block can have.
    Overflow,
    Limit {
        limit: usize,
        request: Layout,
    },
    Child {
        request: Layout,
    },
}

impl ArenaError {
    #[cold]
    pub(crate) fn overflow() -> Self {
        Self { name: None, cause: Cause::Overflow }
    }
    #[cold]
    pub(crate) fn limit_reached(name: Option<Arc<str>>, limit: usize, request: Layout) -> Self {
        Self { name, cause: Cause::Limit { limit, request } }
    }
    #[cold]
    pub(crate) fn refused(name: Option<Arc<str>>, request: Layout) -> Self {
        Self { name, cause: Cause::Child { request } }
    }

    /// The limit that would have been exceeded, in bytes, if that is the reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::mem::MaybeUninit;
    /// use blockyard::FixedBuffer;
    ///
    /// let mut bytes = [MaybeUninit::uninit(); 16];
    /// let buffer = FixedBuffer::new(&mut bytes);
    /// assert_eq!(buffer.try_alloc([0_u8; 17]).unwrap_err().limit(), Some(16));
    /// ```
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        match self.cause {
            Cause::Limit { limit, .. } => Some(limit),
            Cause::Overflow | Cause::Child { .. } => None,
        }
    }

    /// The request that could not be served; `None` when its size overflowed.
    ///
    /// # Examples
    ///
    /// ```
    /// let arena = blockyard::Arena::new();
    /// let error = arena.try_alloc_slice_fill_with(usize::MAX, |_| 0_u64).unwrap_err();
    /// assert_eq!(error.request(), None);
    /// ```
    #[must_use]
    pub fn request(&self) -> Option<Layout> {
        match self.cause {
            Cause::Limit { request, .. } | Cause::Child { request } => Some(request),
            Cause::Overflow => None,
        }
    }
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "arena {name:?}: ")?,
            None => f.write_str("arena: ")?,
        }
        match self.cause {
            Cause::Overflow => f.write_str("the request has more bytes than any block can have"),
            Cause::Limit { limit, request } => {
                write!(f, "{} bytes more would exceed its limit of {limit} bytes", request.size())
            }
            Cause::Child { request } => {
                write!(f, "no memory for {} bytes aligned to {}", request.size(), request.align())
            }
        }
    }
}

impl core::error::Error for ArenaError {}

/// What the infallible twins do with what the `try_` ones return.
#[inline(always)]
#[track_caller]
pub(crate) fn expect<T>(result: Result<T, ArenaError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => fail(&error),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn fail(error: &ArenaError) -> ! {
    panic!("{error}")
}
