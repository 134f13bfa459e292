//! Destructors of thread-locals, in every order around our own.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;

use blockyard::allocator_api2::vec::Vec as VecIn;
use blockyard::{context, temp};

use crate::stats;

/// Allocates, resizes and frees all kinds of blocks.
fn work(seed: usize) {
    let mut map: HashMap<usize, String> = (0..50).map(|n| (n, "z".repeat(n + seed))).collect();
    map.retain(|n, _| n % 2 == 0);
    assert!(map.iter().all(|(n, text)| text.len() == n + seed));
    let mut bytes = vec![7_u8; 1000];
    for more in [70_000, 1 << 21, 200_000, 10] {
        bytes.reserve_exact(more);
        bytes.shrink_to(1000 + more / 2);
        assert!(bytes.iter().all(|&byte| byte == 7));
    }
    assert!(vec![0_u8; 100_000].iter().step_by(100).all(|&byte| byte == 0));
    #[repr(align(4096))]
    struct Page(#[expect(dead_code, reason = "there for its size")] [u8; 4096]);
    assert!(ptr::from_ref(&*Box::new(Page([1; 4096]))).addr().is_multiple_of(4096));
    use_context(seed);
}

/// What has thread-locals of its own, by now destroyed or not.
fn use_context(seed: usize) {
    temp::scope(|outer| {
        let numbers = outer.alloc_slice_fill_with(1000, |n| n + seed);
        temp::scope(|inner| _ = inner.alloc_slice_copy(&[7_u8; 5000]));
        assert!(numbers.iter().enumerate().all(|(n, &number)| number == n + seed));
    });
    let kept = context::with_arena(|| VecIn::<usize, _>::with_capacity_in(100, context::current()));
    let temporary = context::temp();
    let text = temporary.alloc_str("temporary");
    context::free_temp();
    context::temp().alloc_slice_copy(&[7_u8; 100]);
    assert_eq!((&*text, kept.capacity()), ("temporary", 100));
}

/// Values that ended: which, on which thread, in order.
static ENDED: Mutex<Vec<(usize, char)>> = Mutex::new(Vec::new());
/// Values that threads leave when they end, for the threads that end after them.
static LEFT: Mutex<Vec<Vec<String>>> = Mutex::new(Vec::new());

/// A thread-local with something to do at its end.
struct Local {
    name: char,
    thread: Cell<usize>,
    kept: RefCell<Vec<String>>,
}

impl Local {
    /// Not a constant: the first use makes it.
    fn made_late(name: char) -> Self {
        let local = Self::new(name);
        local.keep(10);
        local
    }
    const fn new(name: char) -> Self {
        Self { name, thread: Cell::new(0), kept: RefCell::new(Vec::new()) }
    }
    fn touch(&self, thread: usize) {
        self.thread.set(thread);
    }
    fn keep(&self, count: usize) {
        self.kept.borrow_mut().extend((0..count).map(|n| n.to_string()));
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let (thread, kept) = (self.thread.get(), self.kept.take());
        assert!(kept.iter().enumerate().all(|(n, text)| text.parse() == Ok(n)));
        work(thread % 100);
        let mut left = LEFT.lock().expect("nobody panics");
        let theirs = if left.len() > 10 { left.swap_remove(thread % 10) } else { Vec::new() };
        left.push(kept);
        drop(left);
        assert!(theirs.iter().enumerate().all(|(n, text)| text.parse() == Ok(n)));
        ENDED.lock().expect("nobody panics").push((thread, self.name));
    }
}

thread_local! {
    static A: Local = const { Local::new('a') };
    static B: Local = const { Local::new('b') };
    static LAZY: Local = Local::made_late('l');
}

/// What the thread does with its locals; `first` is the first thing it does at all.
#[derive(Clone, Copy)]
enum Order {
    /// Both are registered before the thread allocates, so they end after our own.
    BeforeAny,
    /// Both after, so they end before it.
    AfterAll,
    /// One before, one after.
    Around,
    /// One of them is used for the first time by the destructor of the other.
    AtTheEnd,
}

fn use_locals(order: Order, thread: usize) {
    let touch = |local: &'static thread::LocalKey<Local>| local.with(|local| local.touch(thread));
    match order {
        Order::BeforeAny => {
            touch(&A);
            touch(&B);
            work(1);
        }
        Order::AfterAll => {
            work(2);
            touch(&A);
            touch(&B);
        }
        Order::Around => {
            touch(&B);
            work(3);
            touch(&A);
        }
        Order::AtTheEnd => touch(&B),
    }
    if !matches!(order, Order::AtTheEnd) {
        A.with(|a| a.keep(20));
        LAZY.with(|lazy| lazy.touch(thread));
    }
    B.with(|b| b.keep(30));
}

#[test]
fn locals_end_in_every_order() {
    const ROUNDS: usize = 50;
    let orders = [Order::BeforeAny, Order::AfterAll, Order::Around, Order::AtTheEnd];
    let mut live_when_warm = 0;
    for round in 0..ROUNDS {
        let threads = orders.map(|order| {
            let thread = round * orders.len() + order as usize;
            thread::spawn(move || use_locals(order, thread))
        });
        threads.into_iter().for_each(|thread| thread.join().expect("contents are as written"));
        if round == ROUNDS / 2 {
            live_when_warm = stats().blocks.live();
        }
    }
    let ended = std::mem::take(&mut *ENDED.lock().expect("nobody panics"));
    for thread in 0..ROUNDS * orders.len() {
        let mut names: Vec<char> =
            ended.iter().filter(|(of, _)| *of == thread).map(|(_, name)| *name).collect();
        names.sort_unstable();
        let expected: &[char] = if thread % orders.len() == 3 { &['b'] } else { &['a', 'b', 'l'] };
        assert_eq!(names, expected, "thread {thread}");
    }
    // Other tests run beside this one, so the bound is generous; each round leaks nothing.
    let live = stats().blocks.live();
    assert!(live <= live_when_warm + 20_000, "{live} blocks live, {live_when_warm} before");
}

/// A C library's key ends after all of Rust's thread-locals.
#[test]
fn keys_of_c_end_last() {
    static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();
    static ENDED: AtomicUsize = AtomicUsize::new(0);

    unsafe extern "C" fn end(value: *mut c_void) {
        // SAFETY: the value is the box that the thread gave.
        let text = unsafe { Box::from_raw(value.cast::<String>()) };
        work(text.len());
        if *text == "kept to the end" {
            ENDED.fetch_add(1, Ordering::Relaxed);
        }
    }

    let key = *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the call writes one key; the destructor fits the values that are set below.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(end)) }, 0);
        key
    });
    for _ in 0..50 {
        let thread = thread::spawn(move || {
            let text = Box::into_raw(Box::new(String::from("kept to the end")));
            // SAFETY: the key exists.
            assert_eq!(unsafe { libc::pthread_setspecific(key, text.cast()) }, 0);
        });
        thread.join().expect("nothing panics");
    }
    assert_eq!(ENDED.load(Ordering::Relaxed), 50);
}

/// What a thread leaves is freed by threads that are ending, and allocated again by new ones.
#[test]
fn blocks_pass_from_end_to_end() {
    thread_local! {
        static PASSED: RefCell<Option<PassOn>> = const { RefCell::new(None) };
    }
    struct PassOn(Vec<Box<[u64]>>, mpsc::Sender<Vec<Box<[u64]>>>);
    impl Drop for PassOn {
        fn drop(&mut self) {
            let next = self.0.iter().map(|numbers| numbers.iter().map(|n| n + 1).collect()).collect();
            self.1.send(next).expect("the test listens");
        }
    }

    let (send, inbox) = mpsc::channel();
    let mut blocks: Vec<Box<[u64]>> = (0..100).map(|n| (0..n * 3).collect()).collect();
    for _ in 0..100 {
        let send = send.clone();
        let pass_on = move || PASSED.with_borrow_mut(|passed| *passed = Some(PassOn(blocks, send)));
        thread::spawn(pass_on).join().expect("nothing panics");
        blocks = inbox.recv().expect("the thread sends as it ends");
    }
    assert!(
        blocks.iter().enumerate().all(|(n, numbers)| numbers.iter().copied().eq(100..n as u64 * 3 + 100))
    );
}
