//! Well-known libraries at work. Each makes its input from a seed, does its job on it, and says what came out, so that
//! a contender that loses or mixes up memory is seen.

mod cache;
mod parse;
mod query;
mod search;
mod server;
mod words;

use std::time::Instant;

use blockyard_cli::installed::{self, ProgramRun, ProgramSize};

/// A job with its input ready.
type Job = Box<dyn FnOnce() -> u64>;

/// Makes the input, and the job on it.
type Maker = fn(ProgramSize) -> Job;

/// What each is called, and what makes its job. The suite knows the same names.
const PROGRAMS: [(&str, Maker); 5] = [
    ("syn", parse::job),
    ("jaq", query::job),
    ("tantivy", search::job),
    ("dashmap", cache::job),
    ("tokio", server::job),
];

/// Runs one of them once.
pub(crate) fn run(name: &str, size: ProgramSize) -> Option<ProgramRun> {
    let (_, make) = PROGRAMS.iter().find(|(program, _)| *program == name)?;
    let job = make(size);
    installed::reset_peak();
    let (faults, clock) = (installed::page_faults(), Instant::now());
    let (answer, processor) = installed::processor_time(job);
    Some(ProgramRun {
        wall_ns: clock.elapsed().as_nanos() as u64,
        processor_ns: processor.as_nanos() as u64,
        peak: installed::peak_resident(),
        page_faults: installed::page_faults() - faults,
        answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_knows_all_of_them() {
        assert_eq!(PROGRAMS.map(|(name, _)| name), installed::program_names());
    }

    #[test]
    fn the_same_seed_gives_the_same_answer() {
        for (name, make) in PROGRAMS {
            let answer = make(ProgramSize::Quick)();
            assert_eq!(make(ProgramSize::Quick)(), answer, "{name}");
            assert_ne!(answer, 0, "{name}");
        }
    }
}
