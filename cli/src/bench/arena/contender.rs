//! What arenas do, for workloads to be written in.

use std::alloc::Layout;
use std::ptr::NonNull;

pub(super) use crate::bench::contender::Role;

/// Names and roles, in the order of the tables.
pub(super) const ALL: [(&str, Role); 11] = [
    ("arena", Role::Ours),
    ("scope", Role::Ours),
    ("pool", Role::Ours),
    ("pool-job", Role::Ours),
    ("bumpalo", Role::Peer),
    ("bump-scope", Role::Peer),
    ("blink-alloc", Role::Peer),
    ("bumpalo-herd", Role::Peer),
    ("herd-item", Role::Peer),
    ("thread-bump", Role::Peer),
    ("raw-bump", Role::Limit),
];

/// Where values can be allocated.
#[allow(clippy::mut_from_ref, reason = "each call gives out another place")]
pub(super) trait Space {
    fn value<T: Copy>(&self, value: T) -> &mut T;
    fn place(&self, layout: Layout) -> NonNull<u8>;
    fn bytes(&self, bytes: &[u8]) -> &mut [u8];
    fn text(&self, text: &str) -> &mut str;
    /// The sum of a vector in the arena to which the numbers below `len` were pushed, one by one.
    fn pushed_sum(&self, len: u64) -> u64;
}

/// An arena that one thread uses.
pub(super) trait Arena: Sized + 'static {
    const NAME: &'static str;

    type Space<'s>: Space;

    /// An arena as its users make one: empty.
    fn new() -> Self;

    /// Has `work` allocate, and takes everything back. What the arena keeps is for the next round.
    fn round(&mut self, work: impl for<'s> FnOnce(&Self::Space<'s>));

    /// Gives what dropped arenas have left in the process back to the system.
    fn give_back();
}

/// An arena that need not be taken back: it can be filled and dropped.
pub(super) trait Owned: Arena {
    fn space(&self) -> &Self::Space<'_>;
}

/// An arena whose last allocations can be taken back by leaving a scope.
pub(super) trait Nested: Arena {
    /// In a scope, and in a scope in that scope: allocates `values` numbers by `value`.
    fn nested(&mut self, values: u64);
}

/// An arena for the threads of a rayon pool.
pub(super) trait Shared: Sync + Sized + 'static {
    const NAME: &'static str;

    fn new() -> Self;

    /// Allocates a line of 64 bytes for each number below `items`, by one of the jobs of `split` items into
    /// which rayon cuts them.
    fn per_item(&self, items: u64, split: usize);

    fn reset(&mut self);
}

/// What an item allocates.
pub(super) type Line = [u64; 8];

/// `pushed_sum` with the vector of an allocator-api2 version.
macro_rules! pushed_sum {
    ($version:ident, $allocator:expr, $len:expr) => {{
        let mut numbers = $version::vec::Vec::new_in($allocator);
        for number in 0..$len {
            numbers.push(std::hint::black_box(number));
        }
        numbers.iter().sum()
    }};
}
pub(super) use pushed_sum;
