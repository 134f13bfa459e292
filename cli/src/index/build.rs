//! Building an index with many threads, and dropping half of it on others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as HeapVec;
use anyhow::Context;
use indicatif::ProgressBar;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use super::inverted::{Index, SHARDS, merge_shards};
use super::read::{Skipped, read_text};
use super::tokenize::Tokens;
use super::walk::Corpus;

/// The two groups of threads that share one index.
pub(super) struct Pools {
    /// Threads that read files, build partial indexes and merge them.
    pub(super) build: ThreadPool,
    /// Threads that allocate nothing and drop what the others have built.
    pub(super) drop: ThreadPool,
}

impl Pools {
    pub(super) fn new(threads: usize) -> anyhow::Result<Self> {
        let pool = |role: &'static str| {
            ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(move |number| format!("{role}-{number}"))
                .build()
                .with_context(|| format!("cannot start {threads} threads"))
        };
        Ok(Self { build: pool("build")?, drop: pool("drop")? })
    }
}

/// What has been read to make an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Files indexed.
    pub(super) files: u64,
    /// Bytes of text in them.
    pub(super) bytes: u64,
    /// Files that were not indexed, and why.
    pub(super) skipped: Skipped,
}

/// How long each phase of the job took, in seconds of wall-clock time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Phases {
    /// Reading files and building one partial index per thread.
    pub(super) build: f64,
    /// Merging the partial indexes.
    pub(super) merge: f64,
    /// Answering the queries.
    pub(super) query: f64,
    /// Dropping half of the index on threads that built none of it.
    pub(super) drop_half: f64,
    /// Dropping the other half on the main thread.
    pub(super) drop_rest: f64,
}

impl Phases {
    pub(super) fn total(&self) -> f64 {
        self.build + self.merge + self.query + self.drop_half + self.drop_rest
    }
}

/// Runs `job` and puts the time it took into `seconds`.
pub(super) fn timed<T>(seconds: &mut f64, job: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = job();
    *seconds = start.elapsed().as_secs_f64();
    result
}

/// Indexes all files of `corpus`, with every map, vector and buffer of the index on `memory`.
///
/// Each thread takes the next file until there is none left and keeps one partial index, so there are as
/// many to merge as threads, and none waits for a large file of another. The result does not depend on
/// the number of threads nor on who got which file.
pub(super) fn build<A: Allocator + Copy + Send + Sync>(
    memory: A,
    corpus: &Corpus,
    pool: &ThreadPool,
    progress: &ProgressBar,
    phases: &mut Phases,
) -> (Index<A>, Tally) {
    let next = AtomicUsize::new(0);
    let parts = timed(&mut phases.build, || pool.broadcast(|_| build_part(memory, corpus, &next, progress)));
    timed(&mut phases.merge, || {
        let mut tally = Tally::default();
        tally.skipped.not_regular = corpus.not_regular;
        tally.skipped.unreadable = corpus.unreadable;
        let mut shards: Vec<Vec<_>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for (part, read) in parts {
            tally.files += read.files;
            tally.bytes += read.bytes;
            tally.skipped.add(&read.skipped);
            for (shards, part) in shards.iter_mut().zip(part.into_shards()) {
                shards.push(part);
            }
        }
        let merge = |parts| merge_shards(parts).expect("a pool has at least one thread");
        let merged = pool.install(|| shards.into_par_iter().map(merge).collect());
        (Index::from_shards(merged, memory), tally)
    })
}

/// One thread's share: indexes file after file until there is none left.
fn build_part<A: Allocator + Copy>(
    memory: A,
    corpus: &Corpus,
    next: &AtomicUsize,
    progress: &ProgressBar,
) -> (Index<A>, Tally) {
    let mut index = Index::new_in(memory);
    let mut tally = Tally::default();
    let mut buffer = HeapVec::new_in(memory);
    loop {
        // ORDER: Relaxed: a ticket counter; it publishes nothing, the corpus is there from before.
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(source) = corpus.files.get(number) else {
            return (index, tally);
        };
        let file = u32::try_from(number).expect("fewer than 2^32 files");
        match read_text(&corpus.open_path(file), &mut buffer) {
            Ok(text) => {
                tally.files += 1;
                tally.bytes += text.len() as u64;
                for (position, token) in Tokens::of(text) {
                    index.add(token, file, position);
                }
            }
            Err(skip) => tally.skipped.count(skip),
        }
        progress.inc(source.bytes);
    }
}

/// Drops about half of `index` on the threads of `pool`, which are not those that built it: every block
/// freed there belongs to another thread.
pub(super) fn drop_half<A: Allocator + Copy + Send + Sync>(
    index: &mut Index<A>,
    pool: &ThreadPool,
    phases: &mut Phases,
) {
    let half = index.take_half();
    timed(&mut phases.drop_half, || {
        pool.install(|| half.into_par_iter().with_max_len(1).for_each(drop));
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use allocator_api2::alloc::System;

    use super::super::heap::new_heap;
    use super::super::postings::Postings;
    use super::*;

    type Plain = BTreeMap<String, Vec<(u32, Vec<u32>)>>;

    fn plain<A: Allocator>(index: &Index<A>) -> Plain {
        let entry = |(token, postings): (&str, &Postings<A>)| {
            let files = postings.as_slice().iter();
            let files = files.map(|posting| (posting.file, posting.positions.to_vec()));
            (token.to_owned(), files.collect())
        };
        index.iter().map(entry).collect()
    }

    fn index_with<A>(memory: A, root: &Path, threads: usize) -> (Plain, Tally)
    where
        A: Allocator + Copy + Send + Sync,
    {
        let hidden = ProgressBar::hidden();
        let corpus = Corpus::walk(root, &hidden).unwrap();
        let pools = Pools::new(threads).unwrap();
        let phases = &mut Phases::default();
        let (mut index, tally) = build(memory, &corpus, &pools.build, &hidden, phases);
        let all = plain(&index);
        drop_half(&mut index, &pools.drop, phases);
        let rest = plain(&index);
        assert!(rest.iter().all(|(token, files)| all[token] == *files));
        assert!(rest.len() < all.len() || all.len() < 8);
        (all, tally)
    }

    /// A directory whose files share most tokens, as source trees do.
    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in 0..60_u32 {
            let words = (0..200).map(|word| format!("w{} ", (word * (file + 7)) % 301));
            let text: String = words.chain([format!("only_{file}")]).collect();
            fs::write(dir.path().join(format!("{file:02}.txt")), text).unwrap();
        }
        fs::write(dir.path().join("binary"), b"\x7fELF\0 rest").unwrap();
        fs::write(dir.path().join("latin1"), b"caf\xe9").unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        dir
    }

    #[test]
    fn every_allocator_and_thread_count_builds_the_same_index() {
        let dir = sample();
        let (expected, tally) = index_with(System, dir.path(), 1);
        let skipped = Skipped { binary: 1, not_utf8: 1, ..Skipped::default() };
        assert_eq!((tally.files, tally.skipped), (61, skipped));
        assert_eq!(expected["only_41"], [(41, vec![expected["only_41"][0].1[0]])]);
        for threads in [2, 3, 8] {
            assert!(index_with(System, dir.path(), threads) == (expected.clone(), tally));
            let heap = new_heap().unwrap();
            assert!(index_with(&heap, dir.path(), threads) == (expected.clone(), tally));
            #[cfg(feature = "peer-mimalloc")]
            {
                let memory = super::super::mimalloc_memory::Mimalloc;
                assert!(index_with(memory, dir.path(), threads) == (expected.clone(), tally));
            }
        }
    }

    #[test]
    fn the_index_is_what_a_plain_loop_finds() {
        let dir = sample();
        let mut expected = Plain::new();
        let corpus = Corpus::walk(dir.path(), &ProgressBar::hidden()).unwrap();
        for file in 0..corpus.files.len() as u32 {
            let Ok(text) = fs::read_to_string(corpus.open_path(file)) else {
                continue;
            };
            if text.contains('\0') {
                continue;
            }
            for (position, token) in Tokens::of(&text) {
                let files = expected.entry(token.to_owned()).or_default();
                match files.last_mut() {
                    Some((last, positions)) if *last == file => positions.push(position),
                    _ => files.push((file, vec![position])),
                }
            }
        }
        assert!(index_with(System, dir.path(), 4).0 == expected);
    }

    #[test]
    fn a_file_that_has_gone_is_counted() {
        let dir = sample();
        let hidden = ProgressBar::hidden();
        let corpus = Corpus::walk(dir.path(), &hidden).unwrap();
        fs::remove_file(dir.path().join("07.txt")).unwrap();
        let pools = Pools::new(2).unwrap();
        let phases = &mut Phases::default();
        let (_, tally) = build(System, &corpus, &pools.build, &hidden, phases);
        assert_eq!((tally.files, tally.skipped.unreadable), (60, 1));
    }

    #[test]
    fn an_empty_directory_makes_an_empty_index() {
        let dir = tempfile::tempdir().unwrap();
        let (index, tally) = index_with(System, dir.path(), 2);
        assert_eq!((index.len(), tally), (0, Tally::default()));
    }
}
