//! The heap as a picture: a cell for each chunk, coloured by owner and by how full it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use blockyard::{ChunkRole, ChunkView, ClassKind, HeapStats};
use svg::node::element::{Group, Rectangle, Text, Title};
use svg::{Document, Node};

use super::report::Report;
use super::units::{bytes, count, counted, counted_as};

/// Bytes of a chunk: one cell.
const CELL_BYTES: usize = 64 << 10;
/// Cells in a row of a segment, whose 64 chunks make a square.
const CELLS: usize = 8;
/// From one cell to the next, in pixels, and what of it is left white.
const PITCH: usize = 10;
const GAP: usize = 1;
/// From one segment to the next, in pixels.
const SEGMENT_PITCH: usize = CELLS * PITCH + 8;
/// Segments in a row: a picture as wide as a page.
const SEGMENTS: usize = 11;
const MARGIN: usize = 16;
const WIDTH: usize = 2 * MARGIN + SEGMENTS * SEGMENT_PITCH;
/// Height of a line of text, in pixels.
const LINE: usize = 18;

/// A file to draw into.
pub(super) struct Map {
    path: PathBuf,
    file: File,
}

/// Makes the file.
///
/// # Errors
///
/// When it cannot be written.
pub(super) fn create(path: &Path) -> anyhow::Result<Map> {
    let file = File::create(path).with_context(|| failed(path))?;
    Ok(Map { path: path.to_owned(), file })
}

fn failed(path: &Path) -> String {
    format!("cannot write the map to {}", path.display())
}

impl Map {
    /// Draws the report's heap.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn write(self, report: &Report) -> anyhow::Result<()> {
        let picture = draw(&report.stats, &report.chunks);
        let mut file = io::BufWriter::new(self.file);
        let written = svg::write(&mut file, &picture).and_then(|()| file.flush());
        written.with_context(|| failed(&self.path))
    }
}

/// A picture with a title, the legend, the segments, and the mappings below them.
fn draw(stats: &HeapStats, chunks: &[ChunkView]) -> Document {
    let mut page = Page { group: Group::new(), y: MARGIN };
    page.heading(stats, chunks);
    page.legend(stats, chunks);

    let is_mapping = |chunk: &&ChunkView| chunk.kind == Some(ClassKind::Mapping);
    let mut segments: BTreeMap<usize, Vec<&ChunkView>> = BTreeMap::new();
    for chunk in chunks.iter().filter(|chunk| !is_mapping(chunk)) {
        segments.entry(chunk.segment).or_default().push(chunk);
    }
    page.text(
        0,
        "bold",
        &format!(
            "{}, by address",
            counted_as(
                segments.len() as u64,
                "segment of 64 chunks of 64 KiB",
                "segments of 64 chunks of 64 KiB"
            )
        ),
    );
    for (place, (&start, chunks)) in segments.iter().enumerate() {
        let (column, row) = (place % SEGMENTS, place / SEGMENTS);
        let (x, y) = (MARGIN + column * SEGMENT_PITCH, page.y + row * SEGMENT_PITCH);
        for chunk in chunks {
            page.put(chunk_cells(stats, chunk, (chunk.address - start) / CELL_BYTES, x, y));
        }
    }
    page.y += segments.len().div_ceil(SEGMENTS) * SEGMENT_PITCH + LINE;
    let mappings: Vec<&ChunkView> = chunks.iter().filter(is_mapping).collect();
    page.mappings(stats, &mappings);

    let height = page.y + MARGIN;
    Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("font-family", "sans-serif")
        .set("font-size", 12)
        .add(Rectangle::new().set("width", WIDTH).set("height", height).set("fill", "#ffffff"))
        .add(page.group)
}

/// What is drawn so far, and down to where.
struct Page {
    group: Group,
    y: usize,
}

impl Page {
    fn put(&mut self, node: impl Into<Box<dyn Node>>) {
        self.group.append(node);
    }

    /// A line of text.
    fn text(&mut self, x: usize, weight: &str, text: &str) {
        let line = Text::new(text).set("x", MARGIN + x).set("y", self.y + 12).set("font-weight", weight);
        self.put(line);
        self.y += LINE;
    }

    fn heading(&mut self, stats: &HeapStats, chunks: &[ChunkView]) {
        let name = stats.name.as_deref().unwrap_or("without a name");
        self.text(0, "bold", &format!("Heap \"{name}\" after other threads dropped half of it"));
        let in_use = chunks.iter().filter(|chunk| chunk.role == ChunkRole::Blocks).count();
        self.text(
            0,
            "normal",
            &format!(
                "{}: {} in {} of {}; {} mapped",
                counted(stats.blocks.live(), "live block"),
                bytes(stats.bytes.in_blocks),
                counted(in_use as u64, "chunk"),
                bytes(stats.bytes.in_chunks as u64),
                bytes(stats.bytes.mapped as u64),
            ),
        );
        self.y += LINE / 2;
    }

    /// A line for each owner of a chunk, then what the other cells are.
    fn legend(&mut self, stats: &HeapStats, chunks: &[ChunkView]) {
        let steps = [0.0, 0.25, 0.5, 0.75, 1.0];
        for owner in 0..stats.threads.len() {
            let own = || chunks.iter().filter(|chunk| chunk.owner == Some(owner));
            let size: usize = own().map(|chunk| chunk.size).sum();
            if size == 0 {
                continue;
            }
            for (place, full) in steps.into_iter().enumerate() {
                self.put(cell(MARGIN + place * PITCH, self.y + 2, 1, &colour(owner, full)));
            }
            let thread = &stats.threads[owner];
            let text = format!(
                "{}: {} in {}, {} of {} in blocks",
                thread_name(stats, owner),
                counted(thread.blocks.live(), "live block"),
                counted(own().count() as u64, "chunk"),
                bytes(thread.in_blocks),
                bytes(size as u64),
            );
            self.text(steps.len() * PITCH + 8, "normal", &text);
        }
        self.text(
            0,
            "normal",
            "Pale cells are nearly empty, dark ones full. Point at a cell for its numbers. Also:",
        );
        let mut x = 0;
        let roles = [
            (ChunkRole::Kept, "empty, kept by a thread"),
            (ChunkRole::Free, "free"),
            (ChunkRole::Records, "records"),
        ];
        for (role, what) in roles {
            let number = chunks.iter().filter(|chunk| chunk.role == role).count();
            self.put(cell(MARGIN + x, self.y + 2, 1, plain(role)));
            let text = format!("{what}: {}", count(number as u64));
            self.put(Text::new(text.as_str()).set("x", MARGIN + x + PITCH + 6).set("y", self.y + 12));
            x += 240;
        }
        self.y += 2 * LINE;
    }

    /// Mappings as bars, as long as their size says; the longest fill the line.
    fn mappings(&mut self, stats: &HeapStats, mappings: &[&ChunkView]) {
        if mappings.is_empty() {
            return;
        }
        self.text(
            0,
            "bold",
            &format!("{} of one block each, a cell for 1 MiB", counted(mappings.len() as u64, "mapping")),
        );
        let room = SEGMENTS * SEGMENT_PITCH / PITCH;
        let mut column = 0;
        for chunk in mappings {
            // A cell for every MiB: they are too few to need the room of 16.
            let cells = (chunk.size / (1 << 20)).clamp(1, room);
            if column + cells > room {
                column = 0;
                self.y += PITCH;
            }
            self.put(
                cell(MARGIN + column * PITCH, self.y, cells, &fill(chunk))
                    .add(Title::new(describe(stats, chunk))),
            );
            column += cells;
        }
        self.y += LINE;
    }
}

/// The cells of a chunk, or of a run of chunks: a rectangle for each row of the segment that it is in.
fn chunk_cells(stats: &HeapStats, chunk: &ChunkView, first: usize, x: usize, y: usize) -> Group {
    let mut group = Group::new().add(Title::new(describe(stats, chunk)));
    let end = first + chunk.size / CELL_BYTES;
    let mut place = first;
    while place < end {
        let cells = (CELLS - place % CELLS).min(end - place);
        let (column, row) = (place % CELLS, place / CELLS);
        group = group.add(cell(x + column * PITCH, y + row * PITCH, cells, &fill(chunk)));
        place += cells;
    }
    group
}

fn cell(x: usize, y: usize, cells: usize, fill: &str) -> Rectangle {
    Rectangle::new()
        .set("x", x)
        .set("y", y)
        .set("width", cells * PITCH - GAP)
        .set("height", PITCH - GAP)
        .set("fill", fill)
}

fn fill(chunk: &ChunkView) -> String {
    match (chunk.role, chunk.owner) {
        (ChunkRole::Blocks, Some(owner)) => colour(owner, chunk.used as f64 / chunk.capacity.max(1) as f64),
        (role, _) => plain(role).to_owned(),
    }
}

/// The colour of what holds no blocks.
fn plain(role: ChunkRole) -> &'static str {
    match role {
        ChunkRole::Kept => "#bdbdbd",
        ChunkRole::Records => "#424242",
        _ => "#eeeeee",
    }
}

/// An owner's hue, the darker the fuller.
fn colour(owner: usize, full: f64) -> String {
    // The golden angle: owners that follow each other are far apart, however many there are.
    let hue = (210.0 + owner as f64 * 137.508) % 360.0;
    let (saturation, lightness) = (0.65, 0.88 - 0.54 * full.clamp(0.0, 1.0));
    let amount = saturation * f64::min(lightness, 1.0 - lightness);
    let part = |n: f64| {
        let k = (n + hue / 30.0) % 12.0;
        let value = lightness - amount * f64::clamp(f64::min(k - 3.0, 9.0 - k), -1.0, 1.0);
        (value * 255.0).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", part(0.0), part(8.0), part(4.0))
}

fn thread_name(stats: &HeapStats, owner: usize) -> String {
    match stats.threads.get(owner) {
        Some(thread) => format!("{} {}", thread.name.as_deref().unwrap_or("thread"), thread.id),
        None => "a new thread".to_owned(),
    }
}

/// What a reader of the picture is told of a chunk.
fn describe(stats: &HeapStats, chunk: &ChunkView) -> String {
    let what = match (chunk.role, chunk.kind) {
        (ChunkRole::Blocks, Some(ClassKind::Sized(size))) => {
            format!(
                "blocks of {size} bytes, {} of {} in use",
                count(chunk.used as u64),
                count(chunk.capacity as u64)
            )
        }
        (ChunkRole::Blocks, _) => format!("one block of {}", bytes(chunk.block_size as u64)),
        (ChunkRole::Kept, _) => "empty, kept".to_owned(),
        (ChunkRole::Records, _) => "the heap's records".to_owned(),
        _ => "free".to_owned(),
    };
    let owner = chunk.owner.map_or(String::new(), |owner| format!("\n{}", thread_name(stats, owner)));
    format!("{what}{owner}\n{} at {:#x}", bytes(chunk.size as u64), chunk.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_tell_owners_and_occupancy_apart() {
        let all: Vec<String> = (0..12).flat_map(|owner| [colour(owner, 0.0), colour(owner, 1.0)]).collect();
        for (n, one) in all.iter().enumerate() {
            assert!(one.len() == 7 && !all[..n].contains(one), "{one}");
        }
        assert_eq!(colour(3, 7.0), colour(3, 1.0));
    }
}
