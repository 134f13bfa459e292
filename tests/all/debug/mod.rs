//! `Debug`: what it finds, what it leaves alone, and what it does to the allocator below.

mod finds;
mod lives;
mod strict;

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use blockyard::allocator_api2::alloc::Allocator;
use blockyard::{Debug, Misuse, Policy, Report};

use self::strict::Strict;

/// A place for reports.
struct Seen(&'static Mutex<Vec<Report>>);

impl Seen {
    fn new() -> (Self, Policy) {
        let seen: &'static Mutex<Vec<Report>> = Box::leak(Box::default());
        let note = |report: &Report| seen.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
        (Self(seen), Policy::Call(Box::leak(Box::new(note))))
    }

    /// What was reported since the last call.
    fn take(&self) -> Vec<Report> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn misuses(&self) -> Vec<Misuse> {
        self.take().iter().map(|report| report.misuse).collect()
    }
}

/// Over a child that ends the test where it is misused itself.
fn watched(child: &Strict) -> (Seen, Debug<&Strict>) {
    let (seen, policy) = Seen::new();
    (seen, Debug::new(child).name("watched").policy(policy))
}

fn allocate(debug: &Debug<&Strict>, layout: Layout) -> NonNull<u8> {
    let block = debug.allocate(layout).expect("there is memory").cast::<u8>();
    assert_eq!(block.addr().get() % layout.align(), 0);
    // SAFETY: as long as its layout.
    unsafe { block.write_bytes(0x11, layout.size()) };
    block
}

/// Frees what may be nothing to free: what these tests are about.
fn free(debug: &Debug<&Strict>, block: NonNull<u8>, layout: Layout) {
    // SAFETY: whatever it is, the allocator under test refuses what is not its live block.
    unsafe { debug.deallocate(block, layout) };
}
