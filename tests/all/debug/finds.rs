//! Each misuse, and what the report says of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Debug, Misuse, Policy, Report};

use super::{Seen, Strict, allocate, free, watched};
use crate::support::{layout, team};

/// The number of threads named in the report.
fn threads(report: &Report) -> [Option<u64>; 3] {
    [&report.allocated, &report.freed, &report.noticed].map(|event| event.as_ref().map(|it| it.thread))
}

#[test]
fn leaks_with_their_layouts_and_threads() {
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    let kept = allocate(&debug, layout(24, 8));
    free(&debug, allocate(&debug, layout(8, 8)), layout(8, 8));
    let mark = debug.mark();
    let other = thread::scope(|scope| {
        scope.spawn(|| allocate(&debug, layout(100, 64)).addr().get()).join().expect("checks hold")
    });
    let mut leaks = debug.leaks();
    leaks.sort_by_key(|leak| leak.layout.size());
    assert_eq!(leaks.iter().map(|leak| leak.address).collect::<Vec<_>>(), [kept.addr().get(), other]);
    assert_eq!(leaks[1].layout, layout(100, 64));
    let [Some(mine), None, None] = threads(&leaks[0]) else { panic!("{}", leaks[0]) };
    let [Some(theirs), None, None] = threads(&leaks[1]) else { panic!("{}", leaks[1]) };
    assert_ne!(mine, theirs);
    let since = debug.leaks_since(mark);
    assert_eq!((since.len(), since[0].address), (1, other));
    let text = since[0].to_string();
    assert_eq!(
        text,
        format!(
            "allocator \"watched\": leak of the block of 100 bytes, aligned to 64, at {other:#x}\n  \
             allocated by thread {theirs}\n"
        )
    );
    free(&debug, kept, layout(24, 8));
    assert!(seen.take().is_empty());
    drop(debug);
    let reports = seen.take();
    assert_eq!((reports.len(), reports[0].misuse, reports[0].address), (1, Misuse::Leak, other));
    assert_eq!(child.blocks(), 1, "what leaks stays the child's");
}

#[test]
fn a_double_free_on_another_thread() {
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    let block = allocate(&debug, layout(40, 8));
    let address = block.addr().get();
    free(&debug, block, layout(40, 8));
    thread::scope(|scope| {
        let debug = &debug;
        scope.spawn(move || {
            // SAFETY: not null. Freed, which is what the test is about.
            let block = std::ptr::NonNull::new(std::ptr::with_exposed_provenance_mut(address)).unwrap();
            free(debug, block, layout(40, 8));
        });
    });
    let reports = seen.take();
    assert_eq!((reports.len(), reports[0].misuse, reports[0].address), (1, Misuse::DoubleFree, address));
    let [Some(allocated), Some(freed), Some(again)] = threads(&reports[0]) else { panic!("{}", reports[0]) };
    assert!(allocated == freed && freed != again, "{}", reports[0]);
    let text = reports[0].to_string();
    assert!(text.contains(&format!("freed again by thread {again}\n  freed by thread {freed}")), "{text}");
    assert!(debug.check().is_empty());
    drop(debug);
    assert_eq!((seen.take().len(), child.blocks()), (0, 0));
}

#[test]
fn frees_of_what_is_no_block() {
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    let mut local = 7_u64;
    free(&debug, std::ptr::NonNull::from(&mut local).cast(), layout(8, 8));
    let block = allocate(&debug, layout(64, 8));
    // SAFETY: within the block.
    let middle = unsafe { block.add(8) };
    free(&debug, middle, layout(56, 8));
    // SAFETY: no block of the allocator, which must leave it alone.
    let moved = unsafe { (&debug).grow(middle, layout(56, 8), layout(90, 8)) };
    assert!(moved.is_err());
    let reports = seen.take();
    assert_eq!(reports.len(), 3);
    for (report, address) in reports.iter().zip([&raw const local as usize, middle.addr().get()]) {
        assert_eq!((report.misuse, report.address), (Misuse::InvalidFree, address));
        assert!(report.to_string().contains("there is no such block"), "{report}");
    }
    free(&debug, block, layout(64, 8));
    drop(debug);
    assert_eq!((seen.take().len(), child.blocks()), (0, 0));
}

#[test]
fn layouts_that_are_not_the_blocks() {
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    for given in [layout(63, 8), layout(65, 8), layout(64, 16), layout(0, 1)] {
        free(&debug, allocate(&debug, layout(64, 8)), given);
        let reports = seen.take();
        assert_eq!((reports.len(), reports[0].misuse), (1, Misuse::LayoutMismatch { given }));
        assert_eq!(reports[0].layout, layout(64, 8));
    }
    let block = allocate(&debug, layout(64, 8));
    // SAFETY: the layout is wrong, which is what the test is about; the block is as long as the smaller one.
    let moved = unsafe { (&debug).grow(block, layout(32, 8), layout(128, 8)) }.unwrap().cast::<u8>();
    assert_eq!(seen.misuses(), [Misuse::LayoutMismatch { given: layout(32, 8) }]);
    free(&debug, moved, layout(128, 8));
    drop(debug);
    assert_eq!((seen.take().len(), child.blocks()), (0, 0));
}

#[test]
fn writes_past_the_end() {
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    for (size, past) in [(1, 0), (24, 3), (64, 15), (4096, 0), (0, 0)] {
        let layout = layout(size, 1);
        let block = allocate(&debug, layout);
        let overflow = Misuse::Overflow { offset: size + past };
        // SAFETY: in the bytes behind the block, which are the allocator's, and which it is to look at.
        unsafe { block.add(size + past).write(1) };
        let found: Vec<_> = debug.check().iter().map(|report| report.misuse).collect();
        assert_eq!(found, [overflow]);
        free(&debug, block, layout);
        assert_eq!(seen.misuses(), [overflow]);
        assert!(debug.check().is_empty());
    }
    let block = allocate(&debug, layout(8, 8));
    // SAFETY: as above; then the block is resized as it was allocated.
    let moved = unsafe {
        block.add(8).write(1);
        (&debug).grow(block, layout(8, 8), layout(16, 8))
    };
    assert_eq!(seen.misuses(), [Misuse::Overflow { offset: 8 }]);
    free(&debug, moved.unwrap().cast(), layout(16, 8));
    drop(debug);
    assert_eq!((seen.take().len(), child.blocks()), (0, 0));
}

#[test]
fn writes_after_the_free() {
    let child = Strict::default();
    let (seen, policy) = Seen::new();
    let debug = Debug::new(&child).policy(policy).quarantine(32 * 1000);
    let small = layout(100, 4);
    let block = allocate(&debug, small);
    free(&debug, block, small);
    // SAFETY: the child's, in quarantine: what the allocator is to find.
    unsafe { block.add(17).write(0) };
    let wrong = Misuse::UseAfterFree { offset: 17 };
    assert_eq!(debug.check()[0].misuse, wrong);
    assert!(seen.take().is_empty());
    for _ in 0..1000 {
        free(&debug, allocate(&debug, small), small);
    }
    let reports = seen.take();
    assert_eq!((reports.len(), reports[0].misuse, reports[0].address), (1, wrong, block.addr().get()));
    assert!(matches!(threads(&reports[0]), [Some(_), Some(_), Some(_)]));

    let last = allocate(&debug, small);
    free(&debug, last, small);
    // SAFETY: as above.
    unsafe { last.write(0) };
    drop(debug);
    assert_eq!(seen.misuses(), [Misuse::UseAfterFree { offset: 0 }]);
    assert_eq!(child.blocks(), 0);
}

#[test]
fn frees_in_another_allocator() {
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    let owner = Debug::new(&child).name("owner");
    let block = allocate(&owner, layout(64, 8));
    free(&debug, block, layout(64, 8));
    let reports = seen.take();
    assert_eq!((reports.len(), reports[0].misuse), (1, Misuse::WrongAllocator { owner: "owner" }));
    assert!(reports[0].to_string().contains("it is a block of allocator \"owner\""), "{}", reports[0]);
    free(&owner, block, layout(64, 8));
    drop(owner);
    free(&debug, block, layout(64, 8));
    assert_eq!(seen.misuses(), [Misuse::InvalidFree]);
}

#[test]
fn misuses_on_many_threads_are_each_reported_once() {
    let child = Strict::default();
    let (seen, debug) = watched(&child);
    team(|team| {
        for thread in 0..4 {
            let debug = &debug;
            team.spawn(move || {
                for n in 0..200 {
                    let size = layout(8 + n % 50, 8);
                    let block = allocate(debug, size);
                    if n % 4 == thread % 4 {
                        // SAFETY: in the bytes behind the block.
                        unsafe { block.add(size.size()).write(1) };
                    }
                    free(debug, block, size);
                    if n % 5 == 0 {
                        free(debug, block, size);
                    }
                }
            });
        }
    });
    let found = seen.misuses();
    assert_eq!(found.iter().filter(|misuse| **misuse == Misuse::DoubleFree).count(), 4 * 40);
    assert_eq!(found.len(), 4 * 40 + 4 * 50);
    drop(debug);
    assert_eq!((seen.take().len(), child.blocks()), (0, 0));
}

#[test]
fn a_panic_leaves_everything_as_it_should_be() {
    let child = Strict::default();
    let debug = Debug::new(&child).policy(Policy::Panic);
    let panics = |work: &dyn Fn()| {
        let message = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        message.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    let block = allocate(&debug, layout(64, 8));
    // SAFETY: in the bytes behind the block.
    unsafe { block.add(64).write(1) };
    // SAFETY: the allocator's live block.
    let said = panics(&|| assert!(unsafe { (&debug).grow(block, layout(64, 8), layout(100, 8)) }.is_ok()));
    assert!(said.contains("write past the end"), "{said}");
    assert_eq!((debug.leaks().len(), child.blocks()), (1, 1), "nothing has moved");
    assert!(panics(&|| free(&debug, block, layout(64, 8))).contains("number 64"));
    assert!(debug.leaks().is_empty(), "it is freed all the same");
    assert!(panics(&|| free(&debug, block, layout(64, 8))).contains("double free"));
    free(&debug, allocate(&debug, layout(8, 8)), layout(8, 8));
    let leaked = allocate(&debug, layout(8, 8));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(debug))).is_err());
    assert_eq!(child.blocks(), 1, "the leak, at {leaked:p}");
}

#[cfg(feature = "backtrace")]
#[test]
fn traces_name_who_allocated_and_who_freed() {
    #[inline(never)]
    fn the_one_who_allocates(debug: &Debug<&Strict>) -> std::ptr::NonNull<u8> {
        std::hint::black_box(allocate(debug, layout(64, 8)))
    }
    #[inline(never)]
    fn the_one_who_frees(debug: &Debug<&Strict>, block: std::ptr::NonNull<u8>) {
        free(debug, block, layout(64, 8));
        std::hint::black_box(());
    }
    let child = Strict::default();
    let (seen, policy) = Seen::new();
    let debug = Debug::new(&child).policy(policy).traces(6);
    let block = the_one_who_allocates(&debug);
    let leak = debug.leaks().remove(0).to_string();
    assert!(leak.contains("the_one_who_allocates"), "{leak}");
    assert!(!leak.contains("blockyard::debug::Debug"), "{leak}");
    assert_eq!(leak.lines().filter(|line| line.starts_with("    at ")).count(), 6, "{leak}");
    the_one_who_frees(&debug, block);
    the_one_who_frees(&debug, block);
    let twice = seen.take().remove(0).to_string();
    assert_eq!(twice.matches("the_one_who_frees").count(), 2, "{twice}");
    assert_eq!(twice.matches("the_one_who_allocates").count(), 1, "{twice}");
}
