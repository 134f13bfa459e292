//! Contents that tell whose they are: each byte depends on a seed and on its place.

use super::Rng;

/// Bytes that are made and compared at once, so that megabytes are checked quickly without
/// optimisation too.
const PAGE: usize = 512;

/// The pattern's page at `index`; its first bytes tell which one it is.
fn stamp(page: &mut [u8; PAGE], seed: u64, index: usize) {
    page[..8].copy_from_slice(&(seed ^ (index as u64) << 32).to_le_bytes());
}

/// The pattern's page, as far as `len` bytes of contents need it.
fn page(seed: u64, len: usize) -> [u8; PAGE] {
    let mut rng = Rng::new(seed);
    let mut page = [0; PAGE];
    for word in page.chunks_exact_mut(8).take(len.div_ceil(8)) {
        word.copy_from_slice(&(rng.next() | 1).to_le_bytes());
    }
    page
}

pub(crate) fn fill(bytes: &mut [u8], seed: u64) {
    let mut page = page(seed, bytes.len());
    for (index, part) in bytes.chunks_mut(PAGE).enumerate() {
        stamp(&mut page, seed, index);
        part.copy_from_slice(&page[..part.len()]);
    }
}

/// Panics unless `bytes` are what `fill` wrote, to these or to more bytes.
#[track_caller]
pub(crate) fn verify(bytes: &[u8], seed: u64) {
    let mut page = page(seed, bytes.len());
    for (index, part) in bytes.chunks(PAGE).enumerate() {
        stamp(&mut page, seed, index);
        if part != &page[..part.len()] {
            let at = part.iter().zip(&page).position(|(found, wrote)| found != wrote);
            panic!("byte {} of {} is not what was written", index * PAGE + at.unwrap_or(0), bytes.len());
        }
    }
}

#[track_caller]
pub(crate) fn verify_zero(bytes: &[u8]) {
    static ZERO: [u8; PAGE] = [0; PAGE];
    for (index, part) in bytes.chunks(PAGE).enumerate() {
        if part != &ZERO[..part.len()] {
            let at = part.iter().position(|&byte| byte != 0).unwrap_or(0);
            panic!("byte {} of {} is {}, not zero", index * PAGE + at, bytes.len(), part[at]);
        }
    }
}
