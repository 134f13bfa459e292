//! What a hardened heap says before it ends the process.

use core::fmt::{self, Write};

use super::HeapCore;
use crate::config::CANARY_BYTES;
use crate::local_heap::chunk_of;
use crate::threads::os_thread_id;

/// What somebody did to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// The block is free already, or was never handed out.
    DoubleFree,
    /// The address is not that of a block's first byte.
    InvalidFree,
    /// The layout is not one that the block was handed out for.
    WrongSize,
    /// The end of the block was written to.
    Overflow,
    /// A free block was written to.
    WriteAfterFree,
}

/// Where an address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a chunk of blocks of that many bytes.
    Class(usize),
    /// In a run of chunks that is one block of that many bytes.
    Run(usize),
    /// In a mapping that is one block of that many bytes.
    Mapping(usize),
    /// In no block.
    Elsewhere,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoubleFree => "double free",
            Self::InvalidFree => "invalid free",
            Self::WrongSize => "free with a wrong size",
            Self::Overflow => "overflow",
            Self::WriteAfterFree => "write after free",
        })
    }
}

/// Text on the stack; what does not fit is left out.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

impl HeapCore {
    /// Says what was done to the block at `block`, in one line on standard error, and aborts the process.
    /// Allocates nothing and takes no lock.
    #[cold]
    #[inline(never)]
    pub(crate) fn report(&self, misuse: Misuse, block: *const u8, place: Place) -> ! {
        let mut line = Line { bytes: [0; 256], len: 0 };
        // What goes wrong here must not keep the process from its end.
        let _ = self.describe(&mut line, misuse, block, place);
        print(&line.bytes[..line.len]);
        std::process::abort()
    }

    fn describe(&self, line: &mut Line, misuse: Misuse, block: *const u8, place: Place) -> fmt::Result {
        let name: &str = match self.settings.name.as_deref() {
            Some(name) => name.get(..100).unwrap_or(name),
            None if self.id == 1 => "Global",
            None => "unnamed",
        };
        let address = block.addr();
        write!(line, "blockyard: heap \"{name}\": {misuse} at {address:#x}, ")?;
        match place {
            Place::Class(size) => write!(line, "{} bytes, class {size}", size - CANARY_BYTES)?,
            Place::Run(size) => write!(line, "{} bytes, run", size - CANARY_BYTES)?,
            Place::Mapping(size) => write!(line, "{} bytes, mapping", size - CANARY_BYTES)?,
            Place::Elsewhere => write!(line, "no block")?,
        }
        if let Place::Class(_) | Place::Run(_) = place {
            // SAFETY: (I2) the address lies in a chunk that somebody has; (I6) local heaps live as long as their
            // heap, and (I7) records for ever.
            let owner = unsafe { (*(*(*chunk_of(block.cast_mut())).local()).record()).os_id() };
            write!(line, ", of thread {owner}")?;
        }
        writeln!(line, ", found on thread {}; process aborts", os_thread_id())
    }
}

#[cfg(unix)]
fn print(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: the call reads that many bytes of the text.
        let written = unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
        match usize::try_from(written) {
            Ok(written @ 1..) => text = &text[written.min(text.len())..],
            _ => return,
        }
    }
}

#[cfg(not(unix))]
fn print(text: &[u8]) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text);
}
