//! The inverted index: every token with its postings, in hash maps on an explicit allocator.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec as HeapVec;
use hashbrown::{Equivalent, HashMap};

use super::postings::Postings;

/// Into how many maps an index is cut, by the tokens' hashes. Threads merge and drop shard by shard, so
/// there are several for each thread of a usual machine; more would only make more maps to grow.
pub(super) const SHARDS: usize = 64;

/// A token looked for: its text and its hash, computed once.
pub(super) struct TokenKey<'t> {
    hash: u64,
    text: &'t [u8],
}

/// A token kept in a map: its text in a block of its own.
///
/// Its hash is kept as well (8 bytes). Maps that grow and merges then neither hash a second time nor
/// follow the pointer to the text.
pub(super) struct Token<A: Allocator> {
    hash: u64,
    text: Box<[u8], A>,
}

/// The tokens whose hashes fall into one shard.
pub(super) type Shard<A> = HashMap<Token<A>, Postings<A>, BuildHasherDefault<KeptHash>, A>;

/// Token -> file -> positions.
pub(super) struct Index<A: Allocator> {
    shards: Vec<Shard<A>>,
    memory: A,
}

impl<A: Allocator + Copy> Index<A> {
    pub(super) fn new_in(memory: A) -> Self {
        let shard = |_| Shard::with_hasher_in(BuildHasherDefault::default(), memory);
        Self { shards: (0..SHARDS).map(shard).collect(), memory }
    }

    /// Records that `token` stands at `position` (a byte offset) of `file`. Files come in ascending order.
    #[inline]
    pub(super) fn add(&mut self, token: &str, file: u32, position: u32) {
        let key = TokenKey::new(token);
        let shard = &mut self.shards[key.shard()];
        match shard.get_mut(&key) {
            Some(postings) => postings.add(file, position),
            None => {
                let postings = Postings::first(file, position, self.memory);
                shard.insert(key.to_token(self.memory), postings);
            }
        }
    }

    /// Puts an index together from its shards, in order.
    pub(super) fn from_shards(shards: Vec<Shard<A>>, memory: A) -> Self {
        assert_eq!(shards.len(), SHARDS);
        Self { shards, memory }
    }

    pub(super) fn into_shards(self) -> Vec<Shard<A>> {
        self.shards
    }

    /// Takes every second shard out, which is about half of the tokens.
    pub(super) fn take_half(&mut self) -> Vec<Shard<A>> {
        let empty = || Shard::with_hasher_in(BuildHasherDefault::default(), self.memory);
        let second = self.shards.iter_mut().skip(1).step_by(2);
        second.map(|shard| std::mem::replace(shard, empty())).collect()
    }
}

/// Merges what several threads have collected for one shard: the smaller maps move into the largest, so
/// their tables, and the tokens that both have, are freed by this thread, whoever allocated them.
pub(super) fn merge_shards<A: Allocator + Copy>(mut parts: Vec<Shard<A>>) -> Option<Shard<A>> {
    let largest = (0..parts.len()).max_by_key(|&part| parts[part].len())?;
    let mut merged = parts.swap_remove(largest);
    for part in parts {
        for (token, postings) in part {
            match merged.get_mut(&token.key()) {
                Some(known) => known.merge(postings),
                None => {
                    merged.insert(token, postings);
                }
            }
        }
    }
    Some(merged)
}

impl<A: Allocator> Index<A> {
    /// The postings of a token.
    pub(super) fn get(&self, token: &str) -> Option<&Postings<A>> {
        let key = TokenKey::new(token);
        self.shards[key.shard()].get(&key)
    }

    /// All tokens with their postings, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Postings<A>)> {
        let entries = self.shards.iter().flatten();
        entries.map(|(token, postings)| (token.as_str(), postings))
    }
}

impl<'t> TokenKey<'t> {
    #[inline]
    fn new(text: &'t str) -> Self {
        let text = text.as_bytes();
        // A fixed seed: the same input makes the same maps for every allocator and in every run.
        let mut hasher = foldhash::fast::FixedState::default().build_hasher();
        hasher.write(text);
        let hash = hasher.finish();
        Self { hash, text }
    }

    /// The shard by bits 32 and up: a map picks buckets by the lowest bits and tells neighbours apart by
    /// the highest, so the bits in between are free.
    #[inline]
    fn shard(&self) -> usize {
        (self.hash >> 32) as usize % SHARDS
    }

    fn to_token<A: Allocator>(&self, memory: A) -> Token<A> {
        let mut text = HeapVec::with_capacity_in(self.text.len(), memory);
        text.extend_from_slice(self.text);
        Token { hash: self.hash, text: text.into_boxed_slice() }
    }
}

impl<A: Allocator> Token<A> {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("made from a str")
    }

    fn key(&self) -> TokenKey<'_> {
        let Self { hash, ref text } = *self;
        TokenKey { hash, text }
    }
}

impl Hash for TokenKey<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<A: Allocator> Hash for Token<A> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<A: Allocator> PartialEq for Token<A> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && *self.text == *other.text
    }
}

impl<A: Allocator> Eq for Token<A> {}

impl<A: Allocator> Equivalent<Token<A>> for TokenKey<'_> {
    #[inline]
    fn equivalent(&self, token: &Token<A>) -> bool {
        self.hash == token.hash && *self.text == *token.text
    }
}

/// The hasher of maps whose keys bring their hash along: it hands on the one `u64` it is given.
#[derive(Default)]
pub(super) struct KeptHash(u64);

impl Hasher for KeptHash {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys write their kept hash as one u64");
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Global;

    use super::*;

    #[test]
    fn merging_moves_tokens_and_joins_postings() {
        let mut left = Index::new_in(Global);
        let mut right = Index::new_in(Global);
        for file in 0..3_u32 {
            let index = if file == 1 { &mut right } else { &mut left };
            index.add("both", file, 5);
            index.add(&format!("only_{file}"), file, 7);
        }
        let (left, right) = (left.into_shards(), right.into_shards());
        let pairs = left.into_iter().zip(right);
        let merged = pairs.map(|(l, r)| merge_shards(vec![l, r]).unwrap());
        let mut index = Index::from_shards(merged.collect(), Global);
        assert_eq!(index.iter().count(), 4);
        let files = |token: &str| -> Vec<u32> {
            let postings = index.get(token).unwrap().as_slice();
            postings.iter().map(|posting| posting.file).collect()
        };
        assert_eq!(files("both"), [0, 1, 2]);
        assert_eq!(files("only_1"), [1]);
        assert!(index.get("neither").is_none());

        let taken: usize = index.take_half().iter().map(Shard::len).sum();
        assert_eq!(taken + index.iter().count(), 4);
    }

    #[test]
    fn shards_share_the_tokens_evenly() {
        let mut index = Index::new_in(Global);
        for number in 0..64_000_u32 {
            index.add(&format!("token{number}"), 0, number);
        }
        for shard in index.into_shards() {
            assert!((800..1200).contains(&shard.len()), "{}", shard.len());
        }
    }
}
