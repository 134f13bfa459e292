//! AddressSanitizer, where the program is linked with its runtime: a C or C++ program that was compiled with
//! `-fsanitize=address` and has this library in it, or a Rust program compiled with it by a nightly compiler.
//!
//! The runtime's functions are referred to as weak symbols, which Rust cannot say and the assembler can: in a
//! program without the runtime their addresses are null. On other systems than these nobody is told anything.

use core::ptr;

type Mark = unsafe extern "C" fn(*const u8, usize);

/// The address of a symbol, or null. The assembler makes the symbol weak wherever it is named.
macro_rules! weak {
    ($name:literal) => {{
        #[allow(unused_mut, reason = "written on the systems that are known")]
        let mut address: *const () = ptr::null();
        // SAFETY: reads an entry of the global offset table.
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address, options(pure, readonly, nostack, preserves_flags),
            );
        }
        // SAFETY: as above.
        #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address, options(pure, readonly, nostack, preserves_flags),
            );
        }
        // SAFETY: the functions of these names have this type; null is `None`.
        unsafe { core::mem::transmute::<*const (), Option<Mark>>(address) }
    }};
}

/// Whether the runtime is linked in.
pub(super) fn is_there() -> bool {
    weak!("__asan_poison_memory_region").is_some()
}

/// Nobody may touch these bytes.
pub(super) fn hide(start: *mut u8, size: usize) {
    if let Some(poison) = weak!("__asan_poison_memory_region") {
        // SAFETY: the bytes are ours.
        unsafe { poison(start, size) };
    }
}

/// These bytes may be used.
pub(super) fn show(start: *mut u8, size: usize) {
    if let Some(unpoison) = weak!("__asan_unpoison_memory_region") {
        // SAFETY: the bytes are ours.
        unsafe { unpoison(start, size) };
    }
}
