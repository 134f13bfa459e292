//! The field: the one list of contenders, and the ways to walk it.

use super::{Contender, Role};
use super::{limit, ours, peers, rusty_alloc};

/// What the suite needs to know of a contender before it meets its type.
#[derive(Clone, Copy)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) collects: bool,
}

impl Profile {
    pub(crate) const fn of<C: Contender>() -> Self {
        Self { name: C::NAME, role: C::ROLE, collects: C::COLLECTS }
    }
}

/// Is handed every contender of a [`Field`], with its type.
pub(crate) trait ContenderVisitor {
    fn visit<C: Contender>(&mut self, contender: &'static C);
}

/// One line per contender, in the order of the tables.
macro_rules! field {
    ($($(#[$gate:meta])* $slot:ident: $contender:ty,)*) => {
        /// The contenders of this run, each started once and kept until the process ends.
        pub(crate) struct Field {
            $($(#[$gate])* $slot: Option<&'static $contender>,)*
        }

        impl Field {
            /// Starts the contenders that `wanted` says yes to.
            pub(crate) fn start(wanted: impl Fn(&Profile) -> bool) -> Self {
                Self {
                    $($(#[$gate])* $slot: start_one(&wanted),)*
                }
            }

            /// Hands every contender to `visitor`, in the order of the tables.
            pub(crate) fn each(&self, visitor: &mut impl ContenderVisitor) {
                $($(#[$gate])*
                if let Some(contender) = self.$slot {
                    visitor.visit(contender);
                })*
            }
        }

        /// Every contender in this build.
        pub(crate) fn profiles() -> Vec<Profile> {
            vec![$($(#[$gate])* Profile::of::<$contender>(),)*]
        }
    };
}

field! {
    global: ours::Global,
    heap: ours::SharedHeap,
    local: ours::Local,
    glibc: peers::Glibc,
    #[cfg(feature = "peer-mimalloc")]
    mimalloc: peers::Mimalloc,
    #[cfg(feature = "peer-snmalloc")]
    snmalloc: peers::Snmalloc,
    #[cfg(feature = "peer-jemalloc")]
    jemalloc: peers::Jemalloc,
    #[cfg(feature = "peer-rpmalloc")]
    rpmalloc: super::rpmalloc::Rpmalloc,
    rusty: rusty_alloc::RustyAlloc,
    rallocator: peers::Rallocator,
    limit: limit::Limit,
}

fn start_one<C: Contender>(wanted: &impl Fn(&Profile) -> bool) -> Option<&'static C> {
    wanted(&Profile::of::<C>()).then(|| &*Box::leak(Box::new(C::start())))
}

/// Peers that this build does without, and the feature that brings each in.
pub(crate) fn left_out() -> Vec<(&'static str, &'static str)> {
    let peers = [
        ("mimalloc", "peer-mimalloc", cfg!(feature = "peer-mimalloc")),
        ("snmalloc", "peer-snmalloc", cfg!(feature = "peer-snmalloc")),
        ("jemalloc", "peer-jemalloc", cfg!(feature = "peer-jemalloc")),
        ("rpmalloc", "peer-rpmalloc", cfg!(feature = "peer-rpmalloc")),
    ];
    peers.into_iter().filter(|&(_, _, built)| !built).map(|(name, feature, _)| (name, feature)).collect()
}
