//! One era: heaps, workers, quiet points.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use blockyard::allocator_api2::boxed::Box as HeapBox;
use blockyard::{Global, Heap, HeapStats, Pool, PoolBox};

use super::watch::{Memory, check_quiet};
use super::worker::{Held, Kind, Worker};
use super::{Soak, Totals};
use crate::support::reconcile::{assert_empty, assert_reconciled, assert_sent_is_received};
use crate::support::{MIB, Rng};

pub(crate) const WORKERS: usize = 4;
/// A limit at which requests are refused all the time.
pub(crate) const LIMIT: usize = 3 * MIB;
/// Of a class that little else uses, for what must be exact.
type Rare = [u8; 27_000];

/// What goes from thread to thread.
pub(crate) struct Mail<'era> {
    pub(crate) blocks: Vec<Held>,
    pub(crate) values: Vec<PoolBox<'era, Value>>,
    /// Of heaps that are gone for all but these.
    pub(crate) routed: Vec<Vec<u8>>,
}

/// A value of a pool: a number and what follows from it.
#[derive(Clone)]
pub(crate) struct Value(pub(crate) [u64; 5]);

impl Value {
    pub(crate) fn new(seed: u64) -> Self {
        Self([0, 1, 2, 3, 4].map(|n| seed.wrapping_mul(n * 2 + 1)))
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let seed = self.0[0];
        assert_eq!(
            self.0,
            [0, 1, 2, 3, 4].map(|n| seed.wrapping_mul(n * 2 + 1)),
            "a pool's value has changed"
        );
        self.0[1] = !self.0[1];
    }
}

/// What the workers of an era share.
pub(crate) struct Era<'soak> {
    pub(crate) soak: &'soak Soak,
    pub(crate) open: Heap,
    pub(crate) limited: Heap,
    pub(crate) pool: Pool<Value>,
    pub(crate) pause: AtomicBool,
    pub(crate) over: AtomicBool,
    pub(crate) barrier: Barrier,
    /// What workers hold, by [`Kind`], told at each quiet point.
    pub(crate) live: [AtomicU64; Kind::ALL.len()],
    pub(crate) bytes: [AtomicU64; Kind::ALL.len()],
    pub(crate) values: AtomicUsize,
}

impl Era<'_> {
    fn expect(&self, kind: Kind) -> (u64, u64) {
        let at = kind as usize;
        (self.live[at].load(Ordering::Relaxed), self.bytes[at].load(Ordering::Relaxed))
    }

    /// All workers are waiting.
    fn check(&self, mail: &[Mutex<Mail<'_>>]) {
        let _alone = self.soak.reading.lock().expect("no check has failed");
        for mail in mail {
            let mail = mail.lock().expect("no check has failed");
            mail.blocks.iter().for_each(|held| self.count(held));
            self.values.fetch_add(mail.values.len(), Ordering::Relaxed);
        }
        for (heap, kind) in [(&self.open, Kind::Open), (&self.limited, Kind::Limited)] {
            let stats = heap.stats();
            assert_reconciled(&stats);
            assert_sent_is_received(&stats);
            assert_eq!((stats.blocks.live(), stats.bytes.requested), self.expect(kind), "{stats}");
        }
        assert!(self.limited.stats().bytes.in_chunks_peak <= LIMIT, "{}", self.limited.stats());
        assert_eq!(self.pool.live(), self.values.load(Ordering::Relaxed), "{}", self.pool.stats());
        assert_reconciled(&self.pool.stats());

        let global = || blockyard::stats().heaps.swap_remove(0);
        let before = global();
        assert_reconciled(&before);
        let (live, bytes) = self.expect(Kind::Global);
        assert!(before.blocks.live() >= live && before.bytes.requested >= bytes, "{live}, {bytes}\n{before}");
        let rare: Vec<_> = (0..10).map(|_| HeapBox::<Rare, _>::new_uninit_in(Global)).collect();
        let between = global();
        drop(rare);
        let live = |stats: &HeapStats| {
            let rows = stats.classes.iter().filter(|class| class.in_blocks > 0);
            rows.filter(|class| class.in_blocks / class.blocks.live() == 28_672)
                .map(|class| class.blocks.live())
                .sum::<u64>()
        };
        assert_eq!(live(&between), live(&before) + 10, "{between}");
        assert_eq!(live(&global()), live(&before));

        let bytes: u64 = self.bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        check_quiet(&Memory::now(), bytes as usize);
        for counter in self.live.iter().chain(&self.bytes) {
            counter.store(0, Ordering::Relaxed);
        }
        self.values.store(0, Ordering::Relaxed);
    }

    /// Adds a block to what is expected.
    pub(crate) fn count(&self, held: &Held) {
        let size = held.block.layout().size();
        if size != 0 {
            self.live[held.kind as usize].fetch_add(1, Ordering::Relaxed);
            self.bytes[held.kind as usize].fetch_add(size as u64, Ordering::Relaxed);
        }
    }
}

/// Runs one era, of at most `left`.
pub(crate) fn run(soak: &Soak, seed: u64, left: Duration) {
    let mut rng = Rng::new(seed);
    let length = Duration::from_millis(500 + rng.below(2500) as u64).min(left);
    let purge_delay = Duration::from_millis(rng.below(600) as u64);
    let heap = || Heap::builder().purge_delay(purge_delay);
    let era = Era {
        soak,
        open: heap().name("open").build().expect("memory"),
        limited: heap().name("limited").limit(LIMIT).build().expect("memory"),
        pool: Pool::new(),
        pause: AtomicBool::new(false),
        over: AtomicBool::new(false),
        barrier: Barrier::new(WORKERS + 1),
        live: Default::default(),
        bytes: Default::default(),
        values: AtomicUsize::new(0),
    };
    let mail: [_; WORKERS] = std::array::from_fn(|_| {
        Mutex::new(Mail { blocks: Vec::new(), values: Vec::new(), routed: Vec::new() })
    });
    let ends = Instant::now() + length;
    crate::support::team(|team| {
        let (era, mail) = (&era, &mail);
        for number in 0..WORKERS {
            let seed = rng.next();
            team.spawn(move || Worker::new(era, mail, number, seed).run());
        }
        loop {
            std::thread::sleep(Duration::from_millis(100 + rng.below(300) as u64));
            era.pause.store(true, Ordering::Relaxed);
            era.barrier.wait();
            era.check(mail);
            Totals::add(&soak.totals.quiet, 1);
            let over = Instant::now() >= ends;
            era.over.store(over, Ordering::Relaxed);
            era.pause.store(false, Ordering::Relaxed);
            era.barrier.wait();
            if over {
                break;
            }
        }
    });
    for mail in mail {
        let mail = mail.into_inner().expect("no check has failed");
        for held in mail.blocks {
            held.free(&era);
        }
        mail.routed.iter().for_each(|bytes| super::worker::verify_routed(bytes));
    }
    // This thread has freed blocks of others.
    for heap in [&era.open, &era.limited] {
        heap.flush();
        heap.collect();
        let stats = heap.stats();
        assert_empty(&stats);
        assert_sent_is_received(&stats);
    }
    assert_eq!(era.pool.live(), 0);
    Global.flush();
}
