//! Medians and quartiles: all the statistics there are.

use serde::{Deserialize, Serialize};

/// What the rounds of one cell came to, in nanoseconds per operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) max: f64,
    /// In the order in which they were taken.
    pub(crate) samples: Vec<f64>,
}

impl Summary {
    /// Of at least one sample.
    pub(crate) fn of(samples: Vec<f64>) -> Self {
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 0.5),
            min: sorted[0],
            lower_quartile: quantile(&sorted, 0.25),
            upper_quartile: quantile(&sorted, 0.75),
            max: sorted[sorted.len() - 1],
            samples,
        }
    }

    /// Whether two medians are the same as far as these rounds can tell: within two percent, or each inside
    /// the other's middle half.
    pub(crate) fn ties_with(&self, other: &Self) -> bool {
        let ratio = self.median / other.median;
        let holds =
            |summary: &Self, value: f64| (summary.lower_quartile..=summary.upper_quartile).contains(&value);
        (0.98..=1.02).contains(&ratio) || (holds(self, other.median) && holds(other, self.median))
    }
}

/// The value below which a share of the sorted samples lies, interpolated.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// Of values above zero; `None` of nothing.
pub(crate) fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (count, logs) =
        values.into_iter().fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value.ln()));
    (count > 0).then(|| (logs / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_five() {
        let summary = Summary::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(summary.median, 3.0);
        assert_eq!((summary.lower_quartile, summary.upper_quartile), (2.0, 4.0));
        assert_eq!((summary.min, summary.max), (1.0, 5.0));
        assert_eq!(summary.samples[0], 5.0);
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(Summary::of(vec![1.0, 2.0]).median, 1.5);
        assert_eq!(Summary::of(vec![7.0]).median, 7.0);
    }

    #[test]
    fn geometric_means() {
        assert_eq!(geometric_mean([]), None);
        let mean = geometric_mean([0.5, 2.0]).expect("two values");
        assert!((mean - 1.0).abs() < 1e-12);
    }

    #[test]
    fn ties_need_overlap() {
        let near = Summary::of(vec![1.0, 1.01, 1.02]);
        assert!(near.ties_with(&Summary::of(vec![1.0, 1.02, 1.03])));
        assert!(!near.ties_with(&Summary::of(vec![1.2, 1.21, 1.22])));
        let wide = Summary::of(vec![0.8, 1.0, 1.2]);
        assert!(wide.ties_with(&Summary::of(vec![0.9, 1.1, 1.3])));
    }
}
