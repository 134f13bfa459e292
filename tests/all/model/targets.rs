//! What the fuzzer drives: bytes become operations, a model says what must be live and what must be in it. The tests
//! replay what the fuzzer has kept, and the soak runs the targets on random bytes.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::layers::{Failing, Fallback, Limit, Segregate, Tracking};
use blockyard::source::Purged;
use blockyard::{Arena, Debug, FixedBuffer, Global, Heap, Scope, SharedFixedBuffer, StackFallback};

use super::bytes::Bytes;
use super::hosts::{AsGlobalAlloc, Plain};
use super::{Local, Model, Outcome, Step, perform, run, run_here};
use crate::support::probe::{Habits, Probe, Refusal};
use crate::support::reconcile::{assert_empty, assert_reconciled, assert_sent_is_received};
use crate::support::{KIB, MARGIN, MIB};

/// A target, and the name of its folder of inputs.
pub(crate) type Target = (&'static str, fn(&[u8]));

pub(crate) const ALL: [Target; 6] = [
    ("heap", heap),
    ("global", global),
    ("arena", arena),
    ("fixed_buffer", fixed_buffer),
    ("layers", layers),
    ("size_class", size_class),
];

fn run_shared<A: Allocator + Copy + Sync>(allocator: A, steps: &[Step]) -> Outcome {
    run(|| Plain(allocator), steps)
}

/// A heap: with a limit or none, over a source of any habits, through shared and local handles.
pub(crate) fn heap(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (shape, number) = (bytes.byte(), bytes.small());
    let mut builder = Heap::builder().purge_delay(Duration::from_millis(number as u64 % 3));
    let limit = (shape & 1 != 0).then_some(64 * KIB + number * 16 * KIB);
    if let Some(limit) = limit {
        builder = builder.limit(limit).hard_limit();
    }
    let probe = (shape & 2 != 0).then(|| {
        let purged = [Purged::Zeroed, Purged::Unspecified, Purged::Kept][usize::from(shape >> 2) % 3];
        let refusal = if shape & 16 != 0 { Refusal::Only(number) } else { Refusal::Never };
        let (fresh_is_zero, remaps) = (shape & 32 != 0, shape & 64 != 0);
        // No bit of its own: those that are left are of kept inputs.
        let splits = number % 2 == 0;
        Probe::new(Habits { refusal, fresh_is_zero, purged, remaps, splits })
    });
    if let Some(probe) = &probe {
        builder = builder.source(probe.clone());
    }
    let heap = builder.build().expect("there is memory for a heap");
    let may_refuse = limit.is_some() || shape & 18 == 18;

    let steps = bytes.steps(true);
    // A handle is made before the first call, and cannot be where that is refused.
    let local = shape & 128 != 0 && !may_refuse;
    let outcome = if local { run(|| Local::new(&heap), &steps) } else { run(|| &heap, &steps) };
    assert!(may_refuse || outcome.refused == 0, "refused without reason");
    heap.flush();
    heap.collect();
    let stats = heap.stats();
    assert_reconciled(&stats);
    assert_sent_is_received(&stats);
    assert!(stats.bytes.in_chunks_peak <= limit.unwrap_or(usize::MAX), "{stats}");
    assert_eq!((stats.blocks.live(), stats.bytes.in_blocks), (0, 0), "{stats}");
    let requested: i64 = stats.threads.iter().map(|thread| thread.requested).sum();
    assert_eq!(requested, -(outcome.slack as i64), "{stats}");
    drop(heap);
    if let Some(probe) = probe {
        probe.assert_balanced();
    }
}

/// `Global`, through either trait.
pub(crate) fn global(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let outcome = if bytes.flag() {
        run(|| AsGlobalAlloc, &bytes.steps(true))
    } else {
        run(|| Global, &bytes.steps(true))
    };
    assert_eq!(outcome, Outcome::default());
}

/// What a scope is left with when it ends by a panic.
struct Thrown;

/// One operation of an arena or a scope of it; it knows the blocks from number `from` on.
fn operate(allocator: impl Allocator, model: &mut Model, from: usize, bytes: &mut Bytes<'_>) {
    let Step { op, times, .. } = bytes.op();
    for time in 0..times.min(64) {
        let block = op.pick().and_then(|pick| model.take(from, pick));
        let (block, _) = perform(&Plain(&allocator), (op, time as u64, block));
        block.into_iter().for_each(|block| model.put(block));
    }
}

/// Operations in a scope, until the bytes say that it ends.
fn in_scope<A: Allocator, const MIN_ALIGN: usize>(
    scope: &mut Scope<'_, A, MIN_ALIGN>,
    model: &mut Model,
    bytes: &mut Bytes<'_>,
    depth: usize,
) {
    let from = model.live.len();
    while !bytes.is_empty() {
        match bytes.byte() {
            0..16 => break,
            16..40 if depth < 16 => {
                nested::<A, MIN_ALIGN>(|f| scope.scope(|inner| f(inner)), model, bytes, depth + 1)
            }
            _ => operate(&*scope, model, from, bytes),
        }
    }
    model.forget(from);
}

/// Opens a scope by `open`, which may end by a panic.
fn nested<A: Allocator, const MIN_ALIGN: usize>(
    open: impl FnOnce(&mut dyn FnMut(&mut Scope<'_, A, MIN_ALIGN>)),
    model: &mut Model,
    bytes: &mut Bytes<'_>,
    depth: usize,
) {
    let throws = bytes.flag();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        open(&mut |inner| {
            in_scope(inner, model, bytes, depth);
            if throws {
                resume_unwind(Box::new(Thrown));
            }
        });
    }));
    if let Err(thrown) = ended
        && !thrown.is::<Thrown>()
    {
        resume_unwind(thrown);
    }
    model.live.iter().for_each(super::Block::verify);
}

fn drive_arena<A: Allocator, const MIN_ALIGN: usize>(mut arena: Arena<A, MIN_ALIGN>, bytes: &mut Bytes<'_>) {
    let mut model = Model::default();
    while !bytes.is_empty() {
        match bytes.byte() {
            0..8 => {
                model.forget(0);
                arena.reset();
                assert_eq!(arena.stats().used, 0);
            }
            8..48 => nested::<A, MIN_ALIGN>(|f| arena.scope(|scope| f(scope)), &mut model, bytes, 0),
            _ => operate(&arena, &mut model, 0, bytes),
        }
        let stats = arena.stats();
        assert!(model.bytes() <= stats.used && stats.used <= stats.reserved, "{stats:?}");
        assert!(
            stats.used <= stats.peak && stats.reserved <= arena.limit().unwrap_or(usize::MAX),
            "{stats:?}"
        );
    }
    model.forget(0);
}

/// An arena with nested scopes and resets, over children that have much, little or nothing.
pub(crate) fn arena(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (shape, number) = (bytes.byte(), bytes.small());
    let limit = if shape & 8 != 0 { number * 512 } else { usize::MAX };
    let heap = Heap::new();
    let mut buffer = [MaybeUninit::uninit(); 16 * KIB];
    match shape % 5 {
        0 => drive_arena(Arena::builder().limit(limit).build(), &mut bytes),
        1 => drive_arena(Arena::builder().min_align::<16>().limit(limit).child(&heap).build(), &mut bytes),
        2 => {
            let buffer = FixedBuffer::new(&mut buffer[number..]);
            drive_arena(Arena::builder().limit(limit).child(&buffer).build(), &mut bytes);
        }
        3 => {
            let failing = Failing::nth(&heap, number as u64 % 16);
            drive_arena(Arena::builder().min_align::<8>().child(&failing).build(), &mut bytes);
        }
        _ => {
            let failing = Failing::random(&heap, number as u64, 0.3);
            drive_arena(Arena::builder().min_align::<64>().child(&failing).build(), &mut bytes);
        }
    }
    assert_empty(&heap.stats());
}

/// Bytes of the caller's, at any address: for one thread, for many, and with another allocator behind.
pub(crate) fn fixed_buffer(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (shape, offset, len) = (bytes.byte(), bytes.small(), bytes.short() / 4);
    let mut memory = [MaybeUninit::uninit(); 17 * KIB];
    let memory = &mut memory[offset..offset + len];
    let inside = memory.as_ptr_range();
    match shape % 4 {
        0 => {
            let mut buffer = FixedBuffer::new(memory);
            let capacity = buffer.capacity();
            assert_eq!(capacity, len);
            let steps = bytes.steps(false);
            run_here(&Plain(&buffer), &steps);
            buffer.reset();
            assert_eq!(buffer.remaining(), capacity);
            let all = Layout::array::<u8>(capacity).expect("small");
            let block = buffer.try_alloc_layout(all).expect("all of it is free");
            assert!(capacity == 0 || inside.contains(&block.as_ptr().cast_const().cast()));
        }
        1 => {
            let buffer = SharedFixedBuffer::new(memory);
            let steps = bytes.steps(shape & 4 != 0);
            run_shared(&buffer, &steps);
        }
        2 => {
            let heap = Heap::new();
            let fallback = StackFallback::<1024, _>::new_in(&heap);
            let outcome = run_here(&Plain(&fallback), &bytes.steps(false));
            assert_eq!(outcome.refused, 0);
            assert_empty(&heap.stats());
        }
        _ => {
            let fallback = StackFallback::<100, _>::new_in(Global);
            let outcome = run_here(&Plain(&fallback), &bytes.steps(false));
            assert_eq!(outcome.refused, 0);
        }
    }
}

/// Layers over heaps, arenas and buffers, and over each other.
pub(crate) fn layers(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (shape, number) = (bytes.byte(), bytes.small());
    let heap = Heap::new();
    let mut memory = [MaybeUninit::uninit(); 8 * KIB];
    let memory = &mut memory[number..];
    let never_refused = |outcome: Outcome| assert_eq!(outcome.refused, 0);
    match shape % 8 {
        0 => {
            let layer = Fallback::new(FixedBuffer::new(memory), &heap);
            never_refused(run_here(&Plain(&layer), &bytes.steps(false)));
        }
        1 => {
            let arena = Arena::new();
            let layer = Segregate::<_, _, 256>::new(&arena, &heap);
            never_refused(run_here(&Plain(&layer), &bytes.steps(false)));
        }
        2 => {
            let layer = Limit::new(&heap, number * KIB);
            run_shared(&layer, &bytes.steps(true));
            assert!(layer.used() == 0 && layer.peak() <= number * KIB);
        }
        3 => {
            let (limit, layer) = (number * 4 * KIB, Tracking::new(Limit::new(&heap, number * 4 * KIB)));
            run_shared(&layer, &bytes.steps(true));
            let snapshot = layer.snapshot();
            assert_eq!((layer.child().used(), snapshot.total.bytes), (0, 0));
            assert!(layer.child().peak() <= limit);
        }
        4 => {
            let layer = Failing::random(Tracking::new(&heap), number as u64, 0.2);
            run_here(&Plain(&layer), &bytes.steps(false));
            assert_eq!(layer.child().snapshot().total.bytes, 0);
        }
        5 => {
            let limited = Heap::builder().limit(number * KIB + 64 * KIB).build().expect("there is memory");
            let layer = Fallback::new(limited, Tracking::new(Segregate::<_, _, 100>::new(&heap, Global)));
            never_refused(run_shared(&layer, &bytes.steps(true)));
            assert_eq!(layer.secondary().snapshot().total.bytes, 0);
        }
        6 => {
            let smallest = Fallback::new(FixedBuffer::new(memory), &heap);
            let small = Segregate::<_, _, 64>::new(&smallest, Global);
            let layer = Segregate::<_, _, 1024>::new(small, Limit::new(&heap, MIB));
            run_here(&Plain(&layer), &bytes.steps(false));
            assert_eq!(layer.large().used(), 0);
        }
        _ => {
            let layer = Debug::new(Limit::new(&heap, 8 * MIB));
            run_shared(&layer, &bytes.steps(true));
        }
    }
    if shape % 8 != 7 {
        assert_empty(&heap.stats());
    }
}

/// The size of the block for a request, told without the library's arithmetic. Above 64 KiB blocks begin at chunks.
fn least(size: usize, align: usize) -> usize {
    let rounded = size.next_multiple_of(align);
    match rounded {
        0..=128 => rounded.next_multiple_of(8),
        129..=65536 => rounded.next_multiple_of(rounded.next_power_of_two() / 16),
        _ => size.next_multiple_of(4 * KIB),
    }
}

/// Which size each request gets.
pub(crate) fn size_class(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let heap = Heap::new();
    while !bytes.is_empty() {
        let asked = bytes.layout();
        if asked.size() == 0 {
            continue;
        }
        let block = super::Block::new(&&heap, asked, false, 0).expect("memory");
        // SAFETY: the block is live and of this heap.
        let usable = unsafe { heap.usable_size(block.start()) };
        let (size, align) = (asked.size(), asked.align());
        // A hardened heap's blocks end with what is not the caller's, and have 32 bytes at least.
        let whole = if MARGIN == 0 { size } else { (size + MARGIN).max(32) };
        if align <= 64 * KIB && whole <= MIB {
            assert_eq!(usable + MARGIN, least(whole, align), "{asked:?}");
        } else {
            assert!(usable >= size && usable - size <= size.max(align) + 4 * MIB, "{asked:?}: {usable}");
        }
        // SAFETY: as above.
        unsafe { block.free(&&heap) };
    }
    assert_empty(&heap.stats());
}
