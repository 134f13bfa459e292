//! The report: one index made on an explicit heap in this process, and everything told about it.

use blockyard::{ChunkView, HeapStats};
use serde::Serialize;

use super::build::{Phases, Pools, Tally, build, drop_half, timed};
use super::compare::{Comparison, Job};
use super::heap::new_heap;
use super::progress;
use super::query::{Answer, answer, locate};
use super::summary::Summary;
use super::walk::Corpus;

/// How long each phase of the run took, in seconds of wall-clock time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Seconds {
    pub(super) build: f64,
    pub(super) merge: f64,
    pub(super) query: f64,
    pub(super) drop_half: f64,
    /// Dropping the heap with all that is left in it.
    pub(super) drop_heap: f64,
}

/// What `blockyard index` prints: with `--json` as it is, else as tables.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The directory indexed.
    pub(super) root: String,
    /// How many threads built the index, and how many others dropped half of it.
    pub(super) threads: usize,
    /// What was read.
    #[serde(flatten)]
    pub(super) tally: Tally,
    /// What is in the index.
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// The answers to the queries.
    pub(super) queries: Vec<Answer>,
    /// How long this run took, in seconds, the file cache being cold or warm as it was.
    pub(super) seconds: Seconds,
    /// The heap's statistics with half of the index dropped.
    pub(super) stats: HeapStats,
    /// The heap's chunks then, if it was walked.
    #[serde(skip)]
    pub(super) chunks: Vec<ChunkView>,
    /// The same job on other allocators.
    pub(super) comparison: Option<Comparison>,
}

impl Report {
    /// Does the job once on a new heap, and looks into its chunks in the end if the heap is to be `walked`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be indexed at all, or there is no memory or no thread to be had.
    pub(super) fn make(job: &Job, walked: bool) -> anyhow::Result<Self> {
        let spinner = progress::finding_files();
        let corpus = Corpus::walk(&job.root, &spinner);
        spinner.finish_and_clear();
        let corpus = corpus?;
        let pools = Pools::new(job.threads)?;
        let mut heap = new_heap()?;
        let mut phases = Phases::default();

        let bar = progress::indexing(corpus.bytes());
        let (mut index, tally) = build(&heap, &corpus, &pools.build, &bar, &mut phases);
        bar.finish_and_clear();
        let summary = Summary::of(&index);
        let mut queries: Vec<Answer> = timed(&mut phases.query, || {
            let queries = job.queries.iter();
            queries.map(|query| answer(&index, query)).collect()
        });
        for answer in &mut queries {
            locate(answer, &corpus);
        }
        drop_half(&mut index, &pools.drop, &mut phases);
        let stats = heap.stats();
        // Nothing in the index needs its destructor run: its memory goes with the heap, at once.
        std::mem::forget(index);
        let chunks = if walked { heap.walk()?.chunks().to_vec() } else { Vec::new() };
        let mut drop_heap = 0.0;
        timed(&mut drop_heap, || drop(heap));
        Ok(Self {
            root: job.root.to_string_lossy().into_owned(),
            threads: job.threads,
            tally,
            summary,
            queries,
            seconds: Seconds {
                build: phases.build,
                merge: phases.merge,
                query: phases.query,
                drop_half: phases.drop_half,
                drop_heap,
            },
            stats,
            chunks,
            comparison: None,
        })
    }
}
