//! What is in an index, in a few figures.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hasher};

use allocator_api2::alloc::Allocator;
use serde::Serialize;

use super::inverted::Index;
use super::postings::Postings;

/// How many of the most common tokens are listed.
const COMMON_TOKENS: usize = 10;

/// The size of an index and its most common tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    /// Different tokens.
    pub(super) tokens: u64,
    /// Pairs of a token and a file it is in.
    pub(super) postings: u64,
    /// Occurrences of tokens: positions stored.
    pub(super) positions: u64,
    /// The tokens that occur most often, most common first.
    pub(super) common: Vec<Common>,
    /// A checksum over tokens, files and positions, the same for the same index.
    #[serde(skip)]
    pub(super) digest: u64,
}

/// A common token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Common {
    pub(super) token: String,
    pub(super) occurrences: u64,
    pub(super) files: u64,
}

impl Summary {
    pub(super) fn of<A: Allocator>(index: &Index<A>) -> Self {
        let mut summary = Self { tokens: 0, postings: 0, positions: 0, common: Vec::new(), digest: 0 };
        // The most common so far, the least of them on top; ties go to the alphabet.
        let mut common: BinaryHeap<Reverse<(u64, Reverse<&str>, u64)>> = BinaryHeap::new();
        for (token, postings) in index.iter() {
            let occurrences = postings.occurrences();
            let files = postings.as_slice().len() as u64;
            summary.tokens += 1;
            summary.postings += files;
            summary.positions += occurrences;
            // A sum, so that the maps' order does not matter.
            summary.digest = summary.digest.wrapping_add(digest(token, postings));
            common.push(Reverse((occurrences, Reverse(token), files)));
            if common.len() > COMMON_TOKENS {
                common.pop();
            }
        }
        let common = common.into_sorted_vec().into_iter();
        summary.common = common
            .map(|Reverse((occurrences, Reverse(token), files))| Common {
                token: token.to_owned(),
                occurrences,
                files,
            })
            .collect();
        summary
    }
}

fn digest<A: Allocator>(token: &str, postings: &Postings<A>) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(token.as_bytes());
    for posting in postings.as_slice() {
        hasher.write_u32(posting.file);
        for &position in &posting.positions {
            hasher.write_u32(position);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Global;

    use super::*;

    fn index(occurrences: &[(&str, u32, u32)]) -> Index<Global> {
        let mut index = Index::new_in(Global);
        for &(token, file, position) in occurrences {
            index.add(token, file, position);
        }
        index
    }

    #[test]
    fn figures_and_most_common_tokens() {
        let summary =
            Summary::of(&index(&[("bb", 0, 0), ("aa", 0, 3), ("bb", 1, 0), ("bb", 1, 9), ("cc", 1, 5)]));
        assert_eq!((summary.tokens, summary.postings, summary.positions), (3, 4, 5));
        let common = summary.common.iter();
        let common: Vec<_> = common.map(|c| (&*c.token, c.occurrences, c.files)).collect();
        assert_eq!(common, [("bb", 3, 2), ("aa", 1, 1), ("cc", 1, 1)]);
    }

    #[test]
    fn the_digest_tells_positions_apart() {
        let digest = |at| Summary::of(&index(&[("bb", 0, 0), ("aa", 0, at)])).digest;
        assert_eq!(digest(3), digest(3));
        assert_ne!(digest(3), digest(4));
    }
}
