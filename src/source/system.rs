//! The system's mapping calls.

use core::ptr::{self, NonNull};

use super::{Purged, Source};

/// The default [`Source`]: anonymous private mappings.
///
/// A reservation costs one system call where the kernel's choice of address happens to be aligned
/// (the usual case for segments, which are placed one below the other), three otherwise. Memory
/// becomes resident when it is first touched.
///
/// # Examples
///
/// ```
/// use blockyard::source::{Source, System};
///
/// let start = System.reserve(4 << 20, 4 << 20).expect("4 MiB of address space");
/// // SAFETY: just reserved, not used.
/// unsafe { System.release(start, 4 << 20, 4 << 20) };
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

fn map(size: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches nothing.
    let start =
        unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// # Safety
/// The range is page-aligned, mapped, and nobody uses it any more.
unsafe fn unmap(start: *mut u8, size: usize) {
    if size != 0 {
        // SAFETY: passed on. The call fails only for arguments that are not page-aligned or when
        // splitting a mapping exceeds the system's number of mappings; then the range stays
        // mapped, which costs address space, and memory where it was used, and nothing else.
        unsafe { libc::munmap(start.cast(), size) };
    }
}

// SAFETY: anonymous private mappings are nobody else's, zeroed, and stay until unmapped.
unsafe impl Source for System {
    fn reserve(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let start = map(size)?;
        if start.addr().get() & (align - 1) == 0 {
            return Some(start);
        }
        // SAFETY: just mapped, not used.
        unsafe { unmap(start.as_ptr(), size) };
        let padded = size.checked_add(align)?;
        let start = map(padded)?.as_ptr();
        let front = start.align_offset(align);
        // SAFETY: the padding in front and behind lies in the mapping just made, unused.
        unsafe {
            unmap(start, front);
            let aligned = start.add(front);
            unmap(aligned.add(size), padded - front - size);
            Some(NonNull::new_unchecked(aligned))
        }
    }

    unsafe fn purge(&self, start: NonNull<u8>, size: usize) -> Purged {
        // SAFETY: the caller needs nothing in the range.
        let done = unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_DONTNEED) } == 0;
        // Only Linux promises zeroes after `MADV_DONTNEED`.
        match done {
            true if cfg!(any(target_os = "linux", target_os = "android")) => Purged::Zeroed,
            true => Purged::Unspecified,
            false => Purged::Kept,
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    unsafe fn expect_dense(&self, start: NonNull<u8>, size: usize) {
        // A page fault costs 1.4 us here, and 0.35 us per 4 KiB when it brings 2 MiB at once
        // (docs/performance.md). A kernel without huge pages refuses, which changes nothing.
        // SAFETY: advice on a mapping of this source.
        unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
    }

    unsafe fn guard(&self, start: NonNull<u8>, size: usize) -> bool {
        // Refused where pages are larger than the range's alignment.
        // SAFETY: nobody uses the range, which is this source's.
        unsafe { libc::mprotect(start.as_ptr().cast(), size, libc::PROT_NONE) == 0 }
    }

    unsafe fn release(&self, start: NonNull<u8>, size: usize, _align: usize) {
        // SAFETY: passed on.
        unsafe { unmap(start.as_ptr(), size) };
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    unsafe fn remap(
        &self,
        start: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: a whole mapping of this source, grown or shrunk where it is.
        let moved = unsafe { libc::mremap(start.as_ptr().cast(), old_size, new_size, 0) };
        if moved != libc::MAP_FAILED {
            return Some(start);
        }
        // Move the pages onto an aligned reservation: page tables change, nothing is copied.
        let target = self.reserve(new_size, align)?;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the target is ours and unused; the call replaces it by the old mapping's pages.
        let moved = unsafe {
            libc::mremap(
                start.as_ptr().cast(),
                old_size,
                new_size,
                flags,
                target.as_ptr().cast::<libc::c_void>(),
            )
        };
        if moved == libc::MAP_FAILED {
            // The kernel may have unmapped the target before it failed, and another thread may have
            // mapped something there since. So the address range is left alone.
            return None;
        }
        Some(target)
    }

    /// Yes: calls about mappings take any range of pages.
    fn splits(&self) -> bool {
        true
    }

    fn fresh_is_zero(&self) -> bool {
        true
    }
}
