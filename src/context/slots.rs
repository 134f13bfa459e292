//! What a thread has installed.
//!
//! Scopes and guards differ in who may end them in which order. A scope ends when its closure does, so it
//! keeps what it replaced on the stack and puts it back. Guards can be dropped in any order, moved out of the
//! scope they were made in, or forgotten; so each scope has a list of the guards made in it.
//!
//! No cell is borrowed while a frame is dropped, which may run the `Drop` of a user's allocator: what is to
//! go is moved out first.

use core::cell::Cell;
use std::rc::Rc;

use super::Temp;
use super::frame::Frame;

struct Slots {
    top: Cell<Option<Rc<Frame>>>,
    /// Those made in the innermost scope.
    guards: Cell<Guards>,
    temp: Cell<Option<Temp>>,
}

thread_local! {
    static SLOTS: Slots = const {
        Slots { top: Cell::new(None), guards: Cell::new(Guards(None)), temp: Cell::new(None) }
    };
}

/// The guards made in one scope whose frames are installed, newest first.
#[derive(Default)]
struct Guards(Option<Rc<Guard>>);

impl Guards {
    fn newest_has_ended(&self) -> bool {
        self.0.as_ref().is_some_and(|guard| guard.ended.get())
    }
}

pub(super) struct Guard {
    /// Its owner has dropped it; it is undone when it is the newest.
    ended: Cell<bool>,
    /// What is installed, until it is undone.
    frame: Cell<Option<Option<Rc<Frame>>>>,
    replaced: Cell<Option<Rc<Frame>>>,
    older: Cell<Guards>,
}

impl Drop for Guards {
    /// One by one: a thread may have forgotten any number of guards. What is forgotten leaks a guard, and no
    /// frame.
    fn drop(&mut self) {
        while let Some(guard) = self.0.take() {
            *self = guard.older.take();
            drop((guard.frame.take(), guard.replaced.take()));
        }
    }
}

#[inline(always)]
fn peek<T: Clone>(cell: &Cell<Option<T>>) -> Option<T> {
    let value = cell.take();
    let copy = value.clone();
    cell.set(value);
    copy
}

/// What is installed.
#[inline]
pub(super) fn top() -> Option<Rc<Frame>> {
    SLOTS.try_with(|slots| peek(&slots.top)).ok().flatten()
}

/// The temporary arena, if there is one.
#[inline]
pub(super) fn temp() -> Option<Temp> {
    SLOTS.try_with(|slots| peek(&slots.temp)).ok().flatten()
}

/// Puts another temporary arena in its place. `other` comes back where there is no place for it.
pub(super) fn replace_temp(other: Option<Temp>) -> Option<Temp> {
    let mut other = Some(other);
    let replaced = SLOTS.try_with(|slots| slots.temp.replace(other.take().flatten()));
    replaced.unwrap_or_else(|_| other.flatten())
}

/// A frame that is installed until this is dropped, whatever is installed above it.
pub(super) struct Scope {
    /// What was there before.
    top: Option<Rc<Frame>>,
    guards: Guards,
}

impl Scope {
    #[inline]
    pub(super) fn new(frame: Option<Rc<Frame>>) -> Self {
        let mut scope = Self { top: frame, guards: Guards(None) };
        scope.exchange();
        scope
    }

    /// In place: moving the values out and back in was slower by 10 ns.
    #[inline]
    fn exchange(&mut self) {
        let (top, guards) = (Cell::from_mut(&mut self.top), Cell::from_mut(&mut self.guards));
        // Where there is no place for them, nothing was installed and nothing is.
        let _ = SLOTS.try_with(|slots| {
            slots.top.swap(top);
            slots.guards.swap(guards);
        });
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        let has_ended = self.guards.newest_has_ended();
        self.exchange();
        if has_ended {
            undo_ended();
        }
    }
}

/// Installs a frame until the guard ends. `None` where there is no place for it.
pub(super) fn install(frame: Option<Rc<Frame>>) -> Option<Rc<Guard>> {
    let guard = Rc::new(Guard {
        ended: Cell::new(false),
        frame: Cell::new(Some(frame.clone())),
        replaced: Cell::new(None),
        older: Cell::default(),
    });
    let installed = SLOTS.try_with(|slots| {
        guard.replaced.set(slots.top.replace(frame));
        guard.older.set(slots.guards.replace(Guards(Some(guard.clone()))));
    });
    installed.ok().map(|()| guard)
}

impl Guard {
    pub(super) fn end(&self) {
        self.ended.set(true);
        undo_ended();
    }

    /// What is installed, until it is undone.
    pub(super) fn frame(&self) -> Option<Option<Rc<Frame>>> {
        peek(&self.frame)
    }
}

/// Undoes the newest guards of this scope while they have ended.
fn undo_ended() {
    while let Ok(Some(undone)) = SLOTS.try_with(|slots| {
        let mut guards = slots.guards.take();
        if !guards.newest_has_ended() {
            slots.guards.set(guards);
            return None;
        }
        let guard = guards.0.take()?;
        slots.guards.set(guard.older.take());
        Some((slots.top.replace(guard.replaced.take()), guard.frame.take()))
    }) {
        drop(undone);
    }
}
