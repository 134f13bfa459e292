//! Snapshots as OpenMetrics text, written by the `prometheus-client` crate.

use core::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text::encode};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::snapshot::{BlockStats, ClassKind, HeapStats, NamedArenaStats, Stats, ThreadState};

impl Stats {
    /// This snapshot in the [OpenMetrics] text format: what a Prometheus server scrapes.
    ///
    /// [OpenMetrics]: https://prometheus.io/docs/specs/om/open_metrics_spec/
    ///
    /// # Errors
    ///
    /// Whatever the writer reports; writing to a `String` does not fail.
    ///
    /// # Examples
    ///
    /// ```
    /// let heap = blockyard::Heap::builder().name("scene").build()?;
    /// let mut text = String::new();
    /// blockyard::stats().write_openmetrics(&mut text)?;
    /// assert!(text.contains("blockyard_mapped_bytes{heap=\"scene\",id=\"2\"}"));
    /// assert!(text.ends_with("# EOF\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_openmetrics(&self, writer: &mut impl fmt::Write) -> fmt::Result {
        let mut registry = Registry::with_prefix("blockyard");
        registry.register_collector(Box::new(Snapshot(self.clone())));
        encode(writer, &registry)
    }
}

#[derive(Debug)]
struct Snapshot(Stats);

type Labels = Vec<(&'static str, String)>;

fn heap_labels(heap: &HeapStats) -> Labels {
    let name = heap.name.clone().unwrap_or_else(|| String::from(if heap.id == 1 { "Global" } else { "" }));
    vec![("heap", name), ("id", heap.id.to_string())]
}

/// A way to read a counter of blocks.
type Field = (&'static str, &'static str, fn(&BlockStats) -> u64);

const FIELDS: [Field; 4] = [
    ("allocated", "Blocks handed out", |blocks| blocks.allocated),
    ("freed", "Blocks freed by any thread", |blocks| blocks.freed),
    ("returned", "Blocks of other threads sent home", |blocks| blocks.returned),
    ("received", "Blocks that came home", |blocks| blocks.received),
];

/// A way to read a number of bytes of an arena.
type ArenaField = (&'static str, &'static str, fn(&NamedArenaStats) -> usize);

const ARENA_FIELDS: [ArenaField; 3] = [
    ("arena_used", "Given out by the arena", |arena| arena.used),
    ("arena_reserved", "Taken by the arena from its child", |arena| arena.reserved),
    ("arena_peak", "The most given out by the arena", |arena| arena.peak),
];

impl Snapshot {
    /// One metric with a value for every heap.
    fn heaps<M: EncodeMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, unit): (&str, &str, Option<&Unit>),
        value: impl Fn(&HeapStats) -> M,
    ) -> fmt::Result {
        let rows = self.0.heaps.iter().map(|heap| (heap_labels(heap), value(heap)));
        family(encoder, (name, help, unit), rows)
    }
}

fn family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    rows: impl Iterator<Item = (Labels, M)>,
) -> fmt::Result {
    let mut rows = rows.peekable();
    let Some((_, first)) = rows.peek() else {
        return Ok(());
    };
    let mut family = encoder.encode_descriptor(name, help, unit, first.metric_type())?;
    rows.try_for_each(|(labels, value)| value.encode(family.encode_family(&labels)?))
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let bytes = Some(&Unit::Bytes);
        let gauge = |value: usize| ConstGauge::new(value as i64);
        self.heaps(encoder, ("requested", "Of the callers' layouts", bytes), |heap| {
            ConstGauge::new(heap.bytes.requested as i64)
        })?;
        self.heaps(encoder, ("in_blocks", "Live blocks", bytes), |heap| {
            ConstGauge::new(heap.bytes.in_blocks as i64)
        })?;
        self.heaps(encoder, ("in_chunks", "Chunks and big blocks in use", bytes), |heap| {
            gauge(heap.bytes.in_chunks)
        })?;
        self.heaps(encoder, ("in_chunks_peak", "The most in use at once", bytes), |heap| {
            gauge(heap.bytes.in_chunks_peak)
        })?;
        self.heaps(encoder, ("mapped", "Address space reserved", bytes), |heap| gauge(heap.bytes.mapped))?;
        self.heaps(encoder, ("mapped_peak", "The most reserved at once", bytes), |heap| {
            gauge(heap.bytes.mapped_peak)
        })?;
        self.heaps(encoder, ("purged", "Given back to the source", bytes), |heap| {
            ConstCounter::new(heap.bytes.purged)
        })?;
        for (name, help, value) in ARENA_FIELDS {
            // Arenas of a pool share their name.
            let rows = self.0.arenas.iter().enumerate().map(|(number, arena)| {
                let labels = vec![("arena", arena.name.clone()), ("number", number.to_string())];
                (labels, gauge(value(arena)))
            });
            family(encoder, (name, help, bytes), rows)?;
        }
        for (name, help, field) in FIELDS {
            let rows = self.0.heaps.iter().flat_map(|heap| {
                heap.threads.iter().map(move |thread| {
                    let mut labels = heap_labels(heap);
                    labels.push(("thread", thread.id.to_string()));
                    labels.push(("name", thread.name.clone().unwrap_or_default()));
                    let state = match thread.state {
                        ThreadState::Live => "live",
                        ThreadState::Orphan => "orphan",
                        ThreadState::Leased => "leased",
                    };
                    labels.push(("state", String::from(state)));
                    (labels, ConstCounter::new(field(&thread.blocks)))
                })
            });
            family(encoder, (&format!("thread_blocks_{name}"), help, None), rows)?;
            let rows = self.0.heaps.iter().flat_map(|heap| {
                heap.classes.iter().map(move |class| {
                    let mut labels = heap_labels(heap);
                    let kind = match class.kind {
                        ClassKind::Sized(bytes) => bytes.to_string(),
                        ClassKind::Run => String::from("run"),
                        ClassKind::Mapping => String::from("mapping"),
                    };
                    labels.push(("class", kind));
                    (labels, ConstCounter::new(field(&class.blocks)))
                })
            });
            family(encoder, (&format!("class_blocks_{name}"), help, None), rows)?;
        }
        Ok(())
    }
}
