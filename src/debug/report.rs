//! What was found, as data and as text.

use core::alloc::Layout;
use core::fmt;

use super::trace::Event;

/// A misuse of an allocator: what, of which block, and who did what to the block before.
///
/// Displayed as a paragraph: a line that says what happened, then who noticed, freed and allocated, each with
/// its calls where they were kept.
///
/// # Examples
///
/// ```
/// use blockyard::{Debug, Global, Misuse, Policy, allocator_api2::boxed::Box};
///
/// let debug = Debug::new(Global).name("parser").policy(Policy::Call(&|_report| ()));
/// Box::leak(Box::new_in(7_u64, &debug));
/// let leak = debug.leaks().remove(0);
/// assert!(matches!(leak.misuse, Misuse::Leak));
/// assert_eq!((leak.allocator, leak.layout.size()), ("parser", 8));
/// assert!(leak.to_string().starts_with("allocator \"parser\": leak of the block of 8 bytes"));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// What happened.
    pub misuse: Misuse,
    /// The name of the allocator that noticed.
    pub allocator: &'static str,
    /// Where the block begins; of an invalid free, what was to be freed.
    pub address: usize,
    /// What the block was allocated for; where there is no such block, what was given to free it.
    pub layout: Layout,
    /// Who allocated the block.
    pub allocated: Option<Event>,
    /// Who freed it first.
    pub freed: Option<Event>,
    /// Who did what is reported, or noticed it.
    pub noticed: Option<Event>,
}

/// What can be wrong with a block.
///
/// # Examples
///
/// See [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// It is allocated and was not freed.
    Leak,
    /// It was freed again while the quarantine had it.
    DoubleFree,
    /// What was freed is not a block, or one that was freed so long ago that the quarantine has forgotten it.
    InvalidFree,
    /// It was freed or resized as one of another size or alignment.
    LayoutMismatch {
        /// What was given.
        given: Layout,
    },
    /// Something was written past its end.
    Overflow {
        /// The first such byte, counted from the block's start.
        offset: usize,
    },
    /// Something was written to it after it was freed.
    UseAfterFree {
        /// The first such byte, counted from the block's start.
        offset: usize,
    },
    /// It is a live block of another [`Debug`](struct@super::Debug), and was freed here.
    WrongAllocator {
        /// The name of the one that it is of.
        owner: &'static str,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.misuse {
            Misuse::Leak => "leak",
            Misuse::DoubleFree => "double free",
            Misuse::InvalidFree => "invalid free",
            Misuse::LayoutMismatch { .. } => "wrong layout at the free",
            Misuse::Overflow { .. } => "write past the end",
            Misuse::UseAfterFree { .. } => "write after the free",
            Misuse::WrongAllocator { .. } => "free in the wrong allocator",
        };
        let (name, size, align) = (self.allocator, self.layout.size(), self.layout.align());
        write!(f, "allocator {name:?}: {what} of the block of {size} bytes")?;
        writeln!(f, ", aligned to {align}, at {:#x}", self.address)?;
        match self.misuse {
            Misuse::LayoutMismatch { given } => {
                writeln!(f, "  given were {} bytes, aligned to {}", given.size(), given.align())?;
            }
            Misuse::Overflow { offset } | Misuse::UseAfterFree { offset } => {
                writeln!(f, "  the first byte that was written is number {offset}")?;
            }
            Misuse::WrongAllocator { owner } => writeln!(f, "  it is a block of allocator {owner:?}")?,
            Misuse::InvalidFree => writeln!(f, "  there is no such block")?,
            Misuse::Leak | Misuse::DoubleFree => {}
        }
        let noticed = match self.misuse {
            Misuse::Overflow { .. } | Misuse::UseAfterFree { .. } => "noticed",
            Misuse::DoubleFree => "freed again",
            _ => "freed",
        };
        for (what, event) in
            [(noticed, &self.noticed), ("freed", &self.freed), ("allocated", &self.allocated)]
        {
            if let Some(Event { thread, trace }) = event {
                writeln!(f, "  {what} by thread {thread}")?;
                trace.iter().try_for_each(|trace| write!(f, "{trace}"))?;
            }
        }
        Ok(())
    }
}

/// What happens when a misuse is found. A leak is reported when the allocator is dropped, and by
/// [`Debug::leaks`](super::Debug::leaks), which only returns it.
///
/// # Examples
///
/// ```
/// use blockyard::{Debug, Global, Policy, Report};
///
/// fn log(report: &Report) {
///     println!("{report}");
/// }
///
/// let debug = Debug::new(Global).policy(Policy::Call(&log));
/// ```
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The report goes to standard error, and the program goes on.
    #[default]
    Stderr,
    /// This is called with the report, on the thread that noticed and with no lock held, and the program goes
    /// on. It may allocate, also from the same allocator; a misuse that it commits itself goes to standard
    /// error.
    Call(&'static (dyn Fn(&Report) + Send + Sync)),
    /// The thread panics with the report. Where a panic is not allowed, in a `#[global_allocator]` or in a
    /// thread that panics already, the report goes to standard error, and in a `#[global_allocator]` the
    /// process is aborted.
    Panic,
    /// The report goes to standard error, and the process is aborted.
    Abort,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stderr => "Stderr",
            Self::Call(_) => "Call",
            Self::Panic => "Panic",
            Self::Abort => "Abort",
        })
    }
}
