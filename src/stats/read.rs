//! Reading a heap.

use core::ptr;
use core::sync::atomic::{Ordering, fence};
use std::collections::HashMap;

use super::snapshot::{BlockStats, ByteStats, ClassKind, ClassStats, HeapStats, ThreadState, ThreadStats};
use crate::heap::{HeapCore, unrouted};
use crate::local_heap::{BIG_ROW, LocalCore, ROWS, SPAN_ROW};
use crate::raw::chunk::State;
use crate::raw::segment::Kind;
use crate::size_class::{CLASSES, block_size};
use crate::threads;

/// Readings tried until no thread moved counts about meanwhile. After that, blurred is fine.
const TRIES: usize = 8;

/// What was counted for one class of one local heap.
#[derive(Clone, Copy, Default)]
struct Row {
    blocks: BlockStats,
    requested: u64,
    block_bytes: u64,
}

/// One reading of `core`, whose memory is not in `core` if that is what this thread is routed to.
pub(crate) fn snapshot(core: &HeapCore) -> HeapStats {
    unrouted(|| take(core))
}

fn take(core: &HeapCore) -> HeapStats {
    let mut locals: Vec<&LocalCore> = core.locals().collect();
    locals.reverse();
    let rows = consistent(core, &locals);
    let threads: Vec<ThreadStats> =
        locals.iter().zip(&rows).map(|(local, rows)| thread_stats(local, rows)).collect();
    let mut sums = [Row::default(); ROWS];
    for rows in &rows {
        for (sum, row) in sums.iter_mut().zip(rows) {
            sum.blocks += row.blocks;
            sum.block_bytes = sum.block_bytes.wrapping_add(row.block_bytes);
        }
    }
    let classes = class_stats(&sums);
    let requested: i64 = threads.iter().map(|thread| thread.requested).sum();
    let ((in_chunks, in_chunks_peak), (mapped, mapped_peak)) = (core.in_use.read(), core.mapped.read());
    HeapStats {
        id: core.id,
        name: core.settings.name.as_deref().map(String::from),
        limit: (core.settings.limit != usize::MAX).then_some(core.settings.limit),
        blocks: classes.iter().map(|class| class.blocks).sum(),
        bytes: ByteStats {
            requested: u64::try_from(requested).unwrap_or(0),
            in_blocks: classes.iter().map(|class| class.in_blocks).sum(),
            in_chunks,
            in_chunks_peak,
            mapped,
            mapped_peak,
            purged: core.given_back.load(Ordering::Relaxed),
        },
        classes,
        threads,
    }
}

/// All rows, read while no thread moved counts from one place to another, if that can be had.
fn consistent(core: &HeapCore, locals: &[&LocalCore]) -> Vec<[Row; ROWS]> {
    let versions = || locals.iter().map(|local| local.version()).collect::<Vec<_>>();
    let mut rows = Vec::new();
    for _ in 0..TRIES {
        let before = versions();
        // ORDER: Acquire fences around the reading, pairing with the Release fences in
        // `LocalCore::moving`.
        fence(Ordering::Acquire);
        rows = read(core, locals);
        fence(Ordering::Acquire);
        if before == versions() && before.iter().all(|version| version % 2 == 0) {
            break;
        }
    }
    rows
}

fn read(core: &HeapCore, locals: &[&LocalCore]) -> Vec<[Row; ROWS]> {
    let index: HashMap<*const LocalCore, usize> =
        locals.iter().enumerate().map(|(at, &local)| (ptr::from_ref(local), at)).collect();
    let mut rows = vec![[Row::default(); ROWS]; locals.len()];
    for (local, rows) in locals.iter().zip(&mut rows) {
        for (at, row) in rows.iter_mut().enumerate() {
            let totals = local.totals(at);
            row.blocks.freed = totals.freed.get();
            row.blocks.returned = totals.returned.get();
            row.blocks.received = totals.received.get();
            if at < CLASSES {
                row.blocks.queued = local.posted(at).saturating_sub(row.blocks.received);
            }
            row.requested = totals.released.get().wrapping_neg();
            row.block_bytes = totals.block_bytes.get();
        }
        // Of no class; within the reading, so that what comes home meanwhile is not counted twice.
        let own = local.resized().wrapping_sub(local.requested_on_the_way());
        rows[0].requested = rows[0].requested.wrapping_add(own);
    }
    core.for_each_segment(|segment| {
        if segment.kind() == Kind::Big {
            return;
        }
        for chunk in &segment.chunks[1..] {
            if !matches!(chunk.state(), State::Current | State::Available | State::Full) {
                continue;
            }
            if let (Some(&at), 0..CLASSES) = (index.get(&chunk.local()), chunk.class()) {
                let row = &mut rows[at][chunk.class()];
                row.blocks.freed = row.blocks.freed.wrapping_add(chunk.came_back());
                row.requested = row.requested.wrapping_sub(chunk.countdown.bytes());
                // Of hardened heaps: what others freed waits at the chunk.
                let (waiting, bytes) = chunk.arrivals.waiting();
                row.blocks.queued += waiting;
                row.requested = row.requested.wrapping_sub(bytes);
            }
        }
    });
    // Inside the gate, so that the chunks that outboxes name stay mapped.
    core.while_mapped(|| {
        for (owner, class, count, requested) in locals.iter().flat_map(|local| local.outbox().waiting()) {
            if let (Some(&at), 0..CLASSES) = (index.get(&owner), class) {
                let row = &mut rows[at][class];
                row.blocks.queued += u64::from(count);
                row.requested = row.requested.wrapping_sub(requested);
            }
        }
    });
    // What was taken is read last, so that no block is seen to come back that was not seen to go.
    for (local, rows) in locals.iter().zip(&mut rows) {
        for (at, row) in rows.iter_mut().enumerate() {
            let totals = local.totals(at);
            let (blocks, bytes) = if at < CLASSES { local.blocks().taken(at) } else { (0, 0) };
            row.blocks.allocated = totals.allocated.get().wrapping_add(blocks);
            row.requested = row.requested.wrapping_add(totals.requested.get().wrapping_add(bytes));
        }
        for (class, row) in rows.iter_mut().enumerate().take(CLASSES) {
            row.blocks.freed = row.blocks.freed.wrapping_add(row.blocks.queued);
            row.block_bytes = row.blocks.live().wrapping_mul(block_size(class) as u64);
        }
    }
    rows
}

fn thread_stats(local: &LocalCore, rows: &[Row; ROWS]) -> ThreadStats {
    // SAFETY: (I7) records are never freed; number, name and state are atomics.
    let record = unsafe { &*local.record() };
    let classes = class_stats(rows);
    let requested = rows.iter().fold(0_u64, |sum, row| sum.wrapping_add(row.requested));
    let state = match record.state() {
        threads::ThreadState::Live => ThreadState::Live,
        threads::ThreadState::Orphan => ThreadState::Orphan,
        threads::ThreadState::Leased => ThreadState::Leased,
    };
    ThreadStats {
        id: record.os_id(),
        name: if state == ThreadState::Live {
            live_name(record.os_id())
        } else {
            name_of(&record.last_name())
        },
        state,
        blocks: classes.iter().map(|class| class.blocks).sum(),
        requested: requested as i64,
        in_blocks: classes.iter().map(|class| class.in_blocks).sum(),
        classes,
    }
}

fn class_stats(rows: &[Row; ROWS]) -> Vec<ClassStats> {
    let used = rows.iter().enumerate().filter(|(_, row)| row.blocks != BlockStats::default());
    used.map(|(at, row)| ClassStats {
        kind: match at {
            SPAN_ROW => ClassKind::Run,
            BIG_ROW => ClassKind::Mapping,
            class => ClassKind::Sized(block_size(class)),
        },
        blocks: row.blocks,
        in_blocks: row.block_bytes,
    })
    .collect()
}

fn name_of(bytes: &[u8]) -> Option<String> {
    let name = bytes.split(|&byte| byte == 0).next()?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn live_name(id: u64) -> Option<String> {
    let name = std::fs::read(format!("/proc/self/task/{id}/comm")).ok()?;
    name_of(name.trim_ascii_end())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn live_name(_id: u64) -> Option<String> {
    None
}
