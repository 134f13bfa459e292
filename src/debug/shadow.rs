//! Which record an address has: a table over the whole address space, of which what is used is there.
//!
//! A block begins at a multiple of 16 and is longer than that with what is behind it, so two blocks begin at
//! least 32 bytes apart, and a word for every 32 bytes has room for each. Asking needs no lock and touches
//! nothing but the table: any address may be asked for.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::alloc::System;

use super::record::Record;

/// Bits of an address that tell blocks apart, from which on they do, and how they are cut.
const GRAIN: u32 = 5;
const LEAF: u32 = 22;
const BRANCH: u32 = 35;
/// Bits of the addresses that processes get, unless they ask for more.
const BITS: u32 = 48;

/// Words for 4 MiB of address space. The system makes its pages when they are written to.
struct Leaf([AtomicPtr<Record>; 1 << (LEAF - GRAIN)]);
struct Branch([AtomicPtr<Leaf>; 1 << (BRANCH - LEAF)]);

/// The leaf that was used last: who uses one address uses others near it.
pub(super) struct Near {
    /// The bits of an address that name it.
    number: usize,
    leaf: NonNull<Leaf>,
}

impl Near {
    pub(super) const fn none() -> Self {
        Self { number: usize::MAX, leaf: NonNull::dangling() }
    }
}

/// Valid as zeroes.
pub(super) struct Shadow([AtomicPtr<Branch>; 1 << (BITS - BRANCH)]);

#[inline(always)]
fn slot<T, const N: usize>(slots: &[AtomicPtr<T>; N], address: usize, shift: u32) -> &AtomicPtr<T> {
    &slots[(address >> shift) % N]
}

/// What `slot` points to, made of zeroes if need be; `None` when there is no memory for it.
///
/// # Safety
/// `T` is valid as zeroes, and stays as long as `slot` once it is there.
#[inline(always)]
unsafe fn get_or_make<T>(slot: &AtomicPtr<T>) -> Option<&T> {
    // ORDER: Acquire, pairs with the Release in `make`; publishes the zeroes.
    match NonNull::new(slot.load(Ordering::Acquire)) {
        // SAFETY: as the caller promises.
        Some(there) => Some(unsafe { there.as_ref() }),
        // SAFETY: passed on.
        None => unsafe { make(slot) },
    }
}

/// # Safety
/// As for [`get_or_make`].
#[cold]
#[inline(never)]
unsafe fn make<T>(slot: &AtomicPtr<T>) -> Option<&T> {
    // SAFETY: not empty.
    let made = NonNull::new(unsafe { System.alloc_zeroed(Layout::new::<T>()) })?.cast::<T>();
    // ORDER: Release, pairs with the Acquire here and in `get_or_make`.
    let put = slot.compare_exchange(ptr::null_mut(), made.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
    // SAFETY: as the caller promises; what another thread made is there, and ours was seen by nobody.
    unsafe {
        match put {
            Ok(_) => Some(made.as_ref()),
            Err(before) => {
                System.dealloc(made.cast().as_ptr(), Layout::new::<T>());
                before.as_ref()
            }
        }
    }
}

impl Shadow {
    /// The word of an address. `None` where none was ever made.
    #[inline(always)]
    fn find(&self, address: usize) -> Option<&AtomicPtr<Record>> {
        Some(slot(&self.leaf(address)?.0, address, GRAIN))
    }

    #[inline(always)]
    fn leaf(&self, address: usize) -> Option<&Leaf> {
        if address >> BITS != 0 {
            return None;
        }
        // SAFETY: (D3) branches and leaves stay as long as the table.
        // ORDER: Acquire, pairs with the Release in `make`.
        unsafe {
            let branch = slot(&self.0, address, BRANCH).load(Ordering::Acquire).as_ref()?;
            slot(&branch.0, address, LEAF).load(Ordering::Acquire).as_ref()
        }
    }

    /// The word of an address, by way of the leaf used last with this table. `None` where none was ever made.
    #[inline(always)]
    pub(super) fn find_near(&self, near: &mut Near, address: usize) -> Option<&AtomicPtr<Record>> {
        if near.number != address >> LEAF {
            self.come_near(near, address)?;
        }
        // SAFETY: (D3) leaves stay as long as the table.
        Some(slot(unsafe { &near.leaf.as_ref().0 }, address, GRAIN))
    }

    #[cold]
    #[inline(never)]
    fn come_near(&self, near: &mut Near, address: usize) -> Option<()> {
        near.leaf = NonNull::from(self.leaf(address)?);
        near.number = address >> LEAF;
        Some(())
    }

    /// The record that a block had which began at `address`, or in the 32 bytes around it: whoever may use the
    /// record's shard looks what it says now.
    #[inline(always)]
    pub(super) fn get(&self, address: usize) -> Option<NonNull<Record>> {
        // ORDER: Acquire, pairs with the Release in `set`; publishes the record's shard.
        NonNull::new(self.find(address)?.load(Ordering::Acquire))
    }

    /// Enters the record of an address; the one that was there. Not done when there is no memory for that.
    #[inline(always)]
    pub(super) fn set(&self, address: usize, record: NonNull<Record>) -> Result<Option<NonNull<Record>>, ()> {
        let word = match self.find(address) {
            Some(word) => word,
            None => self.make(address).ok_or(())?,
        };
        // Not an exchange: whoever gave the address to us has been given it by who had it before.
        let before = word.load(Ordering::Acquire);
        // ORDER: Release, pairs with the Acquire in `get`.
        word.store(record.as_ptr(), Ordering::Release);
        Ok(NonNull::new(before))
    }

    #[cold]
    #[inline(never)]
    fn make(&self, address: usize) -> Option<&AtomicPtr<Record>> {
        if address >> BITS != 0 {
            return None;
        }
        // SAFETY: (D3), and tables of pointers are valid as zeroes.
        let leaf = unsafe {
            let branch = get_or_make(slot(&self.0, address, BRANCH))?;
            get_or_make(slot(&branch.0, address, LEAF))?
        };
        Some(slot(&leaf.0, address, GRAIN))
    }

    /// Takes an address out, if it is still `record`'s.
    #[inline(always)]
    pub(super) fn clear(&self, address: usize, record: NonNull<Record>) {
        if let Some(word) = self.find(address)
            && word.load(Ordering::Relaxed) == record.as_ptr()
        {
            word.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }

    /// Gives the table's memory back.
    pub(super) fn clear_all(&mut self) {
        fn free<T>(at: *mut T) {
            // SAFETY: made by `make`, and nobody else's any more.
            unsafe { System.dealloc(at.cast(), Layout::new::<T>()) }
        }
        for branch in &mut self.0 {
            let branch = core::mem::replace(branch.get_mut(), ptr::null_mut());
            // SAFETY: (D3).
            let Some(leaves) = (unsafe { branch.as_mut() }) else { continue };
            for leaf in &mut leaves.0 {
                if !leaf.get_mut().is_null() {
                    free(*leaf.get_mut());
                }
            }
            free(branch);
        }
    }
}
