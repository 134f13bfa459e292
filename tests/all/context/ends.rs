//! The ends of threads: destructors of thread-locals, before and after ours.

use std::cell::RefCell;
use std::mem;
use std::sync::{Arc, Mutex};
use std::thread;

use blockyard::allocator_api2::boxed::Box as BoxIn;
use blockyard::context::{self, Ambient, Context, Current, Installed, Temp};

use super::tracked::Tracked;

/// Does something when its thread ends.
struct AtExit(RefCell<Option<Box<dyn FnOnce()>>>);

impl AtExit {
    fn arm(&self, f: impl FnOnce() + 'static) {
        self.0.replace(Some(Box::new(f)));
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

thread_local! {
    static FIRST: AtExit = const { AtExit(RefCell::new(None)) };
    static SECOND: AtExit = const { AtExit(RefCell::new(None)) };
}

/// Runs `use_it` on a thread, and `at_exit` from two destructors there, of which one is registered before the
/// context's own and one after it.
fn at_both_ends(use_it: impl FnOnce() + Send + 'static, at_exit: impl Fn() + Send + Clone + 'static) {
    thread::spawn(move || {
        FIRST.with(|first| first.arm(at_exit.clone()));
        context::with_arena(|| ());
        context::free_temp();
        use_it();
        SECOND.with(|second| second.arm(at_exit));
    })
    .join()
    .expect("nothing panics");
}

#[test]
fn everything_can_be_called_from_destructors() {
    let tracked = Tracked::new();
    let (watch, ran) = (tracked.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = ran.clone();
    at_both_ends(
        || _ = context::temp(),
        move || {
            let installed = context::with_allocator(watch.ambient(), || {
                assert_eq!(*BoxIn::new_in(7, context::current()), 7);
                context::current() != Current::GLOBAL
            });
            let guard = context::install(watch.ambient());
            Context::capture().enter(|| context::with_name("name", || _ = context::name()));
            drop(guard);
            context::with_arena(|| assert_eq!(*BoxIn::new_in(8, context::current()), 8));
            let temp = context::temp();
            let text = temp.alloc_str("temporary");
            context::free_temp();
            context::with_temp(|| context::temp().alloc_slice_copy(&[0xff_u8; 100]).len());
            assert_eq!(text, "temporary");
            assert_eq!(context::current(), Current::GLOBAL);
            seen.lock().expect("nothing panics under the lock").push(installed);
        },
    );
    let mut ran = ran.lock().expect("nothing panics under the lock").clone();
    ran.sort_unstable();
    // After our own destructor nothing can be installed. Systems differ in the order of destructors.
    assert_eq!(ran.len(), 2);
    assert!(ran[1], "one of them ran before ours");
    assert!(tracked.is_unused());
}

type Held = (BoxIn<u64, Current>, BoxIn<u64, Temp>, Installed);

#[test]
fn handles_and_guards_that_outlive_the_context_are_good() {
    thread_local! {
        static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
    }
    let tracked = Tracked::new();
    let ambients = [tracked.ambient(), Ambient::arena()];
    for ambient in ambients {
        // Armed before the context's own destructor, or after it.
        for early in [false, true] {
            let ambient = ambient.clone();
            thread::spawn(move || {
                if early {
                    HELD.with(|held| drop(held.take()));
                }
                let guard = context::install(ambient);
                let held = (BoxIn::new_in(1, context::current()), BoxIn::new_in(2, context::temp()), guard);
                HELD.with(|slot| slot.replace(Some(held)));
            })
            .join()
            .expect("nothing panics");
        }
    }
    assert!(tracked.is_unused());
}

#[test]
fn a_forgotten_guard_lasts_as_long_as_its_thread() {
    let tracked = Tracked::new();
    let ambient = tracked.ambient();
    thread::spawn(|| {
        mem::forget(context::install(ambient));
        assert_eq!(*BoxIn::new_in(7, context::current()), 7);
    })
    .join()
    .expect("nothing panics");
    assert!(tracked.is_unused());
}
