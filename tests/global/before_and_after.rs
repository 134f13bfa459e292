//! The first allocation comes before `main`, and the last one after it.

use std::collections::HashMap;
use std::sync::Mutex;

static MADE_BEFORE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs before `main`, as constructors of C++ objects do.
extern "C" fn before_main() {
    let made = (0..1000).map(|n| n.to_string()).collect();
    *MADE_BEFORE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = made;
    // SAFETY: the function is there as long as the process.
    unsafe { libc::atexit(after_main) };
}

/// Runs after `main`, and after the destructors of its thread's locals.
extern "C" fn after_main() {
    let made = std::mem::take(&mut *MADE_BEFORE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    let mut lengths = HashMap::<usize, usize>::new();
    made.iter().for_each(|text| *lengths.entry(text.len()).or_default() += 1);
    drop(made);
    if lengths != HashMap::from([(1, 10), (2, 90), (3, 900)]) {
        // A panic would be caught by nobody, and the process has said that all is well.
        std::process::abort();
    }
}

#[used]
#[cfg_attr(any(target_os = "linux", target_os = "android"), unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
static BEFORE_MAIN: extern "C" fn() = before_main;

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
#[test]
fn what_was_made_before_main_is_there() {
    let made = MADE_BEFORE.lock().expect("nobody panics");
    assert!(made.len() == 1000 && made.iter().enumerate().all(|(n, text)| text.parse() == Ok(n)));
}
