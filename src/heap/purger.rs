//! A thread that gives memory back where no other thread does.

use core::time::Duration;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

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
        Ok(Self { bell, thread: Some(thread) })
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
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A panic of the user's source has been reported, and ends that thread's work only.
            let _ = thread.join();
        }
    }
}
