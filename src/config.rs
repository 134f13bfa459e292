//! Every size and bound of the block heap, with its unit and its reason.

/// Bytes in a chunk, and its alignment. 64 KiB holds 1,024 blocks of 64 bytes: one slow path per
/// thousand allocations, while a thread that uses twenty classes holds at most 1.3 MB of address
/// space (its resident part is what it carved, page by page).
pub(crate) const CHUNK_SIZE: usize = 1 << CHUNK_SHIFT;
/// `log2` of [`CHUNK_SIZE`].
pub(crate) const CHUNK_SHIFT: u32 = 16;

/// Bytes in a segment, and its alignment. 64 chunks: the state of a segment's chunks fits in the
/// bits of one `u64`.
pub(crate) const SEGMENT_SIZE: usize = 1 << 22;
/// Chunks in a segment; the first one holds the segment's metadata.
pub(crate) const CHUNKS_PER_SEGMENT: usize = SEGMENT_SIZE / CHUNK_SIZE;

/// Largest block served from a size class, in bytes.
pub(crate) const MAX_CLASS_SIZE: usize = 1 << 16;

/// Largest block served as a run of whole chunks inside a segment, in bytes. Above it a block gets
/// a mapping of its own: a segment has 63 chunks, and runs longer than a quarter of it would leave
/// holes that nothing fits.
pub(crate) const MAX_SPAN_SIZE: usize = 1 << 20;

/// Bytes of blocks carved from a chunk at a time: a page, so that a class used for three blocks
/// makes one page resident, not sixteen.
pub(crate) const CARVE_BYTES: usize = 4096;

/// Pages of a chunk that may have memory behind them for it to be thin. Classes of which a thread has but
/// a few blocks get thin chunks, so that what others have filled is not idle in their hands.
pub(crate) const THIN_PAGES: u8 = 4;

/// Granularity of blocks above [`MAX_CLASS_SIZE`], in bytes: at most 6 % waste.
pub(crate) const PAGE_SIZE: usize = 4096;

/// Empty chunks a local heap keeps for itself before it gives them to the heap's pool.
pub(crate) const CHUNK_CACHE: usize = 4;

/// Slots of the outbox: how many foreign chunks a thread can collect blocks for at once.
pub(crate) const OUTBOX_SLOTS: usize = 32;
/// Owners whose blocks a thread can collect at once where they come in no order.
pub(crate) const OUTBOX_OWNERS: usize = 4;
/// Blocks in a chain at most that goes home among others of its owner, not by itself.
#[cfg(not(loom))]
pub(crate) const SHORT_CHAIN: u32 = 8;
/// So that two blocks show how a chain goes, and one how a short one does.
#[cfg(loom)]
pub(crate) const SHORT_CHAIN: u32 = 1;
/// Blocks of one owner that go home together at most.
pub(crate) const MIXED_BLOCKS: u32 = 128;
/// Blocks in one chain at most. Longer chains save little: the queue's cost is already spread
/// over 128 blocks.
pub(crate) const CHAIN_BLOCKS: u32 = 128;
/// Bytes of foreign blocks an outbox may hold before it is flushed.
pub(crate) const OUTBOX_BYTES: usize = 16 << 10;

/// Chains a return queue holds before posters take the overflow path.
#[cfg(not(loom))]
pub(crate) const RETURN_QUEUE_CHAINS: usize = 128;
/// Small under the model checker, so that a few posters reach the overflow path.
#[cfg(loom)]
pub(crate) const RETURN_QUEUE_CHAINS: usize = 1;

/// Lists of a return queue's overflow path, and lists of mixed blocks that an owner takes in together.
#[cfg(not(loom))]
pub(crate) const OVERFLOW_LISTS: usize = 4;
/// One list, so that posters meet there.
#[cfg(loom)]
pub(crate) const OVERFLOW_LISTS: usize = 1;

/// Free chunks purged in one visit of the slow path: 1 MiB, so that giving memory back never stalls one
/// allocation for long; more where much is doomed.
pub(crate) const PURGE_BATCH: u32 = 16;

/// Such batches that the visit on a tick of the purge clock does: 4 MiB once per delay.
pub(crate) const TICK_BATCHES: u32 = 4;

/// Visits in a purge delay where threads allocate and need no chunks: each purges its part of what is
/// doomed, so that giving back much is no stall of its own.
pub(crate) const VISITS_PER_TICK: u32 = 8;
/// Misses of the block cache from one look at the purge clock to the next.
pub(crate) const MISSES_PER_LOOK: u8 = 32;

/// How long free memory stays resident by default, in milliseconds.
pub(crate) const PURGE_DELAY_MS: u64 = 400;

/// Bytes that a heap has in use when it starts to ask for huge pages for its segments. Chunks in use are
/// address space, of which a page is resident where a block was carved; in a small heap many are nearly
/// empty, and a huge page would fill them all. From 8 MiB on, larson held 4.5 bytes resident per live one
/// instead of 2.8.
pub(crate) const HUGE_PAGES_FROM: usize = 64 << 20;
/// Bytes in a huge page.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Where a thread has taken this many more fresh chunks for one class than for all others together, and
/// than became empty, the next ones are on huge pages: 512 KiB are full, one huge page at most may not be.
pub(crate) const DENSE_AFTER: u8 = 8;
/// Bytes of a big block for which huge pages are asked for.
pub(crate) const HUGE_PAGES_BLOCK: usize = 4 << 20;

/// Bytes from a hardened heap's segment to its marks: two bits per block of 32 bytes at least, for 64 chunks.
/// They fill the head's upper half up to the page that is its guard.
pub(crate) const MARKS_OFFSET: usize = CHUNK_SIZE - PAGE_SIZE - 2 * CHUNKS_PER_SEGMENT * MARK_BYTES;
/// Bytes of one chunk's bits of one kind.
pub(crate) const MARK_BYTES: usize = CHUNK_SIZE / HARD_LEAST / 8;
/// Bytes in a hardened heap's smallest blocks.
pub(crate) const HARD_LEAST: usize = 32;
/// Bytes at the end of a hardened heap's blocks that say whether somebody wrote past its own.
pub(crate) const CANARY_BYTES: usize = 8;
/// Bytes of blocks that a hardened heap carves at a time, so that there is some choice for the order in which
/// they are handed out.
pub(crate) const HARD_CARVE_BYTES: usize = 2 * PAGE_SIZE;
/// Number of the heap behind `Global`; the others count on from there.
pub(crate) const GLOBAL_ID: u64 = 1;

/// Orphans that a thread about to map a new segment empties first, at most.
pub(crate) const LEASES_BEFORE_RESERVE: usize = 8;

const _: () = assert!(CHUNKS_PER_SEGMENT == 64, "chunk masks are u64");
const _: () = assert!(MAX_SPAN_SIZE <= SEGMENT_SIZE / 4);
const _: () = assert!(size_of::<usize>() == 8, "blockyard needs a 64-bit address space");
