//! Progress bars, on standard error and only when that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often spinners turn, and elapsed times move on.
const TICK: Duration = Duration::from_millis(100);

/// A spinner that counts the files found so far.
pub(super) fn finding_files() -> ProgressBar {
    styled(ProgressBar::no_length(), "{spinner} finding files: {human_pos}")
}

/// A bar over bytes read.
pub(super) fn indexing(bytes: u64) -> ProgressBar {
    styled(ProgressBar::new(bytes), "indexing [{bar:40}] {bytes}/{total_bytes}, {eta} left")
}

/// A bar over the child processes of the comparison.
pub(super) fn comparing(runs: u64) -> ProgressBar {
    styled(ProgressBar::new(runs), "comparing [{bar:40}] {pos}/{len} runs, now {msg}, {elapsed} so far")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("a valid template");
    let bar = bar.with_style(style.progress_chars("=> "));
    // Only what is seen needs a thread that redraws it.
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for bar in [finding_files(), indexing(10), comparing(3)] {
            bar.inc(1);
            bar.finish_and_clear();
        }
    }
}
