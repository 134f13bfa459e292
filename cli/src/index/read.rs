//! Reading one file: its text in a reused buffer, or why it is skipped.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use serde::{Deserialize, Serialize};

/// A NUL byte among this many first bytes makes a file binary: what grep and git look at.
const HEAD_BYTES: usize = 8 * 1024;

/// Larger files are skipped, in bytes: text is rarely this large, every thread holds one file whole, and
/// positions have 32 bits.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Why a file is not indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// It could not be opened or read.
    Unreadable,
    /// It has a NUL byte in its head.
    Binary,
    /// It is not UTF-8.
    NotUtf8,
    /// It is larger than 256 MiB.
    TooLarge,
}

/// How many files were skipped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Skipped {
    pub(super) unreadable: u64,
    pub(super) binary: u64,
    pub(super) not_utf8: u64,
    pub(super) too_large: u64,
    /// Symbolic links, sockets, pipes and devices.
    pub(super) not_regular: u64,
}

impl Skipped {
    pub(super) fn count(&mut self, skip: Skip) {
        match skip {
            Skip::Unreadable => self.unreadable += 1,
            Skip::Binary => self.binary += 1,
            Skip::NotUtf8 => self.not_utf8 += 1,
            Skip::TooLarge => self.too_large += 1,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.unreadable += other.unreadable;
        self.binary += other.binary;
        self.not_utf8 += other.not_utf8;
        self.too_large += other.too_large;
        self.not_regular += other.not_regular;
    }

    pub(super) fn total(&self) -> u64 {
        self.unreadable + self.binary + self.not_utf8 + self.too_large + self.not_regular
    }
}

/// Reads `path` into `buffer` and returns its text.
///
/// `buffer` only ever grows and its length is a high-water mark: what it holds is overwritten, not
/// cleared, so reading many files costs no allocation once the largest has been seen.
pub(super) fn read_text<'b, A: Allocator>(path: &Path, buffer: &'b mut Vec<u8, A>) -> Result<&'b str, Skip> {
    let mut file = File::open(path).map_err(|_| Skip::Unreadable)?;
    let expected = file.metadata().map_err(|_| Skip::Unreadable)?.len();
    if expected > MAX_FILE_BYTES {
        return Err(Skip::TooLarge);
    }
    // One byte more than expected, so that the end is seen without growing.
    let wanted = (expected as usize + 1).max(HEAD_BYTES);
    if buffer.len() < wanted {
        buffer.resize(wanted, 0);
    }

    let head = fill(&mut file, &mut buffer[..HEAD_BYTES]).map_err(|_| Skip::Unreadable)?;
    if memchr::memchr(0, &buffer[..head]).is_some() {
        return Err(Skip::Binary);
    }
    let mut filled = head;
    if head == HEAD_BYTES {
        loop {
            filled += fill(&mut file, &mut buffer[filled..]).map_err(|_| Skip::Unreadable)?;
            if filled < buffer.len() {
                break;
            }
            // The file has grown since, or its size says nothing, as under /proc.
            if filled as u64 > MAX_FILE_BYTES {
                return Err(Skip::TooLarge);
            }
            buffer.resize(filled * 2, 0);
        }
    }
    std::str::from_utf8(&buffer[..filled]).map_err(|_| Skip::NotUtf8)
}

/// Reads until `target` is full or the file ends, and returns how many bytes that were.
fn fill(file: &mut File, target: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < target.len() {
        match file.read(&mut target[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn text_comes_back_and_the_rest_says_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut buffer: Vec<u8> = Vec::new();
        let mut read = |contents: Option<&[u8]>| {
            let path = dir.path().join("file");
            match contents {
                Some(contents) => fs::write(&path, contents).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            read_text(&path, &mut buffer).map(str::to_owned)
        };
        let long = "grüße ".repeat(5000);
        assert_eq!(read(Some(long.as_bytes())), Ok(long));
        // Shorter than what the buffer still holds from before.
        assert_eq!(read(Some(b"short")), Ok("short".into()));
        assert_eq!(read(Some(b"")), Ok(String::new()));
        let exact = "x".repeat(HEAD_BYTES);
        assert_eq!(read(Some(exact.as_bytes())), Ok(exact));
        assert_eq!(read(Some(b"ELF\0\x01")), Err(Skip::Binary));
        assert_eq!(read(Some(b"caf\xe9")), Err(Skip::NotUtf8));
        assert_eq!(read(None), Err(Skip::Unreadable));
        let huge = fs::File::create(dir.path().join("huge")).unwrap();
        // Sparse: it takes no room on the disk.
        huge.set_len(MAX_FILE_BYTES + 1).unwrap();
        let path = dir.path().join("huge");
        assert_eq!(read_text(&path, &mut Vec::<u8>::new()), Err(Skip::TooLarge));
        // A NUL behind the head is text like any other separator.
        let late = format!("{}\0tail", "y".repeat(HEAD_BYTES));
        assert_eq!(read(Some(late.as_bytes())), Ok(late));
    }
}
