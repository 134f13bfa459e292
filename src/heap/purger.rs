//! A thread that gives memory back where no other thread does.

use core::mem;
use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::{io, process};

use super::HeapCore;

/// Orphans that are looked at in one go.
const ORPHANS: usize = 64;
/// Bytes of the thread's stack: sources are called on it.
const STACK: usize = 256 << 10;

/// A thread that visits a heap once per purge delay, until it is dropped.
#[derive(Debug)]
pub(crate) struct Purger {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
    /// The process that the thread is in: a child of `fork` has the purger, but not the thread.
    process: u32,
}

#[derive(Debug, Default)]
struct Bell {
    stopped: Mutex<bool>,
    rung: Condvar,
}

/// A heap that outlives its purger.
struct Visited(*const HeapCore);

// SAFETY: a heap is used by any thread.
unsafe impl Send for Visited {}

impl Purger {
    /// # Safety
    /// The heap lives until the purger is dropped.
    pub(super) unsafe fn start(heap: *const HeapCore) -> io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let visited = Visited(heap);
        let thread = Builder::new().name("blockyard-purge".to_owned()).stack_size(STACK).spawn({
            let bell = Arc::clone(&bell);
            move || {
                let visited = visited;
                // SAFETY: as the caller promises.
                let heap = unsafe { &*visited.0 };
                while !bell.waits(heap.purge_delay()) {
                    heap.visit_as_purger(ORPHANS);
                }
            }
        })?;
        Ok(Self { bell, thread: Some(thread), process: process::id() })
    }

    /// Whether the thread is in this process.
    pub(super) fn is_here(&self) -> bool {
        self.process == process::id()
    }
}

impl Bell {
    /// Waits for so long; true when the bell was rung.
    fn waits(&self, delay: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(stopped, delay, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn ring(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_all();
    }
}

impl Drop for Purger {
    fn drop(&mut self) {
        if !self.is_here() {
            // There is no end of it to wait for, and others may have its stack by now: it is not detached either.
            mem::forget(self.thread.take());
            return;
        }
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A panic of the user's source has been reported, and ends that thread's work only.
            let _ = thread.join();
        }
    }
}
