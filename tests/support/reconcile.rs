//! Statistics that add up.

use blockyard::{BlockStats, ClassKind, HeapStats};

/// What holds of every reading of a heap whose threads are quiet.
#[track_caller]
pub(crate) fn assert_reconciled(stats: &HeapStats) {
    let by_thread: BlockStats = stats.threads.iter().map(|thread| thread.blocks).sum();
    let by_class: BlockStats = stats.classes.iter().map(|class| class.blocks).sum();
    assert_eq!(by_thread, stats.blocks, "threads add up to the heap\n{stats}");
    assert_eq!(by_class, stats.blocks, "classes add up to the heap\n{stats}");
    for class in &stats.classes {
        let of_kind =
            stats.threads.iter().flat_map(|thread| &thread.classes).filter(|c| c.kind == class.kind);
        let (blocks, in_blocks) = of_kind.fold((BlockStats::default(), 0), |(blocks, bytes), class| {
            (blocks + class.blocks, bytes + class.in_blocks)
        });
        assert_eq!(
            (blocks, in_blocks),
            (class.blocks, class.in_blocks),
            "{:?} over threads\n{stats}",
            class.kind
        );
    }
    for thread in &stats.threads {
        let sum: BlockStats = thread.classes.iter().map(|class| class.blocks).sum();
        assert_eq!(sum, thread.blocks, "a thread's classes add up\n{stats}");
        assert_eq!(thread.in_blocks, thread.classes.iter().map(|class| class.in_blocks).sum::<u64>());
        for class in &thread.classes {
            let BlockStats { allocated, freed, received, queued, .. } = class.blocks;
            assert!(freed <= allocated && received + queued <= freed, "{class:?}\n{stats}");
            match class.kind {
                ClassKind::Sized(size) => assert_eq!(class.in_blocks, class.blocks.live() * size as u64),
                // A small block that is aligned to more than a chunk has a mapping, too.
                // A block that doubled to more than 32 KiB is a run, too.
                ClassKind::Run | ClassKind::Mapping => {
                    let least = if class.kind == ClassKind::Run { 32 << 10 } else { 4 << 10 };
                    assert!(class.in_blocks >= class.blocks.live() * least, "{class:?}\n{stats}");
                }
            }
        }
    }
    let requested: i64 = stats.threads.iter().map(|thread| thread.requested).sum();
    assert_eq!(stats.bytes.requested, requested.max(0) as u64);
    assert_eq!(stats.bytes.in_blocks, stats.threads.iter().map(|thread| thread.in_blocks).sum::<u64>());
    assert!(stats.bytes.requested <= stats.bytes.in_blocks, "{stats}");
    assert!(stats.bytes.in_blocks <= stats.bytes.in_chunks as u64, "{stats}");
    assert!(stats.bytes.in_chunks <= stats.bytes.in_chunks_peak);
    assert!(stats.bytes.mapped <= stats.bytes.mapped_peak);
    assert!(stats.bytes.in_chunks <= stats.bytes.mapped, "{stats}");
}

/// What holds when all outboxes are empty: what was sent is there or still in a queue.
#[track_caller]
pub(crate) fn assert_sent_is_received(stats: &HeapStats) {
    let BlockStats { returned, received, queued, .. } = stats.blocks;
    assert_eq!(returned, received + queued, "{stats}");
}

/// What holds when every block has been freed, with its layout.
#[track_caller]
pub(crate) fn assert_empty(stats: &HeapStats) {
    assert_reconciled(stats);
    assert_eq!(stats.blocks.allocated, stats.blocks.freed, "{stats}");
    assert_eq!((stats.blocks.live(), stats.bytes.in_blocks, stats.bytes.requested), (0, 0, 0), "{stats}");
    for thread in &stats.threads {
        assert_eq!((thread.blocks.live(), thread.in_blocks), (0, 0), "{stats}");
    }
}
