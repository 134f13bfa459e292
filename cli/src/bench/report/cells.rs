//! Numbers as text.

use crate::bench::stats::Summary;

/// Nanoseconds, three digits or so.
pub(crate) fn ns(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else if value < 99_999.5 {
        format!("{value:.0}")
    } else {
        format!("{:.0}k", value / 1e3)
    }
}

/// Nanoseconds in a unit that fits.
pub(crate) fn time(ns: f64) -> String {
    if ns < 1e3 {
        format!("{ns:.0} ns")
    } else if ns < 1e6 {
        format!("{:.1} us", ns / 1e3)
    } else {
        format!("{:.1} ms", ns / 1e6)
    }
}

/// The middle half of the rounds.
pub(crate) fn spread(summary: &Summary) -> String {
    format!("{}-{}", ns(summary.lower_quartile), ns(summary.upper_quartile))
}

pub(crate) fn ratio(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}x")
    } else if value < 99.95 {
        format!("{value:.1}x")
    } else {
        format!("{value:.0}x")
    }
}

/// Bytes in a unit that fits.
pub(crate) fn bytes(value: u64) -> String {
    let value = value as f64;
    let (kib, mib, gib) = (1024.0, 1024.0 * 1024.0, 1024.0 * 1024.0 * 1024.0);
    if value < mib {
        format!("{:.0} KiB", value / kib)
    } else if value < gib {
        format!("{:.1} MiB", value / mib)
    } else {
        format!("{:.2} GiB", value / gib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(ns(1.234), "1.23");
        assert_eq!(ns(9.999), "10.0");
        assert_eq!(ns(123.4), "123");
        assert_eq!(ns(18_986.0), "18986");
        assert_eq!(ns(7_700_000.0), "7700k");
        assert_eq!([time(99.6), time(1_250.0), time(3e6)], ["100 ns", "1.2 us", "3.0 ms"]);
        assert_eq!(ratio(0.954), "0.95x");
        assert_eq!(ratio(1234.0), "1234x");
        assert_eq!(bytes(1 << 20), "1.0 MiB");
        assert_eq!(bytes(640), "1 KiB");
    }
}
