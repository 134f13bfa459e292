//! Client requests to valgrind's memcheck: a sequence of instructions that does nothing on a processor, and that
//! valgrind, which translates the program as it runs it, knows. No header and no library is needed.
//!
//! The sequence, the registers and the numbers are those of `valgrind.h` and `memcheck.h`, which promise that they
//! never change. On other processors than these two nobody answers.

use core::arch::asm;

const MALLOCLIKE_BLOCK: usize = 0x1301;
const FREELIKE_BLOCK: usize = 0x1302;
/// Memcheck's own requests: "MC" in the upper half.
const MAKE_MEM_NOACCESS: usize = 0x4d43_0000;
const MAKE_MEM_UNDEFINED: usize = 0x4d43_0001;
const MAKE_MEM_DEFINED: usize = 0x4d43_0002;

/// Sends a request with up to four arguments; 0 where nobody answers.
fn request(code: usize, arguments: [usize; 4]) -> usize {
    let [a, b, c, d] = arguments;
    let words: [usize; 6] = [code, a, b, c, d, 0];
    #[allow(unused_mut, reason = "written by the processors that are known")]
    let mut answer = 0_usize;
    // SAFETY: outside valgrind the rotations add up to whole turns of a register that is put back as it was, and
    // the last instruction changes nothing. Valgrind reads `words` and writes the answer's register.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") words.as_ptr(), inout("rdx") answer, options(nostack),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "ror x12, x12, #3", "ror x12, x12, #13", "ror x12, x12, #51", "ror x12, x12, #61", "orr x10, x10, x10",
            in("x4") words.as_ptr(), inout("x3") answer, options(nostack),
        );
    }
    let _ = words;
    answer
}

/// Whether the program runs under memcheck. Valgrind's other tools do not know its requests.
pub(super) fn is_there() -> bool {
    request(MAKE_MEM_DEFINED, [0; 4]) == usize::MAX
}

/// A block begins, of undefined contents.
pub(super) fn allocated(block: *mut u8, size: usize) {
    // No red zone of its own: what lies around is hidden anyway. Not zeroed.
    request(MALLOCLIKE_BLOCK, [block.addr(), size, 0, 0]);
}

/// A block ends; an error if there is none.
pub(super) fn freed(block: *mut u8) {
    request(FREELIKE_BLOCK, [block.addr(), 0, 0, 0]);
}

/// Nobody may touch these bytes.
pub(super) fn hide(start: *mut u8, size: usize) {
    request(MAKE_MEM_NOACCESS, [start.addr(), size, 0, 0]);
}

/// These bytes may be used, and have been written.
pub(super) fn show(start: *mut u8, size: usize) {
    request(MAKE_MEM_DEFINED, [start.addr(), size, 0, 0]);
}

/// These bytes may be used once they are written.
pub(super) fn show_undefined(start: *mut u8, size: usize) {
    request(MAKE_MEM_UNDEFINED, [start.addr(), size, 0, 0]);
}
