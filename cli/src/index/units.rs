//! Figures as people read them.

/// `1234567` as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 file`, `2 files`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    counted_as(number, noun, &format!("{noun}s"))
}

/// A count with one of two nouns, for those whose plural is not made with an `s`.
pub(super) fn counted_as(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", count(number))
}

/// Bytes in the largest binary unit that leaves at least 1: `73.2 MiB`.
pub(super) fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") }
}

/// Bytes in MiB, for columns that are compared line by line.
pub(super) fn mib(number: u64) -> String {
    format!("{:.1}", number as f64 / (1024.0 * 1024.0))
}

/// Seconds with the unit that suits: `1.23 s`, `45.6 ms`, `7.8 us`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds >= 0.9995 {
        format!("{seconds:.2} s")
    } else if seconds >= 0.000_999_5 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.1} us", seconds * 1e6)
    }
}

/// Seconds in milliseconds, for columns that are compared line by line.
pub(super) fn millis(seconds: f64) -> String {
    format!("{:.1}", seconds * 1e3)
}

/// Text from a file or a file's name, made safe and short for one table cell: control characters, which a
/// terminal would obey, become `?`, and what is longer than `width` characters ends in `...`.
pub(super) fn printable(text: &str, width: usize) -> String {
    let clean = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '?',
        c => c,
    };
    if text.chars().nth(width).is_none() {
        return text.chars().map(clean).collect();
    }
    let kept = text.chars().take(width.saturating_sub(3)).map(clean);
    kept.chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(0, "file"), "0 files");
        assert_eq!(counted_as(2, "class", "classes"), "2 classes");
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(5 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
        );
        assert_eq!([duration(1.5), duration(0.0123), duration(2.5e-6)], ["1.50 s", "12.3 ms", "2.5 us"]);
        assert_eq!((millis(0.0123), mib(3 << 19)), ("12.3".into(), "1.5".into()));
    }

    #[test]
    fn text_is_safe_to_print() {
        assert_eq!(printable("a\tb\x1b[2Jc", 20), "a b?[2Jc");
        assert_eq!(printable("übergröße", 9), "übergröße");
        assert_eq!(printable("übergrößen", 9), "übergr...");
    }
}
