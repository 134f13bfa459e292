//! What a scope installs.

use core::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::ambient::{Ambient, Installable, Kind};
use crate::temp::Lease;
use crate::{Global, Heap};

/// A current allocator and a name, as long as they are installed or a handle counts them. Where there is
/// none, the allocator is `Global` and there is no name.
pub(super) struct Frame {
    pub(super) served: Served,
    pub(super) name: Option<Arc<str>>,
}

/// An allocator of this thread.
#[derive(Clone)]
pub(super) enum Served {
    Global,
    Heap(Arc<Heap>),
    Users(Arc<dyn Installable>),
    /// Counted, because frames that differ in their names share it.
    Arena(Rc<Lease>),
}

impl Frame {
    pub(super) fn new(served: Served, name: Option<Arc<str>>) -> Option<Rc<Self>> {
        if matches!(served, Served::Global) && name.is_none() {
            None
        } else {
            Some(Rc::new(Self { served, name }))
        }
    }

    /// The debug form of a handle to a frame.
    pub(super) fn describe(frame: Option<&Self>, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (served, name) = match frame {
            None => (&Served::Global, None),
            Some(frame) => (&frame.served, frame.name.as_deref()),
        };
        let mut form = f.debug_struct(what);
        form.field("allocator", served);
        if let Some(name) = name {
            form.field("name", &name);
        }
        form.finish()
    }

    /// Whether installing the two would change nothing.
    pub(super) fn is(&self, ambient: &Ambient, name: Option<&Arc<str>>) -> bool {
        let same_allocator = match (&self.served, &ambient.0) {
            (Served::Global, Kind::Global) => true,
            (Served::Heap(ours), Kind::Heap(other)) => Arc::ptr_eq(ours, other),
            (Served::Users(ours), Kind::Users(other)) => Arc::ptr_eq(ours, other),
            _ => false,
        };
        same_allocator
            && match (&self.name, name) {
                (None, None) => true,
                (Some(ours), Some(other)) => Arc::ptr_eq(ours, other),
                _ => false,
            }
    }
}

impl Served {
    /// Leases an arena where that is what `ambient` is.
    pub(super) fn from_ambient(ambient: Ambient) -> Self {
        match ambient.0 {
            Kind::Global => Self::Global,
            Kind::Heap(heap) => Self::Heap(heap),
            Kind::Users(users) => Self::Users(users),
            Kind::Arena => Self::Arena(Rc::new(Lease::new())),
        }
    }

    /// For any thread: an arena stays where it is, and stands for any other.
    pub(super) fn to_ambient(&self) -> Ambient {
        Ambient(match self {
            Self::Global => Kind::Global,
            Self::Heap(heap) => Kind::Heap(heap.clone()),
            Self::Users(users) => Kind::Users(users.clone()),
            Self::Arena(_) => Kind::Arena,
        })
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => fmt::Debug::fmt(&Global, f),
            Self::Heap(heap) => fmt::Debug::fmt(heap, f),
            Self::Users(users) => users.describe(f),
            Self::Arena(lease) => fmt::Debug::fmt(&***lease, f),
        }
    }
}
