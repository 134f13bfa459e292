//! Blockyard's arenas.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;

use blockyard::{Arena as BlockArena, ArenaPool, Scope};
use rayon::prelude::*;

use super::contender::{Arena, Line, Nested, Owned, Shared, Space, pushed_sum};

/// The same methods on both, and on the reference the trait.
macro_rules! space {
    ($space:ty) => {
        impl Space for $space {
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
    };
}
space!(BlockArena);
space!(Scope<'_>);

/// An arena that is reset after every round.
pub(super) struct OneArena(BlockArena);

impl Arena for OneArena {
    const NAME: &'static str = "arena";
    type Space<'s> = BlockArena;

    #[inline(always)]
    fn new() -> Self {
        Self(BlockArena::new())
    }
    #[inline(always)]
    fn round(&mut self, work: impl for<'s> FnOnce(&Self::Space<'s>)) {
        work(&self.0);
        self.0.reset();
    }
    fn give_back() {
        blockyard::Global.collect();
    }
}

impl Owned for OneArena {
    #[inline(always)]
    fn space(&self) -> &Self::Space<'_> {
        &self.0
    }
}

/// An arena with a scope for every round.
pub(super) struct OneScope(BlockArena);

impl Arena for OneScope {
    const NAME: &'static str = "scope";
    type Space<'s> = Scope<'s>;

    #[inline(always)]
    fn new() -> Self {
        Self(BlockArena::new())
    }
    #[inline(always)]
    fn round(&mut self, work: impl for<'s> FnOnce(&Self::Space<'s>)) {
        self.0.scope(|scope| work(scope));
    }
    fn give_back() {
        blockyard::Global.collect();
    }
}

impl Nested for OneScope {
    #[inline(always)]
    fn nested(&mut self, values: u64) {
        self.0.scope(|outer| {
            for number in 0..values {
                black_box(outer.alloc(number));
            }
            outer.scope(|inner| {
                for number in 0..values {
                    black_box(inner.alloc(number));
                }
            });
        });
    }
}

fn jobs(items: u64, split: usize) -> impl IndexedParallelIterator<Item = usize> {
    (0..items as usize).into_par_iter().with_min_len(split).with_max_len(split)
}

/// Asked for the thread's arena once per job, as a herd must be.
pub(super) struct PerJob(ArenaPool);

impl Shared for PerJob {
    const NAME: &'static str = "pool-job";

    fn new() -> Self {
        Self(ArenaPool::new())
    }
    fn per_item(&self, items: u64, split: usize) {
        jobs(items, split).for_each_init(
            || self.0.local(),
            |arena, item| {
                black_box(arena.alloc::<Line>([item as u64; 8]));
            },
        );
    }
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Asked for every item.
impl Shared for ArenaPool {
    const NAME: &'static str = "pool";

    fn new() -> Self {
        Self::new()
    }
    fn per_item(&self, items: u64, split: usize) {
        jobs(items, split).for_each(|item| {
            black_box(self.local().alloc::<Line>([item as u64; 8]));
        });
    }
    fn reset(&mut self) {
        self.reset();
    }
}
