//! A distribution of times in a few figures.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Times of calls, in nanoseconds.
#[derive(Clone)]
pub(crate) struct Times {
    histogram: Histogram<u64>,
    worst: u64,
    worst_undisturbed: u64,
}

impl Times {
    /// Exact to one percent, up to ten seconds.
    pub(crate) fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, 10_000_000_000, 2).expect("bounds that a histogram can have");
        Self { histogram, worst: 0, worst_undisturbed: 0 }
    }

    /// A call that took `ns`; `disturbed` where the thread may have lost its core meanwhile.
    #[inline(always)]
    pub(crate) fn add(&mut self, ns: u64, disturbed: bool) {
        self.histogram.saturating_record(ns.max(1));
        if ns > self.worst {
            self.worst = ns;
        }
        if ns > self.worst_undisturbed && !disturbed {
            self.worst_undisturbed = ns;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("histograms of the same bounds");
        self.worst = self.worst.max(other.worst);
        self.worst_undisturbed = self.worst_undisturbed.max(other.worst_undisturbed);
    }

    pub(crate) fn tail(&self) -> Tail {
        let quantile = |share| self.histogram.value_at_quantile(share).min(self.worst);
        Tail {
            calls: self.histogram.len(),
            median: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            worst: self.worst,
            worst_undisturbed: self.worst_undisturbed,
        }
    }
}

/// The figures, in nanoseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) calls: u64,
    pub(crate) median: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) worst: u64,
    /// The worst of those that surely kept their core.
    pub(crate) worst_undisturbed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_thousand() {
        let mut times = Times::new();
        (1..=999).for_each(|ns| times.add(ns, false));
        times.add(50_000, true);
        let mut merged = Times::new();
        merged.merge(&times);
        let tail = merged.tail();
        assert_eq!((tail.calls, tail.worst, tail.worst_undisturbed), (1_000, 50_000, 999));
        assert!(tail.median.abs_diff(500) <= 5 && tail.p999.abs_diff(999) <= 10, "{}", tail.p999);
        assert_eq!(Times::new().tail().worst, 0);
    }
}
