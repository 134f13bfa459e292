//! Where one token occurs: the files it is in, and its positions in each.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

/// The occurrences of a token in one file. A posting, in the words of the field.
pub(super) struct Posting<A: Allocator> {
    /// The file's number: its place in the corpus, which is sorted by path.
    pub(super) file: u32,
    /// Byte offsets in that file, ascending, never empty.
    pub(super) positions: Vec<u32, A>,
}

/// All postings of one token, by ascending file number, one per file.
pub(super) struct Postings<A: Allocator> {
    list: Vec<Posting<A>, A>,
}

impl<A: Allocator + Copy> Postings<A> {
    /// A token's first occurrence.
    pub(super) fn first(file: u32, position: u32, memory: A) -> Self {
        // Most tokens are in one file only, and growth starts with room for four.
        let mut list = Vec::with_capacity_in(1, memory);
        list.push(Posting::new(file, position, memory));
        Self { list }
    }

    /// One more occurrence. Files come in ascending order, and so do the positions in a file.
    #[inline]
    pub(super) fn add(&mut self, file: u32, position: u32) {
        let memory = *self.list.allocator();
        match self.list.last_mut() {
            Some(last) if last.file == file => last.positions.push(position),
            last => {
                debug_assert!(last.is_none_or(|last| last.file < file));
                self.list.push(Posting::new(file, position, memory));
            }
        }
    }

    /// Takes in the postings that another thread has made of other files.
    pub(super) fn merge(&mut self, mut other: Self) {
        // Into the longer one, so that the shorter one's vector is freed.
        if other.list.len() > self.list.len() {
            std::mem::swap(self, &mut other);
        }
        let (Some(last), Some(first)) = (self.list.last(), other.list.first()) else {
            return;
        };
        if last.file < first.file {
            self.list.append(&mut other.list);
            return;
        }
        let memory = *self.list.allocator();
        let merged = Vec::with_capacity_in(self.list.len() + other.list.len(), memory);
        let mine = std::mem::replace(&mut self.list, merged);
        let mut theirs = other.list.into_iter().peekable();
        for posting in mine {
            while let Some(earlier) = theirs.next_if(|their| their.file < posting.file) {
                self.list.push(earlier);
            }
            self.list.push(posting);
        }
        self.list.extend(theirs);
    }
}

impl<A: Allocator> Postings<A> {
    pub(super) fn as_slice(&self) -> &[Posting<A>] {
        &self.list
    }

    /// The posting for one file.
    pub(super) fn in_file(&self, file: u32) -> Option<&Posting<A>> {
        let at = self.list.binary_search_by_key(&file, |posting| posting.file);
        at.ok().map(|at| &self.list[at])
    }

    /// How often the token occurs in all files together.
    pub(super) fn occurrences(&self) -> u64 {
        self.list.iter().map(|posting| posting.positions.len() as u64).sum()
    }
}

impl<A: Allocator + Copy> Posting<A> {
    fn new(file: u32, position: u32, memory: A) -> Self {
        let mut positions = Vec::new_in(memory);
        positions.push(position);
        Self { file, positions }
    }
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Global;

    use super::*;

    fn postings(files: &[u32]) -> Postings<Global> {
        let mut postings = Postings::first(files[0], files[0] * 10, Global);
        for &file in &files[1..] {
            postings.add(file, file * 10);
        }
        postings
    }

    #[test]
    fn merging_keeps_files_in_order() {
        for (mine, theirs) in [
            (&[1, 2, 3][..], &[4, 5][..]),
            (&[4, 5], &[1, 2, 3]),
            (&[1, 4, 6], &[2, 3, 7, 9]),
            (&[5], &[1, 9]),
            (&[9], &[1]),
        ] {
            let mut merged = postings(mine);
            merged.merge(postings(theirs));
            let mut expected = [mine, theirs].concat();
            expected.sort_unstable();
            let files: std::vec::Vec<u32> = merged.as_slice().iter().map(|p| p.file).collect();
            assert_eq!(files, expected);
            for posting in merged.as_slice() {
                assert_eq!(posting.positions[..], [posting.file * 10]);
            }
            assert_eq!(merged.occurrences(), expected.len() as u64);
        }
    }

    #[test]
    fn one_posting_per_file() {
        let mut postings = postings(&[3, 3, 8]);
        postings.add(8, 81);
        assert_eq!(postings.as_slice().len(), 2);
        assert_eq!(postings.in_file(8).unwrap().positions[..], [80, 81]);
        assert!(postings.in_file(4).is_none());
    }
}
