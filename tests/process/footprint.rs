//! Memory and records that do not grow with what has been, only with what is.

use std::sync::mpsc;
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::{Global, Heap, HeapStats};

use crate::alone;

const MIB: usize = 1 << 20;
/// Threads alive at once.
const WAVE: usize = 4;

/// Runs `work` on threads of their own, [`WAVE`] at a time, and waits for the end of each.
fn waves<R: Send>(threads: usize, work: impl Fn(usize) -> R + Sync, mut after: impl FnMut(usize, Vec<R>)) {
    for wave in 0..threads / WAVE {
        let results = thread::scope(|scope| {
            let work = &work;
            let spawn = |n| thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, move || work(n));
            let threads: Vec<_> = (0..WAVE).map(|n| spawn(wave * WAVE + n).expect("a thread")).collect();
            threads.into_iter().map(|thread| thread.join().expect("nothing panics")).collect()
        });
        after(wave, results);
    }
}

/// A little of everything; one vector stays live beyond the thread's end.
fn work<A: Allocator + Clone>(allocator: A, n: usize) -> HeapVec<u8, A> {
    let mut vectors = [10, 100, 400, 3000].map(|size| {
        let mut vector = HeapVec::new_in(allocator.clone());
        vector.resize(size + n % 50, n as u8);
        vector
    });
    assert!(vectors.iter().all(|vector| vector.iter().all(|&byte| byte == n as u8)));
    vectors[n % 4].shrink_to_fit();
    let [first, ..] = vectors;
    first
}

fn ten_thousand_threads<A: Allocator + Copy + Send + Sync>(allocator: A, stats: impl Fn() -> HeapStats) {
    let mut warm = None;
    let mut left = Vec::new();
    waves(
        10_000,
        |n| work(allocator, n),
        |wave, results| {
            // Each wave's vectors are freed here while the next but one is gone already.
            left = results;
            if wave == 50 {
                warm = Some(stats().bytes);
            }
        },
    );
    drop(left);
    let (stats, warm) = (stats(), warm.expect("there are more waves"));
    let (records, in_chunks, mapped) = (stats.threads.len(), stats.bytes.in_chunks, stats.bytes.mapped);
    assert!(records <= WAVE + 1, "{records} records for {WAVE} threads and this one\n{stats}");
    assert!(mapped <= warm.mapped, "{mapped} bytes mapped, {} when warm", warm.mapped);
    // A thread that has not been among the first may still start a chunk of each class.
    let slack = WAVE * 8 * (64 << 10);
    assert!(in_chunks <= warm.in_chunks + slack, "{in_chunks} bytes, {} when warm", warm.in_chunks);
}

#[test]
fn ten_thousand_threads_use_a_heap() {
    let _alone = alone();
    let heap = Heap::new();
    ten_thousand_threads(&heap, || heap.stats());
    heap.collect();
    let stats = heap.stats();
    assert_eq!((stats.blocks.live(), stats.bytes.in_chunks), (0, 0), "{stats}");
    assert!(stats.blocks.allocated >= 40_000);
}

#[test]
fn ten_thousand_threads_use_global() {
    let _alone = alone();
    ten_thousand_threads(Global, || blockyard::stats().heaps.swap_remove(0));
}

/// Threads that free what one thread allocates, and end.
#[test]
fn threads_that_only_free() {
    let _alone = alone();
    let heap = Heap::new();
    let (send, inbox) = mpsc::channel();
    let mut warm = 0;
    for round in 0..500 {
        for n in 0..200_u64 {
            let mut vector = HeapVec::with_capacity_in(20, &heap);
            vector.extend(n..n + 20);
            send.send(vector).expect("we listen");
        }
        let vectors: Vec<_> = inbox.try_iter().collect();
        thread::scope(|scope| {
            let free = || {
                assert!(vectors.iter().zip(0..).all(|(v, n)| v.iter().copied().eq(n..n + 20)));
                drop(vectors);
            };
            scope.spawn(free).join().expect("contents are as written");
        });
        if round == 50 {
            warm = heap.stats().bytes.in_chunks;
        }
    }
    let stats = heap.stats();
    assert_eq!(stats.blocks.live(), 0);
    assert!(stats.bytes.in_chunks_peak <= warm + (64 << 10), "{warm}\n{stats}");
    assert!(stats.threads.len() <= 3, "{stats}");
}

/// Bytes of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    // SAFETY: the call takes a number and touches nothing.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize
}

/// `size` bytes in memory.
#[cfg(target_os = "linux")]
fn filled(heap: &Heap, size: usize) -> HeapVec<u8, &Heap> {
    let mut vector = HeapVec::<u8, &Heap>::with_capacity_in(size, heap);
    // SAFETY: there is room for `size` bytes, which are initialised here.
    unsafe {
        vector.as_mut_ptr().write_bytes(1, size);
        vector.set_len(size);
    }
    vector
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_has_its_memory_back() {
    const BYTES: usize = 48 * MIB;
    let _alone = alone();
    let heap = Heap::new();
    for size in [64, 4000, 50_000, MIB / 2, 16 * MIB] {
        let before = resident();
        let live: Vec<_> = (0..BYTES / size).map(|_| filled(&heap, size)).collect();
        let full = resident();
        assert!(full >= before + BYTES / 8 * 7, "{full} after {before}: {size}-byte blocks are in memory");
        drop(live);
        let given = heap.collect();
        let after = resident();
        assert!(given >= BYTES / 2, "{given} bytes given back, {size}-byte blocks");
        assert!(after <= before + BYTES / 8, "{after} after {before}: {size}-byte blocks are not");
    }
}

/// What idle threads leave free is given back by whoever comes along after the delay.
#[cfg(target_os = "linux")]
#[test]
fn nobody_needs_to_collect() {
    use std::time::Duration;

    let _alone = alone();
    let heap = Heap::builder().purge_delay(Duration::from_millis(1)).build().expect("memory");
    let before = resident();
    let big: Vec<_> = (0..512).map(|_| filled(&heap, 100_000)).collect();
    assert!(resident() >= before + 32 * MIB);
    drop(big);
    // Each round is a visit to the heap's pool; the delay is over after the first few.
    let mut rounds = 0;
    while resident() > before + 8 * MIB {
        thread::sleep(Duration::from_millis(2));
        drop(HeapVec::<u8, _>::with_capacity_in(100_000, &heap));
        rounds += 1;
        assert!(rounds < 5000, "memory is never given back: {}", heap.stats());
    }
}

/// With a purge thread, nobody has to do anything.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_program_gives_memory_back() {
    use std::time::Duration;

    let _alone = alone();
    let builder = Heap::builder().purge_delay(Duration::from_millis(1)).purge_thread();
    let heap = builder.build().expect("memory and a thread");
    let before = resident();
    let purgers = || {
        let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
        let name = |thread: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(thread.ok()?.path().join("comm")).ok()
        };
        threads.filter_map(name).filter(|name| name.trim_end() == "blockyard-purge").count()
    };
    let fill = || {
        let many: Vec<_> = (0..20_000).map(|n| filled(&heap, 1000 + n % 1000)).collect();
        let big = filled(&heap, 8 * MIB);
        assert!(resident() >= before + 32 * MIB);
        drop((many, big));
    };
    thread::scope(|scope| scope.spawn(fill).join().expect("memory"));
    let mut waits = 0;
    while resident() > before + 4 * MIB {
        thread::sleep(Duration::from_millis(1));
        waits += 1;
        assert!(waits < 20_000, "memory is never given back: {}", heap.stats());
    }
    assert_eq!(purgers(), 1);
    drop(heap);
    // It was joined; the system may list it for a moment still.
    for _ in 0..5000 {
        if purgers() == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("the thread goes on without its heap");
}

/// Who allocates a little looks at the clock for everybody, and gives up what it does not use itself.
#[cfg(target_os = "linux")]
#[test]
fn nobody_needs_more_than_a_little_work() {
    use std::time::Duration;

    let _alone = alone();
    let heap = Heap::builder().purge_delay(Duration::from_millis(1)).build().expect("memory");
    let before = resident();
    // A few blocks of every class here, which leave a chunk each, and many that another thread frees.
    let sizes = || (1..=60).map(|n| n * 1000);
    drop(sizes().map(|size| filled(&heap, size)).collect::<Vec<_>>());
    let many: Vec<_> = (0..20_000).map(|n| filled(&heap, 1000 + n % 1000)).collect();
    thread::scope(|scope| scope.spawn(|| drop(many)).join().expect("it only frees"));
    assert!(resident() >= before + 24 * MIB);
    let mut rounds = 0;
    while resident() > before + 4 * MIB {
        thread::sleep(Duration::from_millis(1));
        drop((0..200).map(|_| filled(&heap, 64)).collect::<Vec<_>>());
        rounds += 1;
        assert!(rounds < 5000, "memory is never given back: {}", heap.stats());
    }
}

/// Records are numbered; a number that large needs a large table in every heap.
#[test]
fn there_may_be_very_many_threads() {
    const THREADS: usize = 17_000;
    let _alone = alone();
    waves(
        THREADS,
        |_| {
            let heap = Heap::new();
            // A handle that is never dropped keeps its thread's record, as a living thread would.
            std::mem::forget(heap.local());
        },
        |_, _| (),
    );
    let heap = Heap::new();
    let mapped = heap.stats().bytes.mapped;
    thread::scope(|scope| {
        for _ in 0..WAVE {
            let allocate = || heap.try_local().map(|local| drop(work(local, 1)));
            assert!(scope.spawn(allocate).join().expect("nothing panics").is_some());
        }
    });
    assert!(heap.stats().bytes.mapped <= mapped + 16 * MIB, "{}", heap.stats());
}
