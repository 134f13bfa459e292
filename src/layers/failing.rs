//! Errors on purpose.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::around::{Answer, Around, implement_around};
use crate::allocator_api2::alloc::{AllocError, Allocator};

/// An allocator that refuses some requests that its child would serve.
///
/// Requests are numbered from 0: each `allocate` and each `grow`, with bytes. Shrinking and freeing are never refused.
/// What is refused depends on the number alone, so a run on one thread can be repeated.
///
/// Share it by reference. [`check_all_failures`](super::check_all_failures) refuses each request of a piece of code
/// once.
///
/// # Cost
///
/// One atomic read-modify-write per request.
///
/// # Examples
///
/// ```
/// use blockyard::{Global, allocator_api2::vec::Vec, layers::Failing};
///
/// let memory = Failing::nth(Global, 1);
/// let mut numbers = Vec::new_in(&memory);
/// numbers.try_reserve_exact(10).unwrap();
/// numbers.extend(0..10);
/// assert!(numbers.try_reserve_exact(10).is_err());
/// numbers.try_reserve_exact(10).unwrap();
/// assert_eq!((memory.requests(), memory.refusals(), numbers.len()), (3, 1, 10));
/// ```
#[derive(Debug)]
pub struct Failing<A> {
    child: A,
    plan: Plan,
    /// Relaxed, as is `refusals`: they publish nothing else.
    requests: AtomicU64,
    refusals: AtomicU64,
}

#[derive(Debug)]
enum Plan {
    Never,
    Nth(u64),
    From(u64),
    /// Where a number that the seed and the request make is below the bound, of 2^64.
    Random {
        seed: u64,
        bound: u128,
    },
}

impl Plan {
    fn refuses(&self, request: u64) -> bool {
        match *self {
            Self::Never => false,
            Self::Nth(nth) => request == nth,
            Self::From(first) => request >= first,
            Self::Random { seed, bound } => u128::from(split_mix(seed, request)) < bound,
        }
    }
}

/// The SplitMix64 sequence of `seed` at `index`.
fn split_mix(seed: u64, index: u64) -> u64 {
    let state = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl<A> Failing<A> {
    const fn with(child: A, plan: Plan) -> Self {
        Self { child, plan, requests: AtomicU64::new(0), refusals: AtomicU64::new(0) }
    }

    /// Refuses nothing: it counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Failing};
    ///
    /// let memory = Failing::never(Global);
    /// drop(Box::new_in(7, &memory));
    /// assert_eq!((memory.requests(), memory.refusals()), (1, 0));
    /// ```
    #[must_use]
    pub const fn never(child: A) -> Self {
        Self::with(child, Plan::Never)
    }

    /// Refuses request `n`, counted from 0, and no other.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Failing};
    ///
    /// let memory = Failing::nth(Global, 1);
    /// assert!(Box::try_new_in(1, &memory).is_ok());
    /// assert!(Box::try_new_in(2, &memory).is_err());
    /// assert!(Box::try_new_in(3, &memory).is_ok());
    /// ```
    #[must_use]
    pub const fn nth(child: A, n: u64) -> Self {
        Self::with(child, Plan::Nth(n))
    }

    /// Refuses request `n`, counted from 0, and all that follow: memory has run out.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Failing};
    ///
    /// let memory = Failing::from_nth(Global, 1);
    /// assert!(Box::try_new_in(1, &memory).is_ok());
    /// assert!(Box::try_new_in(2, &memory).is_err());
    /// assert!(Box::try_new_in(3, &memory).is_err());
    /// ```
    #[must_use]
    pub const fn from_nth(child: A, n: u64) -> Self {
        Self::with(child, Plan::From(n))
    }

    /// Refuses requests at random: each with `probability`, and the same ones for the same `seed`.
    ///
    /// # Panics
    ///
    /// When `probability` is not from 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, allocator_api2::boxed::Box, layers::Failing};
    ///
    /// let memory = Failing::random(Global, 42, 0.1);
    /// let refused = (0..1000).filter(|_| Box::try_new_in(7, &memory).is_err()).count();
    /// assert_eq!(memory.refusals(), refused as u64);
    /// assert!((50..200).contains(&refused));
    /// ```
    #[must_use]
    pub fn random(child: A, seed: u64, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "a probability of {probability}");
        let bound = (probability * (1_u128 << 64) as f64) as u128;
        Self::with(child, Plan::Random { seed, bound })
    }

    /// The child allocator. What is allocated there is not counted.
    ///
    /// # Examples
    ///
    /// ```
    /// use blockyard::{Global, layers::Failing};
    ///
    /// assert_eq!(*Failing::never(Global).child(), Global);
    /// ```
    #[must_use]
    pub const fn child(&self) -> &A {
        &self.child
    }

    /// How many requests there were.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::Failing::never(blockyard::Global).requests(), 0);
    /// ```
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// How many of them were refused here, not by the child.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(blockyard::layers::Failing::never(blockyard::Global).refusals(), 0);
    /// ```
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Relaxed)
    }

    fn on_request(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        if layout.size() != 0 && self.plan.refuses(self.requests.fetch_add(1, Relaxed)) {
            self.refusals.fetch_add(1, Relaxed);
            return Err(AllocError);
        }
        ask()
    }
}

impl<A: Allocator> Around for Failing<A> {
    type Child = A;

    #[inline(always)]
    fn child(&self) -> &A {
        &self.child
    }
    #[inline]
    fn on_allocate(&self, layout: Layout, ask: impl FnOnce() -> Answer) -> Answer {
        self.on_request(layout, ask)
    }
    #[inline]
    fn on_grow(
        &self,
        _block: NonNull<u8>,
        _old: Layout,
        new: Layout,
        ask: impl FnOnce() -> Answer,
    ) -> Answer {
        self.on_request(new, ask)
    }
}
implement_around!([A: Allocator] Failing<A>);
