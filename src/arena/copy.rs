//! Copies that are short as a rule.

use core::ptr::{self, NonNull};

/// Copies `bytes` bytes, up to 32 of them in the place that calls it: by two moves that may overlap.
///
/// Names and paths are short, and a call of the system's `memcpy` costs as much as all the rest of an
/// allocation.
///
/// # Safety
/// Both have that many bytes, and do not overlap.
#[inline(always)]
pub(super) unsafe fn copy_bytes(from: NonNull<u8>, to: NonNull<u8>, bytes: usize) {
    /// # Safety
    /// As above; `N <= bytes <= 2 * N`.
    #[inline(always)]
    unsafe fn ends<const N: usize>(from: *const u8, to: *mut u8, bytes: usize) {
        // SAFETY: the first and the last `N` bytes of both.
        unsafe {
            ptr::copy_nonoverlapping(from, to, N);
            ptr::copy_nonoverlapping(from.add(bytes - N), to.add(bytes - N), N);
        }
    }
    let (from, to) = (from.as_ptr().cast_const(), to.as_ptr());
    // SAFETY: passed on, each in its range; of up to three bytes the first, a middle and the last are all.
    unsafe {
        match bytes {
            16..=32 => ends::<16>(from, to, bytes),
            8..16 => ends::<8>(from, to, bytes),
            4..8 => ends::<4>(from, to, bytes),
            1..4 => {
                ptr::copy_nonoverlapping(from, to, 1);
                ptr::copy_nonoverlapping(from.add(bytes / 2), to.add(bytes / 2), 1);
                ptr::copy_nonoverlapping(from.add(bytes - 1), to.add(bytes - 1), 1);
            }
            0 => {}
            _ => ptr::copy_nonoverlapping(from, to, bytes),
        }
    }
}
