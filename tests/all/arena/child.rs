//! A child allocator that knows what it gave out, and refuses when it is told to.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ptr::NonNull;

use blockyard::allocator_api2::alloc::{AllocError, Allocator, Global};

#[derive(Debug, Default)]
pub(super) struct Child {
    live: RefCell<HashMap<usize, Layout>>,
    calls: Cell<usize>,
    /// The number of the call that is refused, and of all after it while `stubborn`.
    refused: Cell<Option<usize>>,
    stubborn: Cell<bool>,
}

impl Child {
    pub(super) fn calls(&self) -> usize {
        self.calls.get()
    }
    pub(super) fn live_bytes(&self) -> usize {
        self.live.borrow().values().map(Layout::size).sum()
    }
    /// Refuses the `n`-th call from now, and with `stubborn` all after it.
    pub(super) fn refuse(&self, n: usize, stubborn: bool) {
        self.refused.set(Some(self.calls.get() + n));
        self.stubborn.set(stubborn);
    }
    pub(super) fn obey(&self) {
        self.refused.set(None);
    }
    fn call(&self) -> Result<(), AllocError> {
        let call = self.calls.replace(self.calls.get() + 1);
        let refuses = self.refused.get().is_some_and(|n| call == n || self.stubborn.get() && call > n);
        if refuses { Err(AllocError) } else { Ok(()) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        assert!(self.live.get_mut().is_empty(), "not given back: {:?}", self.live);
    }
}

// SAFETY: blocks are `Global`'s; this only counts.
unsafe impl Allocator for &Child {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.call()?;
        let block = Global.allocate(layout)?;
        self.live.borrow_mut().insert(block.addr().get(), layout);
        // Nobody may rely on what fresh memory holds.
        // SAFETY: as long as the layout says.
        unsafe { block.cast::<u8>().write_bytes(0xa5, layout.size()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        assert_eq!(self.live.borrow_mut().remove(&block.addr().get()), Some(layout));
        // SAFETY: ours for this layout; what still points there will see it.
        unsafe {
            block.write_bytes(0x5a, layout.size());
            Global.deallocate(block, layout);
        }
    }
}
