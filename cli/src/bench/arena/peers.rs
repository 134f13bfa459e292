//! Arenas of other crates, each called as its documentation shows.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;

use blink_alloc::Blink as BlinkArena;
use bump_scope::{Bump as ScopeBump, BumpPool};
use bumpalo::Bump;
use bumpalo_herd::Herd;
use rayon::prelude::*;
use thread_local::ThreadLocal;

use super::contender::{Arena, Line, Nested, Owned, Shared, Space, pushed_sum};

/// They take their memory from the system's allocator here.
fn trim() {
    // SAFETY: `malloc_trim` may be called at any time from any thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

pub(super) struct Bumpalo(Bump);

impl Space for Bump {
    #[inline(always)]
    fn value<T: Copy>(&self, value: T) -> &mut T {
        self.alloc(value)
    }
    #[inline(always)]
    fn place(&self, layout: Layout) -> NonNull<u8> {
        self.alloc_layout(layout)
    }
    #[inline(always)]
    fn bytes(&self, bytes: &[u8]) -> &mut [u8] {
        self.alloc_slice_copy(bytes)
    }
    #[inline(always)]
    fn text(&self, text: &str) -> &mut str {
        self.alloc_str(text)
    }
    #[inline(always)]
    fn pushed_sum(&self, len: u64) -> u64 {
        pushed_sum!(allocator_api2, self, len)
    }
}

impl Arena for Bumpalo {
    const NAME: &'static str = "bumpalo";
    type Space<'s> = Bump;

    #[inline(always)]
    fn new() -> Self {
        Self(Bump::new())
    }
    #[inline(always)]
    fn round(&mut self, work: impl for<'s> FnOnce(&Self::Space<'s>)) {
        work(&self.0);
        self.0.reset();
    }
    fn give_back() {
        trim();
    }
}

impl Owned for Bumpalo {
    #[inline(always)]
    fn space(&self) -> &Self::Space<'_> {
        &self.0
    }
}

pub(super) struct BumpScope(ScopeBump);

impl Space for ScopeBump {
    #[inline(always)]
    fn value<T: Copy>(&self, value: T) -> &mut T {
        bump_scope::BumpBox::leak(self.alloc(value))
    }
    #[inline(always)]
    fn place(&self, layout: Layout) -> NonNull<u8> {
        bump_scope::traits::BumpAllocatorTyped::allocate_layout(self, layout)
    }
    #[inline(always)]
    fn bytes(&self, bytes: &[u8]) -> &mut [u8] {
        self.alloc_slice_copy(bytes).into_mut()
    }
    #[inline(always)]
    fn text(&self, text: &str) -> &mut str {
        self.alloc_str(text).into_mut()
    }
    #[inline(always)]
    fn pushed_sum(&self, len: u64) -> u64 {
        pushed_sum!(allocator_api2, self, len)
    }
}

impl Arena for BumpScope {
    const NAME: &'static str = "bump-scope";
    type Space<'s> = ScopeBump;

    #[inline(always)]
    fn new() -> Self {
        Self(ScopeBump::new())
    }
    #[inline(always)]
    fn round(&mut self, work: impl for<'s> FnOnce(&Self::Space<'s>)) {
        work(&self.0);
        self.0.reset();
    }
    fn give_back() {
        trim();
    }
}

impl Owned for BumpScope {
    #[inline(always)]
    fn space(&self) -> &Self::Space<'_> {
        &self.0
    }
}

impl Nested for BumpScope {
    #[inline(always)]
    fn nested(&mut self, values: u64) {
        self.0.scoped(|outer| {
            for number in 0..values {
                black_box(outer.alloc(number).into_mut());
            }
            outer.scoped(|inner| {
                for number in 0..values {
                    black_box(inner.alloc(number).into_mut());
                }
            });
        });
    }
}

pub(super) struct Blink(BlinkArena);

impl Space for BlinkArena {
    #[inline(always)]
    fn value<T: Copy>(&self, value: T) -> &mut T {
        self.put_no_drop(value)
    }
    #[inline(always)]
    fn place(&self, layout: Layout) -> NonNull<u8> {
        self.allocator().allocate(layout).expect("memory").cast()
    }
    #[inline(always)]
    fn bytes(&self, bytes: &[u8]) -> &mut [u8] {
        self.copy_slice(bytes)
    }
    #[inline(always)]
    fn text(&self, text: &str) -> &mut str {
        self.copy_str(text)
    }
    #[inline(always)]
    fn pushed_sum(&self, len: u64) -> u64 {
        pushed_sum!(allocator_api2_04, self.allocator(), len)
    }
}

impl Arena for Blink {
    const NAME: &'static str = "blink-alloc";
    type Space<'s> = BlinkArena;

    #[inline(always)]
    fn new() -> Self {
        Self(BlinkArena::new())
    }
    #[inline(always)]
    fn round(&mut self, work: impl for<'s> FnOnce(&Self::Space<'s>)) {
        work(&self.0);
        self.0.reset();
    }
    fn give_back() {
        trim();
    }
}

impl Owned for Blink {
    #[inline(always)]
    fn space(&self) -> &Self::Space<'_> {
        &self.0
    }
}

fn jobs(items: u64, split: usize) -> impl IndexedParallelIterator<Item = usize> {
    (0..items as usize).into_par_iter().with_min_len(split).with_max_len(split)
}

/// A member of the herd for every job: a `Member` is not `Sync`, so a closure cannot share one.
impl Shared for Herd {
    const NAME: &'static str = "bumpalo-herd";

    fn new() -> Self {
        Self::new()
    }
    fn per_item(&self, items: u64, split: usize) {
        jobs(items, split).for_each_init(
            || self.get(),
            |bump, item| {
                black_box(bump.alloc::<Line>([item as u64; 8]));
            },
        );
    }
    fn reset(&mut self) {
        self.reset();
    }
}

/// A member for every item, as an `ArenaPool` can be asked.
pub(super) struct HerdPerItem(Herd);

impl Shared for HerdPerItem {
    const NAME: &'static str = "herd-item";

    fn new() -> Self {
        Self(Herd::new())
    }
    fn per_item(&self, items: u64, split: usize) {
        jobs(items, split).for_each(|item| {
            black_box(self.0.get().alloc::<Line>([item as u64; 8]));
        });
    }
    fn reset(&mut self) {
        self.0.reset();
    }
}

impl Shared for BumpPool {
    const NAME: &'static str = "bump-scope";

    fn new() -> Self {
        Self::new()
    }
    fn per_item(&self, items: u64, split: usize) {
        jobs(items, split).for_each_init(
            || self.get(),
            |bump, item| {
                black_box(bump.alloc::<Line>([item as u64; 8]).into_mut());
            },
        );
    }
    fn reset(&mut self) {
        self.reset();
    }
}

impl Shared for ThreadLocal<Bump> {
    const NAME: &'static str = "thread-bump";

    fn new() -> Self {
        Self::new()
    }
    fn per_item(&self, items: u64, split: usize) {
        jobs(items, split).for_each(|item| {
            black_box(self.get_or_default().alloc::<Line>([item as u64; 8]));
        });
    }
    fn reset(&mut self) {
        self.iter_mut().for_each(Bump::reset);
    }
}
