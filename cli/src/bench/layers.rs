//! The layer rows: what `blockyard::layers`, `Debug` and hardening add to a heap, on a pair that costs the heap
//! least and on larson. A contest of their own, in which the heap alone is the one to be compared with.

use std::marker::PhantomData;

use allocator_api2::alloc::Allocator;
use blockyard::layers::{Failing, Fallback, Limit, Locked, Segregate, Tagged, Tracking};
use blockyard::{Debug, Heap, HeapBuilder};

use super::contender::{Contender, ContenderVisitor, Need, Profile, Reach, Role, ThreadAlloc, ThroughTrait};
use super::suite::{Contest, Row, row_of};
use super::workload::larson::Larson;
use super::workload::{Needs, Pace, Sample, Spec, Workload, layout, opaque, team};

/// One line per row of the tables, in their order: what it is called, what it is, how it is made over a heap.
macro_rules! stacks {
    ($($(#[$doc:meta])* $stack:ident: $name:literal, $role:ident, $handle:ty, $over:expr;)*) => {
        $($(#[$doc])*
        struct $stack;

        impl Stack for $stack {
            const NAME: &'static str = $name;
            const ROLE: Role = Role::$role;
            type Handle = $handle;
            fn over(heap: &'static Heap) -> Self::Handle {
                let over: fn(&'static Heap) -> Self::Handle = $over;
                over(heap)
            }
        })*

        /// Everybody who takes part, in the order of the tables.
        pub(crate) fn profiles() -> Vec<Profile> {
            vec![$(Profile::of::<Layer<$stack>>(),)*]
        }

        /// Hands those that are `invited` to `visitor`, over a fresh heap each.
        fn each(visitor: &mut impl ContenderVisitor, invited: impl Fn(&Profile) -> bool) {
            $(if invited(&Profile::of::<Layer<$stack>>()) {
                visitor.visit(keep(Layer::<$stack>::start()));
            })*
        }
    };
}

type Below = &'static Heap;

stacks! {
    Plain: "plain-heap", Peer, Below, |heap| heap;
    // Not over the heap: it is another one.
    Hardened: "hardened-heap", Ours, Below, |_| keep(guarded(Heap::builder().hardened(true)));
    Wiping: "wiping-heap", Ours, Below, |_| keep(guarded(Heap::builder().wipe(true)));
    OfLimit: "Limit", Ours, &'static Limit<Below>, |heap| keep(Limit::new(heap, 1 << 40));
    OfTracking: "Tracking", Ours, &'static Tracking<Below>, |heap| keep(Tracking::new(heap));
    OfTag: "Tracking-tag", Ours, Tagged<'static, Below>, |heap| keep(Tracking::new(heap)).tag("tag");
    OfTrackingList: "Tracking-list", Ours, &'static Tracking<Below>, |heap| keep(Tracking::with_list(heap));
    OfDebug: "Debug", Ours, &'static Debug<Below>, |heap| keep(Debug::new(heap));
    OfDebugOnly: "Debug-no-q", Ours, &'static Debug<Below>, |heap| keep(Debug::new(heap).quarantine(0));
    OfFailing: "Failing", Ours, &'static Failing<Below>, |heap| keep(Failing::never(heap));
    OfFallback: "Fallback", Ours, &'static Fallback<Heap, Below>,
        |heap| keep(Fallback::new(Heap::new(), heap));
    OfSegregate: "Segregate", Ours, &'static Segregate<Below, Below, 1024>,
        |heap| keep(Segregate::new(heap, keep(Heap::new())));
    OfLocked: "Locked", Ours, &'static Locked<Below>, |heap| keep(Locked::new(heap));
}

fn guarded(builder: HeapBuilder) -> Heap {
    builder.build().expect("there is memory for a heap")
}

fn keep<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// What `--list` says about a contender.
pub(crate) fn about(name: &str) -> &'static str {
    match name {
        "plain-heap" => "&Heap, what the others are over and are compared with",
        "hardened-heap" => "&Heap of a builder with `hardened(true)`",
        "wiping-heap" => "&Heap of a builder with `wipe(true)`",
        "Tracking" => "counts only",
        "Tracking-tag" => "counts only, under a tag",
        "Tracking-list" => "with the list of live blocks",
        "Debug" => "without traces, with the quarantine that it has by default",
        "Debug-no-q" => "the same without a quarantine",
        "Failing" => "one that never fails",
        _ => "over &Heap",
    }
}

/// An allocator made over a heap.
trait Stack: Sync + 'static {
    const NAME: &'static str;
    const ROLE: Role;
    type Handle: Allocator + Copy + Sync + 'static;
    fn over(heap: &'static Heap) -> Self::Handle;
}

struct Layer<S: Stack>(S::Handle, PhantomData<S>);

impl<S: Stack> Contender for Layer<S> {
    type Local = ThroughTrait<S::Handle>;

    const NAME: &'static str = S::NAME;
    const ROLE: Role = S::ROLE;
    const REACH: Reach = Reach::Anywhere;

    fn start() -> Self {
        Self(S::over(keep(Heap::new())), PhantomData)
    }

    fn local(&'static self, _: Need) -> Self::Local {
        ThroughTrait(self.0)
    }
}

/// Pairs per repetition and thread.
const PAIRS: u64 = 10_000;
const SIZE: usize = 64;
const PAIR_ROWS: [(&str, usize); 3] = [("layers-1", 1), ("layers-2", 2), ("layers-8", 8)];
const LARSON_ROWS: [(&str, usize); 2] = [("layers-larson-1", 1), ("layers-larson-2", 2)];

struct Pairs {
    name: &'static str,
    threads: usize,
}

impl Workload for Pairs {
    fn spec(&self) -> Spec {
        Spec {
            name: self.name,
            group: "layers",
            about: "allocate 64 bytes and free them at once, through a layer over a heap",
            op: "one pair",
            stresses: "what the layer adds, and what its threads share",
            threads: self.threads,
            needs: Needs::Anywhere,
            pace: Pace::Steady,
        }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        let pairs = |local: &C::Local, count: u64| {
            let layout = const { layout(SIZE) };
            for _ in 0..count {
                // SAFETY: the size is above zero; the block is freed once, with its layout.
                unsafe {
                    let block = opaque(local.alloc(layout));
                    local.dealloc(block, layout);
                }
            }
        };
        let need = Need { size: SIZE, blocks: 16 };
        let elapsed = team(contender, self.threads, |_, gate| {
            let local = contender.local(need);
            // What a thread does first is not what is measured.
            pairs(&local, PAIRS);
            gate.time(|| pairs(&local, reps * PAIRS))
        });
        Sample::new(elapsed, reps * PAIRS * self.threads as u64)
    }
}

/// `larson-*` with the contenders of this contest.
struct Server {
    name: &'static str,
    larson: Larson,
}

impl Workload for Server {
    fn spec(&self) -> Spec {
        Spec { name: self.name, group: "layers", ..self.larson.spec() }
    }

    fn round<C: Contender>(&self, contender: &'static C, reps: u64) -> Sample {
        self.larson.round(contender, reps)
    }
}

/// Every row.
pub(crate) fn specs() -> Vec<Spec> {
    pairs().map(|workload| workload.spec()).chain(servers().map(|workload| workload.spec())).collect()
}

fn pairs() -> impl Iterator<Item = Pairs> {
    PAIR_ROWS.into_iter().map(|(name, threads)| Pairs { name, threads })
}

fn servers() -> impl Iterator<Item = Server> {
    LARSON_ROWS.into_iter().map(|(name, threads)| Server { name, larson: Larson::new(threads) })
}

/// The rows that `wanted` says yes to, with the contenders that are `invited`.
pub(crate) fn rows(invited: impl Fn(&Profile) -> bool, wanted: impl Fn(&Spec) -> bool) -> Vec<Row> {
    fn row(workload: impl Workload, invited: &impl Fn(&Profile) -> bool) -> Row {
        row_of(workload, Contest::Layers, |builder| each(builder, invited))
    }
    let pairs = pairs().filter(|workload| wanted(&workload.spec())).map(|pairs| row(pairs, &invited));
    let servers = servers().filter(|workload| wanted(&workload.spec())).map(|server| row(server, &invited));
    pairs.chain(servers).filter(|row| !row.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_row_runs_on_every_contender() {
        let rows = rows(|_| true, |_| true);
        assert_eq!(rows.len(), PAIR_ROWS.len() + LARSON_ROWS.len());
        for sample in rows.iter().flat_map(|row| row.run_each(1)) {
            assert!(sample.ops > 0 && sample.elapsed > Duration::ZERO);
        }
    }
}
