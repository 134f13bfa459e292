//! Each request refused once.

use core::fmt;
use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use super::{Failing, Tracking};
use crate::Heap;

/// The allocator that [`check_all_failures`] hands to the code under test, by reference.
pub type Trial<'h> = Failing<Tracking<&'h Heap>>;

/// Runs `code` once as it is, and then as often as it asked for memory: each time another request is refused. It is to
/// return an error, and to have freed all that it allocated (Zig's `checkAllAllocationFailures`).
///
/// Each run has a heap of its own, so what leaks goes with it. `code` must ask for the same memory in each run, must
/// allocate through the allocator it is given, and is to use the fallible methods of its containers: the others end the
/// process where memory is refused.
///
/// # Cost
///
/// As many runs as there are requests: for code with hundreds of them, not millions.
///
/// # Panics
///
/// Never for what `code` does: a panic is caught and becomes an [`Outcome`]. What `code` captured is used on, so it may
/// see values that a panic left half done.
///
/// # Examples
///
/// ```
/// use blockyard::allocator_api2::{collections::TryReserveError, vec::Vec};
/// use blockyard::layers::check_all_failures;
///
/// let report = check_all_failures(|memory| -> Result<usize, TryReserveError> {
///     let mut names = Vec::new_in(memory);
///     let mut lengths = Vec::new_in(memory);
///     for name in ["hull", "rotor"] {
///         names.try_reserve(1)?;
///         names.push(name);
///         lengths.try_reserve(1)?;
///         lengths.push(name.len());
///     }
///     Ok(lengths.iter().sum())
/// });
/// report.assert_clean();
/// assert_eq!(report.runs.len(), 2);
/// ```
///
/// It finds what is forgotten on the way out:
///
/// ```
/// use blockyard::allocator_api2::boxed::Box;
/// use blockyard::layers::{Outcome, check_all_failures};
///
/// let report = check_all_failures(|memory| {
///     let first = Box::into_raw(Box::try_new_in(1_u64, memory)?);
///     let second = Box::try_new_in(2_u64, memory)?; // leaks `first` where this fails
///     drop(unsafe { Box::from_raw_in(first, memory) });
///     Ok::<_, blockyard::allocator_api2::alloc::AllocError>(())
/// });
/// assert_eq!(report.runs[1], Outcome::Leaked { blocks: 1, bytes: 8 });
/// ```
pub fn check_all_failures<R, E>(mut code: impl FnMut(&Trial<'_>) -> Result<R, E>) -> FailureReport {
    let (undisturbed, requests) = run(&mut code, None);
    let runs = match undisturbed {
        Outcome::Succeeded => (0..requests).map(|nth| run(&mut code, Some(nth)).0).collect(),
        _ => Vec::new(),
    };
    FailureReport { undisturbed, runs }
}

/// The outcome, and how many requests there were.
fn run<R, E>(code: &mut impl FnMut(&Trial<'_>) -> Result<R, E>, nth: Option<u64>) -> (Outcome, u64) {
    let heap = Heap::new();
    let tracking = Tracking::new(&heap);
    let trial = match nth {
        Some(nth) => Failing::nth(tracking, nth),
        None => Failing::never(tracking),
    };
    let ended = panic::catch_unwind(AssertUnwindSafe(|| code(&trial).map(drop).map_err(drop)));
    let left = trial.child().snapshot().total;
    let outcome = match ended {
        Err(payload) => {
            Outcome::Panicked { message: message(&*payload), blocks: left.live(), bytes: left.bytes }
        }
        Ok(_) if nth.is_some() && trial.refusals() == 0 => Outcome::NotReached,
        Ok(_) if left.live() != 0 => Outcome::Leaked { blocks: left.live(), bytes: left.bytes },
        Ok(Ok(())) => Outcome::Succeeded,
        Ok(Err(())) => Outcome::Failed,
    };
    (outcome, trial.requests())
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

/// What became of one run.
///
/// # Examples
///
/// ```
/// use blockyard::layers::Outcome;
///
/// assert_eq!(Outcome::Leaked { blocks: 1, bytes: 8 }.to_string(), "leaked 1 blocks of 8 bytes");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An error was returned, and nothing leaked: as it should be where a request was refused.
    Failed,
    /// It returned `Ok`, and nothing leaked. Where a request was refused, the refusal was swallowed: right for code that
    /// can do without, wrong where an error was lost.
    Succeeded,
    /// Blocks were still allocated after it had returned.
    Leaked {
        /// How many.
        blocks: u64,
        /// Their bytes, as asked for.
        bytes: usize,
    },
    /// It panicked.
    Panicked {
        /// The panic's message.
        message: String,
        /// Blocks that were still allocated afterwards.
        blocks: u64,
        /// Their bytes, as asked for.
        bytes: usize,
    },
    /// There was no such request this time: the code does not ask for the same memory in each run.
    NotReached,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("failed, as it should"),
            Self::Succeeded => f.write_str("succeeded"),
            Self::Leaked { blocks, bytes } => write!(f, "leaked {blocks} blocks of {bytes} bytes"),
            Self::Panicked { message, blocks: 0, .. } => write!(f, "panicked: {message}"),
            Self::Panicked { message, blocks, bytes } => {
                write!(f, "panicked and leaked {blocks} blocks of {bytes} bytes: {message}")
            }
            Self::NotReached => f.write_str("did not get so far this time"),
        }
    }
}

/// What [`check_all_failures`] found. As text, a line for each run that did not fail as it should.
///
/// # Examples
///
/// ```
/// let report = blockyard::layers::check_all_failures(|_| Ok::<_, ()>(()));
/// assert_eq!(report.to_string(), "0 requests refused, 0 of them handled");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReport {
    /// The first run, where nothing was refused: [`Outcome::Succeeded`], or there were no others.
    pub undisturbed: Outcome,
    /// The run where request `n` was refused, for each `n` from 0 on.
    pub runs: Vec<Outcome>,
}

impl FailureReport {
    /// Whether the first run succeeded and each other one failed, all without a leak.
    ///
    /// # Examples
    ///
    /// ```
    /// let report = blockyard::layers::check_all_failures(|_| Err::<(), _>(()));
    /// assert!(!report.is_clean()); // even where nothing is refused
    /// ```
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.undisturbed == Outcome::Succeeded && self.runs.iter().all(|run| *run == Outcome::Failed)
    }

    /// # Panics
    ///
    /// With the report, unless it [is clean](Self::is_clean).
    ///
    /// # Examples
    ///
    /// ```
    /// blockyard::layers::check_all_failures(|_| Ok::<_, ()>(())).assert_clean();
    /// ```
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

impl fmt::Display for FailureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.undisturbed != Outcome::Succeeded {
            return write!(f, "without any refusal: {}", self.undisturbed);
        }
        let handled = self.runs.iter().filter(|run| **run == Outcome::Failed).count();
        write!(f, "{} requests refused, {handled} of them handled", self.runs.len())?;
        let others = self.runs.iter().enumerate().filter(|(_, run)| **run != Outcome::Failed);
        others.into_iter().try_for_each(|(nth, run)| write!(f, "\nrequest {nth} refused: {run}"))
    }
}
