//! A leak, found by `Debug`: what was allocated since a mark and is still there, with the calls that led to it
//! where the feature `backtrace` is on.

use blockyard::{Debug, Heap, Misuse, Policy, Report, allocator_api2::boxed::Box};

/// A document that a cache forgets to free.
#[inline(never)]
fn render<'d>(debug: &'d Debug<&Heap>, text: &str) -> &'d mut [u8; 256] {
    let mut page = Box::new_in([b' '; 256], debug);
    page[..text.len()].copy_from_slice(text.as_bytes());
    std::hint::black_box(Box::leak(page))
}

pub(crate) fn main() {
    let heap = Heap::new();
    // What is still there when the allocator goes would be reported, too; this program knows it by then.
    let debug = Debug::new(&heap).name("pages").policy(Policy::Call(&|_report| ()));
    #[cfg(feature = "backtrace")]
    let debug = debug.traces(3);

    let start = Box::new_in(1_u64, &debug); // before the mark: nobody asks for it
    let mark = debug.mark();
    let title = Box::new_in(*b"a title", &debug);
    render(&debug, "a page");
    drop(title);

    let leaks: Vec<Report> = debug.leaks_since(mark);
    leaks.iter().for_each(|leak| print!("{leak}"));
    let [leak] = &leaks[..] else { panic!("one leak, and not {}", leaks.len()) };
    assert_eq!((leak.misuse, leak.layout.size()), (Misuse::Leak, 256));
    let text = leak.to_string();
    assert!(text.starts_with("allocator \"pages\": leak of the block of 256 bytes"));
    assert!(cfg!(not(feature = "backtrace")) || text.contains("find_leak::render"));
    drop(start);
}
