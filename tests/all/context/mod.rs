//! Current and temporary allocators of a thread: scopes, guards, handles, and the way to other threads.

mod ends;
mod guards;
mod handles;
mod threads;
mod tracked;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use blockyard::allocator_api2::boxed::Box as BoxIn;
use blockyard::allocator_api2::vec::Vec as VecIn;
use blockyard::context::{self, Ambient, Context, Current, Installed, Temp};
use blockyard::{Global, Heap};
use static_assertions::{assert_eq_size, assert_impl_all, assert_not_impl_any};

use self::tracked::Tracked;

assert_impl_all!(Current: blockyard::allocator_api2::alloc::Allocator, Clone, Default, Eq, std::fmt::Debug);
assert_impl_all!(Temp: blockyard::allocator_api2::alloc::Allocator, Clone, std::fmt::Debug);
assert_impl_all!(Context: Send, Sync, Clone, Default, std::fmt::Debug);
assert_impl_all!(Ambient: Send, Sync, Clone, Default, std::fmt::Debug);
assert_impl_all!(Ambient: From<Global>, From<Heap>, From<Arc<Heap>>, From<&'static Arc<Heap>>);
assert_not_impl_any!(Current: Send, Sync, Copy);
assert_not_impl_any!(Temp: Send, Sync, Copy);
assert_not_impl_any!(Installed: Send, Sync, Clone);

// Containers store the handle.
assert_eq_size!(Current, *const ());
assert_eq_size!(Temp, *const ());

/// The current allocator's debug form, without what changes.
fn shown() -> String {
    format!("{:?}", context::current())
}

fn nothing_is_installed() -> bool {
    context::current() == Current::GLOBAL && context::name().is_none()
}

#[test]
fn scopes_nest_and_restore() {
    let (outer, inner) = (Tracked::new(), Tracked::new());
    assert!(nothing_is_installed());
    context::with_allocator(outer.ambient(), || {
        let before = context::current();
        let block = BoxIn::new_in([1_u8; 100], context::current());
        context::with_allocator(inner.ambient(), || {
            let block = BoxIn::new_in(2, context::current());
            assert_eq!((outer.live(), inner.live(), *block), (1, 1, 2));
            context::with_allocator(Global, || assert_eq!(context::current(), Current::GLOBAL));
            context::with_arena(|| assert_ne!(context::current(), before));
        });
        assert_eq!((context::current(), inner.live(), block[99]), (before, 0, 1));
    });
    assert!(nothing_is_installed());
    assert!(outer.is_unused() && inner.is_unused());
}

#[test]
fn a_panic_restores() {
    let tracked = Tracked::new();
    context::with_allocator(tracked.ambient(), || {
        let before = context::current();
        for round in 0..5 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let fail = || -> () { panic!("on purpose") };
                match round {
                    0 => context::with_allocator(Heap::new(), fail),
                    1 => context::with_arena(fail),
                    2 => context::with_name("inner", fail),
                    3 => Context::default().enter(fail),
                    _ => {
                        let _guard = context::install(Heap::new());
                        context::with_arena(fail);
                    }
                }
            }));
            assert!(caught.is_err());
            assert_eq!((context::current(), context::name()), (before.clone(), None));
        }
    });
    assert!(nothing_is_installed() && tracked.is_unused());
}

#[test]
fn every_kind_of_container_lives_in_it() {
    let heap = Arc::new(Heap::builder().name("level").build().expect("no setting can fail"));
    context::with_allocator(&heap, || {
        let mut numbers = VecIn::new_in(context::current());
        numbers.extend(0..10_000_u64);
        numbers.shrink_to_fit();
        let mut map = hashbrown::HashMap::<_, _, hashbrown::DefaultHashBuilder, Current>::default();
        map.extend((0..1000).map(|n| (n, n * n)));
        assert_eq!((numbers[9999], map[&30], heap.stats().blocks.live()), (9999, 900, 2));
    });
    assert_eq!(heap.stats().blocks.live(), 0);
}

#[test]
fn names_nest_and_keep_the_allocator() {
    let tracked = Tracked::new();
    context::with_name("game", || {
        assert_eq!(context::current(), Current::GLOBAL);
        assert_eq!(*BoxIn::new_in(7, context::current()), 7);
        context::with_allocator(tracked.ambient(), || {
            let before = context::current();
            assert_eq!(context::name().as_deref(), Some("game"));
            context::with_name("frame", || {
                assert_eq!((context::current(), context::name().as_deref()), (before.clone(), Some("frame")));
            });
            assert_eq!(context::name().as_deref(), Some("game"));
        });
        // Arenas are shared by frames that differ in their names.
        context::with_arena(|| {
            let kept = context::with_name("inner", || BoxIn::new_in([1_u8; 100], context::current()));
            let other = BoxIn::new_in([2_u8; 100], context::current());
            assert_eq!((kept[99], other[99]), (1, 2));
        });
    });
    assert!(nothing_is_installed() && tracked.is_unused());
}

#[test]
fn debug_forms_say_what_is_installed() {
    assert_eq!(shown(), "Current { allocator: Global }");
    context::with_name("loader", || {
        assert_eq!(shown(), r#"Current { allocator: Global, name: "loader" }"#);
        let level =
            Arc::new(Heap::builder().name("level").limit(1 << 20).build().expect("a limit that can be"));
        context::with_allocator(&level, || {
            let shown = shown();
            for part in ["Current { allocator: Heap {", "level", "1048576", r#"name: "loader" }"#] {
                assert!(shown.contains(part), "{shown}");
            }
            assert!(format!("{:?}", Context::capture()).contains("level"));
        });
    });
    context::with_arena(|| {
        assert!(shown().starts_with("Current { allocator: Arena {"), "{}", shown());
        assert_eq!(format!("{:?}", Context::capture()), "Context { allocator: Arena, name: None }");
    });
    let guard = context::install(Tracked::new().ambient());
    assert!(
        format!("{guard:?}").contains("Installed { allocator: all::context::tracked::Counted"),
        "{guard:?}"
    );
}

#[test]
fn an_arena_is_reset_when_its_scope_ends() {
    let used = || {
        context::with_arena(|| {
            let at_first = shown();
            // By reference, so that what is forgotten holds no count.
            std::mem::forget(BoxIn::new_in([1_u8; 1000], &context::current()));
            assert!(shown().contains("used: 1000"), "{}", shown());
            at_first
        })
    };
    assert!(used().contains("used: 0"));
    assert!(used().contains("used: 0"));
}
