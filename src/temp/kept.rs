//! A thread's stack of idle arenas.

use core::cell::Cell;
use core::mem;

use crate::Arena;
use crate::heap::unrouted;

/// Idle arenas that a thread keeps, by number. Deeper nesting is rare, and each may hold a mebibyte.
const MOST_KEPT: usize = 32;

/// An arena, and the idle ones below it while it is idle itself.
pub(super) struct Node {
    pub(super) arena: Arena,
    below: Option<Box<Node>>,
}

impl Node {
    #[cold]
    fn new() -> Box<Self> {
        // The thread keeps it, wherever its allocations are routed to now.
        unrouted(|| Box::new(Self { arena: Arena::new(), below: None }))
    }

    /// Bytes of chunks in this arena and those below.
    pub(super) fn bytes(&self) -> usize {
        let nodes = core::iter::successors(Some(self), |node| node.below.as_deref());
        nodes.map(|node| node.arena.stats().reserved).sum()
    }
}

struct Kept {
    top: Cell<Option<Box<Node>>>,
    len: Cell<usize>,
}

thread_local! {
    static KEPT: Kept = const { Kept { top: Cell::new(None), len: Cell::new(0) } };
}

/// `Cell::set` for a cell that holds nothing, without the code that would drop something.
#[inline(always)]
fn fill(empty: &Cell<Option<Box<Node>>>, node: Option<Box<Node>>) {
    let nothing = empty.replace(node);
    debug_assert!(nothing.is_none());
    mem::forget(nothing);
}

/// The arena that came back last, or a fresh one.
#[inline]
pub(super) fn take() -> Box<Node> {
    let kept = KEPT.try_with(|kept| {
        let mut node = kept.top.take()?;
        fill(&kept.top, node.below.take());
        kept.len.set(kept.len.get() - 1);
        Some(node)
    });
    kept.ok().flatten().unwrap_or_else(Node::new)
}

/// Keeps an arena that has been reset. It is dropped where there are enough, or where this thread's
/// destructors have reached ours.
#[inline]
pub(super) fn put(mut node: Box<Node>) {
    // What does not fit is dropped with the closure or its result, when nothing here is half done.
    let _dropped = KEPT.try_with(|kept| {
        if kept.len.get() == MOST_KEPT {
            return Some(node);
        }
        kept.len.set(kept.len.get() + 1);
        fill(Cell::from_mut(&mut node.below), kept.top.take());
        fill(&kept.top, Some(node));
        None
    });
}

/// All idle arenas.
pub(super) fn take_all() -> Option<Box<Node>> {
    let kept = KEPT.try_with(|kept| {
        kept.len.set(0);
        kept.top.take()
    });
    kept.ok().flatten()
}
