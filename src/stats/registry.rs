//! A table of what lives, that one at a time looks at, and of what is to go once nobody looks.

use core::ptr::{self, NonNull};

use crate::sync::{AtomicPtr, Ordering, Site, TableGuard, TableLock, fence_at};

/// What a [`Registry`] lists.
pub(crate) trait Member: Sync + Sized {
    /// The next one that nobody needs, in the list of those.
    fn next_dead(&self) -> &AtomicPtr<Self>;
}

/// Members, each alive as long as it is listed.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    listed: TableLock<Vec<Entry<T>>>,
    /// Members that nobody needs and that are still listed.
    dead: AtomicPtr<T>,
}

#[derive(Debug)]
struct Entry<T>(NonNull<T>);

// SAFETY: the pointer is used under the registry's lock, and a member leaves the registry before it
// goes; members are `Sync`.
unsafe impl<T: Member> Send for Entry<T> {}

/// The table, locked. Who lets go of it calls [`Registry::bury`] then.
pub(crate) struct Listed<'a, T>(TableGuard<'a, Vec<Entry<T>>>);

impl<T: Member> Registry<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self { listed: TableLock::new(Vec::new()), dead: AtomicPtr::new(ptr::null_mut()) }
    }
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { listed: TableLock::new(Vec::new()), dead: AtomicPtr::new(ptr::null_mut()) }
    }

    pub(crate) fn lock(&self) -> Listed<'_, T> {
        Listed(self.listed.lock())
    }

    /// Notes that nobody needs a member any more. Whoever notes it calls [`bury`](Self::bury) then.
    ///
    /// # Safety
    /// The member is listed, the caller is the only one to know it otherwise, and forgets it.
    pub(crate) unsafe fn give_up(&self, member: NonNull<T>) {
        let mut first = self.dead.load(Ordering::Relaxed);
        loop {
            // SAFETY: a member that is not listed as dead is alive.
            unsafe { member.as_ref() }.next_dead().store(first, Ordering::Relaxed);
            // ORDER: Release, pairs with the Acquire in `bury`; publishes the link.
            match self.dead.compare_exchange_weak(
                first,
                member.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Takes the members that nobody needs off the table and hands them to `release`. Where somebody has the table,
    /// that one comes here afterwards: to wait could be to wait for oneself, since reading allocates.
    pub(crate) fn bury(&self, mut release: impl FnMut(NonNull<T>)) {
        loop {
            // ORDER: SeqCst, pairs with itself on another thread. Before it one has listed a dead member, and the
            // other has let go of the table; after it the one looks at the lock, and the other at the list. One of
            // them sees what the other did.
            fence_at(Site::Burial, Ordering::SeqCst);
            if self.dead.load(Ordering::Relaxed).is_null() {
                return;
            }
            let Some(listed) = self.listed.try_lock() else {
                return;
            };
            let mut listed = Listed(listed);
            // ORDER: Acquire, pairs with the Release in `give_up`.
            let first = self.dead.swap(ptr::null_mut(), Ordering::Acquire);
            let mut removed = ptr::null_mut();
            each(first, |member| {
                if let Some(member) = listed.remove(member) {
                    // SAFETY: it was listed, so it is alive.
                    unsafe { member.as_ref() }.next_dead().store(removed, Ordering::Relaxed);
                    removed = member.as_ptr();
                }
            });
            drop(listed);
            each(removed, &mut release);
        }
    }
}

/// Runs `f` on the members of a list that was taken off as a whole; `f` may end them.
fn each<T: Member>(first: *mut T, mut f: impl FnMut(NonNull<T>)) {
    let mut next = first;
    while let Some(member) = NonNull::new(next) {
        // SAFETY: members of the list are this thread's alone, and read before they end.
        next = unsafe { member.as_ref() }.next_dead().load(Ordering::Relaxed);
        f(member);
    }
}

impl<T: Member> Listed<'_, T> {
    /// Lists a member. False when there is no memory for that.
    ///
    /// # Safety
    /// The member stays until it is removed.
    pub(crate) unsafe fn add(&mut self, member: NonNull<T>) -> bool {
        if self.0.try_reserve(1).is_err() {
            return false;
        }
        self.0.push(Entry(member));
        true
    }

    /// Takes a member off the table. Returns the pointer with which it was listed, which may do more than one that was
    /// a reference meanwhile: end it.
    pub(crate) fn remove(&mut self, member: NonNull<T>) -> Option<NonNull<T>> {
        let at = self.0.iter().rposition(|entry| entry.0 == member)?;
        Some(self.0.swap_remove(at).0)
    }

    /// Every member.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        // SAFETY: a listed member is alive while the lock is held.
        self.0.iter().map(|entry| unsafe { entry.0.as_ref() })
    }
}
