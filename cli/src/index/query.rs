//! Questions to an index: which files have all of these words?

use std::fmt;
use std::fs;
use std::str::FromStr;

use allocator_api2::alloc::Allocator;
use serde::Serialize;

use super::inverted::Index;
use super::tokenize::Tokens;
use super::walk::Corpus;

/// How many files an answer lists.
const BEST_FILES: usize = 3;

/// One or more words, all of which a file must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    words: Vec<String>,
}

/// Cuts a query into words the way texts are cut, so `a::b` asks for `a` AND `b`.
impl FromStr for Query {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words: Vec<String> = Vec::new();
        for (_, word) in Tokens::of(text) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        if words.is_empty() {
            return Err("no word of 2 to 64 letters, digits or _ in it".to_owned());
        }
        Ok(Self { words })
    }
}

/// The words, with a space between them: parses back to the same query.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

impl Query {
    /// What is asked when nothing is: words that every source tree has, and two at once.
    pub(super) fn defaults() -> Vec<Self> {
        let texts = ["unsafe", "alloc", "thread", "unsafe alloc"];
        texts.map(|text| text.parse().expect("words")).into()
    }
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// The words asked for, all of which each file has.
    pub(super) words: Vec<String>,
    /// How many files have all words.
    pub(super) files: usize,
    /// How often the words occur in those files, together.
    pub(super) occurrences: u64,
    /// The files in which they occur most often.
    pub(super) best: Vec<FileHit>,
}

/// A file that has all words of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FileHit {
    /// The file's number in the corpus.
    #[serde(skip)]
    pub(super) file: u32,
    /// Its path below the root; empty until [`locate`] fills it in.
    pub(super) path: String,
    /// How often the words occur in it, together.
    pub(super) occurrences: u64,
    /// The first place of each word.
    pub(super) places: Vec<Place>,
}

/// Where a word stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// Byte offset in the file.
    pub(super) position: u32,
    /// Line, counted from 1; unknown until [`locate`] has read the file.
    pub(super) line: Option<u64>,
    /// The text of that line, without the space around it.
    pub(super) text: Option<String>,
}

/// Answers a query from the index alone, without opening a file.
pub(super) fn answer<A: Allocator>(index: &Index<A>, query: &Query) -> Answer {
    let mut answer = Answer { words: query.words.clone(), files: 0, occurrences: 0, best: Vec::new() };
    let postings: Option<Vec<_>> = query.words.iter().map(|word| index.get(word)).collect();
    let Some(postings) = postings else {
        return answer;
    };
    let rarest = postings.iter().min_by_key(|list| list.as_slice().len());
    let rarest = rarest.expect("a query has a word");

    // (occurrences, file) of every file that has all words.
    let mut found: Vec<(u64, u32)> = Vec::new();
    for candidate in rarest.as_slice() {
        let counts = postings.iter().map(|list| {
            let posting = list.in_file(candidate.file)?;
            Some(posting.positions.len() as u64)
        });
        if let Some(occurrences) = counts.sum::<Option<u64>>() {
            found.push((occurrences, candidate.file));
        }
    }
    answer.files = found.len();
    answer.occurrences = found.iter().map(|&(occurrences, _)| occurrences).sum();
    found.sort_unstable_by_key(|&(occurrences, file)| (std::cmp::Reverse(occurrences), file));
    found.truncate(BEST_FILES);
    let best = found.into_iter().map(|(occurrences, file)| FileHit {
        file,
        path: String::new(),
        occurrences,
        places: postings
            .iter()
            .filter_map(|list| list.in_file(file))
            .map(|posting| Place { position: posting.positions[0], line: None, text: None })
            .collect(),
    });
    answer.best = best.collect();
    answer
}

/// Adds what only the files can tell: paths, and the lines the words stand in.
pub(super) fn locate(answer: &mut Answer, corpus: &Corpus) {
    for hit in &mut answer.best {
        let path = &corpus.files[hit.file as usize].path;
        hit.path = path.to_string_lossy().into_owned();
        // A file that has changed since is shown without lines.
        let Ok(text) = fs::read_to_string(corpus.open_path(hit.file)) else {
            continue;
        };
        for place in &mut hit.places {
            let Some((before, after)) = text.split_at_checked(place.position as usize) else {
                continue;
            };
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let end = after.find('\n').unwrap_or(after.len());
            place.line = Some(1 + memchr::memchr_iter(b'\n', before.as_bytes()).count() as u64);
            let line = &text[start..place.position as usize + end];
            place.text = Some(line.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Global;
    use indicatif::ProgressBar;

    use super::*;

    fn corpus_of(texts: &[&str]) -> (tempfile::TempDir, Corpus, Index<Global>) {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::new_in(Global);
        for (file, text) in texts.iter().enumerate() {
            fs::write(dir.path().join(format!("{file}.rs")), text).unwrap();
            for (position, token) in Tokens::of(text) {
                index.add(token, file as u32, position);
            }
        }
        let corpus = Corpus::walk(dir.path(), &ProgressBar::hidden()).unwrap();
        (dir, corpus, index)
    }

    fn ask(index: &Index<Global>, query: &str) -> Answer {
        answer(index, &query.parse().unwrap())
    }

    #[test]
    fn words_are_joined_by_and() {
        let (_dir, corpus, index) = corpus_of(&[
            "red\n  green red // both\n",
            "green",
            "red",
            "blue\nred blue green green\n",
            "Red GREEN",
        ]);
        let red = ask(&index, "red");
        assert_eq!((red.files, red.occurrences), (3, 4));

        let mut both = ask(&index, "green & red, red");
        assert_eq!(both.words, ["green", "red"]);
        assert_eq!((both.files, both.occurrences), (2, 6));
        locate(&mut both, &corpus);
        let [first, second] = &both.best[..] else { panic!("{both:?}") };
        assert_eq!((&*first.path, first.occurrences), ("0.rs", 3));
        assert_eq!((&*second.path, second.occurrences), ("3.rs", 3));
        let lines: Vec<_> = first.places.iter().map(|place| place.line).collect();
        assert_eq!(lines, [Some(2), Some(1)]);
        assert_eq!(first.places[0].text.as_deref(), Some("green red // both"));
        assert_eq!(first.places[0].position, 6);

        assert_eq!(ask(&index, "blue nothing").files, 0);
        assert_eq!(ask(&index, "GREEN blue").files, 0);
    }

    #[test]
    fn the_best_files_come_first() {
        let texts = ["aa", "aa aa aa", "aa aa", "aa aa aa aa"];
        let (_dir, _corpus, index) = corpus_of(&texts);
        let files: Vec<u32> = ask(&index, "aa").best.iter().map(|hit| hit.file).collect();
        assert_eq!(files, [3, 1, 2]);
    }

    #[test]
    fn a_changed_file_is_shown_without_lines() {
        let (dir, corpus, index) = corpus_of(&["one two three"]);
        fs::write(dir.path().join("0.rs"), "1").unwrap();
        let mut three = ask(&index, "three");
        locate(&mut three, &corpus);
        assert_eq!((three.files, three.best[0].places[0].line), (1, None));
    }

    #[test]
    fn a_query_needs_a_word() {
        assert!("x + y".parse::<Query>().is_err());
        assert!("".parse::<Query>().is_err());
        assert_eq!(Query::defaults().len(), 4);
    }
}
