//! Snapshots as text.

use core::fmt::{self, Display, Formatter};

use super::snapshot::{BlockStats, ClassKind, HeapStats, Stats, ThreadState, ThreadStats};

/// Bytes for people: four significant digits at most.
pub(crate) struct Bytes(pub(crate) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let text = if unit == 0 { format!("{} B", self.0) } else { format!("{value:.1} {}", UNITS[unit]) };
        f.pad(&text)
    }
}

/// The columns that threads and classes share.
struct Columns<'a>(&'a BlockStats);

impl Columns<'_> {
    const HEADER: &'static str = "   allocated        freed         live    returned    received      queued";
}

impl Display for Columns<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let BlockStats { allocated, freed, returned, received, queued } = self.0;
        let live = self.0.live();
        write!(f, "{allocated:>12} {freed:>12} {live:>12} {returned:>11} {received:>11} {queued:>11}")
    }
}

impl Display for Stats {
    /// A paragraph for the process, then each heap, then a table of arenas.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let p = &self.process;
        writeln!(
            f,
            "process: {} in chunks (peak {}), {} mapped (peak {}), {} heap{}",
            Bytes(p.in_chunks as u64),
            Bytes(p.in_chunks_peak as u64),
            Bytes(p.mapped as u64),
            Bytes(p.mapped_peak as u64),
            self.heaps.len(),
            if self.heaps.len() == 1 { "" } else { "s" },
        )?;
        self.heaps.iter().try_for_each(|heap| write!(f, "\n{heap}"))?;
        if !self.arenas.is_empty() {
            writeln!(
                f,
                "\n{:<24} {:>12} {:>12} {:>12} {:>12}",
                "arena", "used", "reserved", "peak", "limit"
            )?;
        }
        self.arenas.iter().try_for_each(|arena| {
            let limit =
                arena.limit.map_or_else(|| String::from("-"), |limit| Bytes(limit as u64).to_string());
            let [used, reserved, peak] = [arena.used, arena.reserved, arena.peak].map(|n| Bytes(n as u64));
            writeln!(f, "{:<24} {used:>12} {reserved:>12} {peak:>12} {limit:>12}", arena.name)
        })
    }
}

impl Display for HeapStats {
    /// Bytes, then a table of threads and a table of classes.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bytes = &self.bytes;
        match (&self.name, self.id) {
            (Some(name), id) => write!(f, "heap {name:?} (#{id})")?,
            (None, 1) => write!(f, "heap of Global (#1)")?,
            (None, id) => write!(f, "heap #{id}")?,
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit {}", Bytes(limit as u64))?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "  bytes: {} requested, {} in blocks, {} in chunks (peak {}), {} mapped (peak {}), {} given back",
            Bytes(bytes.requested),
            Bytes(bytes.in_blocks),
            Bytes(bytes.in_chunks as u64),
            Bytes(bytes.in_chunks_peak as u64),
            Bytes(bytes.mapped as u64),
            Bytes(bytes.mapped_peak as u64),
            Bytes(bytes.purged),
        )?;
        writeln!(f, "  {:<24}{}     in blocks", "thread", Columns::HEADER)?;
        for thread in &self.threads {
            write_thread(f, thread)?;
        }
        writeln!(f, "  {:<24}{} {:>13}", "all", Columns(&self.blocks), Bytes(bytes.in_blocks))?;
        writeln!(f, "  {:<24}{}     in blocks", "class", Columns::HEADER)?;
        for class in &self.classes {
            let kind = match class.kind {
                ClassKind::Sized(bytes) => format!("{bytes} B"),
                ClassKind::Run => String::from("runs of chunks"),
                ClassKind::Mapping => String::from("own mappings"),
            };
            writeln!(f, "  {kind:<24}{} {:>13}", Columns(&class.blocks), Bytes(class.in_blocks))?;
        }
        Ok(())
    }
}

fn write_thread(f: &mut Formatter<'_>, thread: &ThreadStats) -> fmt::Result {
    let state = match thread.state {
        ThreadState::Live => "",
        ThreadState::Orphan => " ended",
        ThreadState::Leased => " leased",
    };
    let name = thread.name.as_deref().unwrap_or("?");
    let who = format!("{name} {}{state}", thread.id);
    writeln!(f, "  {who:<24}{} {:>13}", Columns(&thread.blocks), Bytes(thread.in_blocks))
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn bytes_read_well() {
        let shown = |bytes| Bytes(bytes).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(1023), "1023 B");
        assert_eq!(shown(1536), "1.5 KiB");
        assert_eq!(shown(5 << 30), "5.0 GiB");
    }
}
