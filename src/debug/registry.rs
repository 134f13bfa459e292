//! Every allocator's books, so that one can say whose a block is.

use core::ptr::NonNull;

use super::private::Private;
use super::record::State;
use super::table::Table;
use crate::allocator_api2::vec::Vec;
use crate::sync::Lock;

struct Listed {
    table: NonNull<Table>,
    name: &'static str,
}

// SAFETY: `table` is the field that is not; tables are `Sync`, and a listed one is alive.
unsafe impl Send for Listed {}

const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Table>();
};

/// Locked before any shard, never after one.
static TABLES: Lock<Vec<Listed, Private>> = Lock::new(Vec::new_in(Private));

/// Lists a table. Where there is no memory for that, its blocks are not recognised elsewhere.
///
/// # Safety
/// The table stays until [`remove`].
pub(super) unsafe fn add(table: NonNull<Table>, name: &'static str) {
    let mut tables = TABLES.lock();
    if tables.try_reserve(1).is_ok() {
        tables.push(Listed { table, name });
    }
}

pub(super) fn remove(table: NonNull<Table>) {
    TABLES.lock().retain(|listed| listed.table != table);
}

/// The name of an allocator other than that of `table` to which the live block at `address` belongs.
#[cold]
pub(super) fn owner(table: NonNull<Table>, address: usize) -> Option<&'static str> {
    let tables = TABLES.lock();
    tables.iter().filter(|listed| listed.table != table).find_map(|listed| {
        // SAFETY: a listed table is alive while the lock is held.
        let is_live = unsafe { listed.table.as_ref() }.read(address, |entry| entry.state() == State::Live);
        is_live.filter(|&is_live| is_live).map(|_| listed.name)
    })
}
