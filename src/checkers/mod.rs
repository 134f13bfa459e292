//! What memory checkers are told of blocks: valgrind's memcheck and AddressSanitizer, which know `malloc` and would
//! take a segment for one piece of memory that anybody may use.
//!
//! Memory of a heap is hidden from the moment a segment or mapping is made, but for its head: whoever touches it is
//! reported. A block shows as many bytes as were asked for from its allocation to its free. Behind each block stays a
//! gap, so that a run over its end is found whatever lies there, and a run below its start as far as the gap of the
//! block before it. What we do with free blocks ourselves, following and writing links, shows that one word for as
//! long.
//!
//! An [`Arena`](crate::Arena) does the same with its chunks. The bytes of buffers are left alone: they are the user's.
//!
//! The handles call this, at the outermost place: `if checkers::is_on()`. Without the features that is the constant
//! false. With them, and no checker around the program, it is one load; everything else is as ever. Under a checker
//! blocks are 16 bytes larger and a resize always moves.

#[cfg(all(feature = "asan", not(loom)))]
mod asan;
#[cfg(all(feature = "valgrind", not(loom)))]
mod valgrind;

#[cfg(any(not(any(feature = "asan", feature = "valgrind")), loom))]
#[path = "off.rs"]
mod told;
#[cfg(all(any(feature = "asan", feature = "valgrind"), not(loom)))]
#[path = "on.rs"]
mod told;

pub(crate) use told::*;
