//! `Logging`: events, and subscribers that misbehave.

use std::cell::RefCell;
use std::fmt::{Debug, Write};

use blockyard::Global;
use blockyard::allocator_api2::vec::Vec as HeapVec;
use blockyard::layers::{Limit, Logging};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static EVENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Writes down each event, but not addresses.
struct Recorder {
    panics: bool,
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name().ends_with("block") {
            write!(self.0, " {}", field.name()).expect("a string takes all");
        } else {
            write!(self.0, " {}={value:?}", field.name()).expect("a string takes all");
        }
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        assert!(!self.panics, "the subscriber panics");
        let level = event.metadata().level();
        assert!(event.metadata().target() == "blockyard" && *level >= Level::DEBUG);
        let mut line = Line(level.to_string());
        event.record(&mut line);
        EVENTS.with_borrow_mut(|events| events.push(line.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn use_memory() {
    let mut bytes = HeapVec::with_capacity_in(10, Logging::new(Limit::new(Global, 100), "bytes"));
    bytes.extend_from_slice(&[7_u8; 10]);
    bytes.reserve_exact(20);
    assert!(bytes.try_reserve_exact(500).is_err());
    bytes.shrink_to_fit();
    assert_eq!(bytes, [7; 10]);
}

#[test]
fn each_call_is_an_event() {
    tracing::subscriber::with_default(Recorder { panics: false }, use_memory);
    assert_eq!(
        EVENTS.take(),
        [
            "TRACE message=allocate name=\"bytes\" block size=10 align=1",
            "TRACE message=resize name=\"bytes\" block size=30 align=1 old_block old_size=10",
            "DEBUG message=resize refused name=\"bytes\" old_block old_size=30 size=510 align=1",
            "TRACE message=resize name=\"bytes\" block size=10 align=1 old_block old_size=30",
            "TRACE message=free name=\"bytes\" block size=10 align=1",
        ]
    );
}

#[test]
fn a_subscriber_that_panics_disturbs_nobody() {
    tracing::subscriber::with_default(Recorder { panics: true }, use_memory);
}

#[test]
fn nobody_needs_to_listen() {
    use_memory();
}
