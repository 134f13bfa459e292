//! Charts as SVG text, narrow enough for a phone, drawn with `plotters`.
//!
//! Ink and grid follow the page: their colours are stand-ins that become `currentColor`.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Width of every chart in pixels: a phone's, with a little room at the sides.
const WIDTH: u32 = 350;
/// Height of a line of text or of a bar with the space around it.
const LINE: i32 = 19;
/// Sizes of text: 12, 11 and 10 pixels, by the unit that `plotters` has.
const FONT: f64 = 14.88;
const SMALL: f64 = 13.64;
const SMALLEST: f64 = 12.4;

const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A contender's colour, in every chart; chosen to be seen on light and on dark ground.
pub(super) fn colour(contender: &str) -> RGBColor {
    match contender {
        "global" | "arena" => RGBColor(226, 74, 51),
        "heap" | "scope" => RGBColor(238, 133, 34),
        "local" | "pool" => RGBColor(214, 160, 20),
        "pool-job" => RGBColor(190, 120, 60),
        "glibc" | "plain-heap" => RGBColor(128, 128, 128),
        "mimalloc" | "bumpalo" => RGBColor(52, 138, 189),
        "snmalloc" | "bump-scope" => RGBColor(70, 160, 90),
        "jemalloc" | "blink-alloc" => RGBColor(152, 100, 200),
        "rpmalloc" | "bumpalo-herd" => RGBColor(0, 158, 160),
        "rusty_alloc" | "thread-bump" => RGBColor(205, 92, 150),
        "rallocator" => RGBColor(120, 110, 60),
        _ => RGBColor(110, 120, 150),
    }
}

/// Draws on a picture of `height` pixels and makes it fit the page it will be in.
fn picture(height: i32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        draw(&area).expect("text takes any drawing");
        area.present().expect("text takes any drawing");
    }
    let svg = svg
        .replace("#010101", "currentColor")
        .replace("#020202", "#88888855")
        .replace(" opacity=\"1\"", "")
        .replace(" font-family=\"sans-serif\"", "")
        // What holds without being said, or is said once for all.
        .replace(" fill=\"currentColor\"", "")
        .replace(" stroke=\"none\"", "")
        .replace(" stroke-width=\"1\"", "")
        .replace(">\n", ">")
        .replace("\n</text>", "</text>");
    let size = format!("width=\"{WIDTH}\" height=\"{height}\"");
    svg.replacen(&size, &format!("{size} fill=\"currentColor\" font-family=\"system-ui, sans-serif\""), 1)
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos, size: f64) -> Drawn {
    let style = ("sans-serif", size).into_font().color(&INK).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))
}

/// A horizontal bar.
pub(super) struct Bar {
    pub(super) label: &'static str,
    pub(super) value: f64,
    /// The value for people.
    pub(super) text: String,
    /// Of no allocator: the scale does not start from it.
    pub(super) is_limit: bool,
}

/// Bars from zero, one below the other. Those far beyond the shortest end in an arrow.
pub(super) fn bars(bars: &[Bar]) -> String {
    const LABEL: i32 = 84;
    /// Of a digit in the font of the values, about.
    const DIGIT: f64 = 7.0;
    const TIMES: f64 = 5.0;

    let values = bars.iter().filter(|bar| !bar.is_limit).map(|bar| bar.value);
    let least = values.fold(f64::INFINITY, f64::min);
    let longest = bars.iter().map(|bar| bar.text.chars().count()).max().unwrap_or(0);
    let for_values = (longest as f64 * DIGIT) as i32 + 14;
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let end = if least > 0.0 { most.min(least * TIMES) } else { most }.max(f64::MIN_POSITIVE);
    let room = f64::from(WIDTH as i32 - LABEL - for_values);
    picture(bars.len() as i32 * LINE + 4, |area| {
        for (index, bar) in bars.iter().enumerate() {
            let top = 2 + index as i32 * LINE;
            let middle = top + LINE / 2;
            let right = LABEL + (room * (bar.value / end).min(1.0)).round() as i32;
            let fill = colour(bar.label).filled();
            text(area, bar.label, (LABEL - 6, middle), HPos::Right, FONT)?;
            area.draw(&Rectangle::new([(LABEL, top + 3), (right.max(LABEL + 1), top + LINE - 3)], fill))?;
            if bar.value > end {
                area.draw(&Polygon::new(
                    vec![(right, top + 1), (right + 7, middle), (right, top + LINE - 1)],
                    fill,
                ))?;
            }
            text(area, &bar.text, (WIDTH as i32 - 2, middle), HPos::Right, FONT)?;
        }
        Ok(())
    })
}

/// A line of [`dots`].
pub(super) struct Marks {
    pub(super) label: String,
    /// What each is, for its colour, and where it lies.
    pub(super) marks: Vec<(&'static str, f64)>,
}

/// The axis of [`dots`], logarithmic.
pub(super) struct LogAxis {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) ticks: Vec<(f64, String)>,
    /// Where a heavier line stands.
    pub(super) line: Option<f64>,
}

/// Lines of marks on one axis; what lies beyond it is at its edge, hollow. A legend says whose colour is whose.
pub(super) fn dots(rows: &[Marks], axis: &LogAxis) -> String {
    const LABEL: i32 = 118;
    const RIGHT: i32 = 12;

    let mut names: Vec<&'static str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.marks) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let legend = legend_height(&names);
    let bottom = (rows.len() as i32 + 1) * LINE;
    let span = (axis.to / axis.from).ln();
    let room = f64::from(WIDTH as i32 - LABEL - RIGHT);
    let place =
        |value: f64| LABEL + (room * ((value / axis.from).ln() / span).clamp(0.0, 1.0)).round() as i32;
    picture(bottom + 4 + legend, |area| {
        for (tick, label) in &axis.ticks {
            let x = place(*tick);
            let style = if axis.line == Some(*tick) { INK.stroke_width(1) } else { GRID.stroke_width(1) };
            area.draw(&PathElement::new(vec![(x, LINE), (x, bottom)], style))?;
            text(area, label, (x, LINE / 2), HPos::Center, SMALLEST)?;
        }
        for (index, row) in rows.iter().enumerate() {
            let middle = (index as i32 + 1) * LINE + LINE / 2;
            text(area, &row.label, (LABEL - 8, middle), HPos::Right, SMALL)?;
            area.draw(&PathElement::new(
                vec![(LABEL, middle), (WIDTH as i32 - RIGHT, middle)],
                GRID.stroke_width(1),
            ))?;
            // The first of a row lies on top.
            for (name, value) in row.marks.iter().rev() {
                let inside = (axis.from..=axis.to).contains(value);
                let style = if inside { colour(name).filled() } else { colour(name).stroke_width(2) };
                area.draw(&Circle::new((place(*value), middle), 4, style))?;
            }
        }
        draw_legend(area, &names, bottom + 4)
    })
}

/// One contender's line.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Which of the ticks below, and how high.
    pub(super) points: Vec<(usize, f64)>,
}

/// Lines over a row of ticks, with a logarithmic height.
pub(super) fn lines(lines: &[Line], ticks: &[String], unit: &str) -> String {
    const HEIGHT: i32 = 210;

    let names: Vec<&'static str> = lines.iter().map(|line| line.name).collect();
    let values = || lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if most <= 0.0 {
        return String::new();
    }
    let legend = legend_height(&names);
    picture(HEIGHT + legend, |area| {
        let (above, below) = area.split_vertically(HEIGHT);
        let last = ticks.len().saturating_sub(1) as f64;
        let mut chart = ChartBuilder::on(&above)
            .margin(6)
            .margin_right(12)
            .x_label_area_size(20)
            .y_label_area_size(42)
            .build_cartesian_2d(0.0..last, (least * 0.8..most * 1.25).log_scale().base(2.0))?;
        let tick = |place: &f64| {
            let whole = place.fract() == 0.0;
            ticks.get(*place as usize).filter(|_| whole).cloned().unwrap_or_default()
        };
        chart
            .configure_mesh()
            .x_labels(ticks.len())
            .y_labels(6)
            .x_label_formatter(&tick)
            .y_label_formatter(&|value| super::brief(*value))
            .label_style(("sans-serif", SMALLEST).into_font().color(&INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        text(area, unit, (50, 12), HPos::Left, SMALLEST)?;
        // The first of the list lies on top.
        for line in lines.iter().rev() {
            let points = line.points.iter().map(|&(place, value)| (place as f64, value));
            chart.draw_series(LineSeries::new(points, colour(line.name).stroke_width(2)))?;
        }
        draw_legend(&below, &names, 0)
    })
}

const LEGEND_COLUMNS: i32 = 3;

fn legend_height(names: &[&str]) -> i32 {
    (names.len() as i32 + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS * LINE + 4
}

fn draw_legend(area: &Area<'_>, names: &[&str], top: i32) -> Drawn {
    let column = WIDTH as i32 / LEGEND_COLUMNS;
    for (index, name) in names.iter().enumerate() {
        let (x, y) = (
            index as i32 % LEGEND_COLUMNS * column + 12,
            top + index as i32 / LEGEND_COLUMNS * LINE + LINE / 2,
        );
        area.draw(&Circle::new((x, y), 4, colour(name).filled()))?;
        text(area, name, (x + 10, y), HPos::Left, SMALL)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chart_is_a_picture() {
        let bar = |value| Bar { label: "global", value, text: format!("{value} & <more>"), is_limit: false };
        let marks = Marks { label: "row".to_owned(), marks: vec![("global", 0.1), ("heap", 2.0)] };
        let axis = LogAxis { from: 0.5, to: 4.0, ticks: vec![(1.0, "1".to_owned())], line: Some(1.0) };
        let line = Line { name: "jemalloc", points: vec![(0, 3.0), (1, 300.0)] };
        for svg in [
            bars(&[bar(1.0), bar(100.0), bar(0.0)]),
            dots(&[marks], &axis),
            lines(&[line], &["1".to_owned(), "2".to_owned()], "ns"),
        ] {
            let picture = roxmltree::Document::parse(&svg).expect("well-formed XML");
            assert_eq!(picture.root_element().tag_name().name(), "svg");
            assert!(svg.contains("currentColor") && !svg.contains("#010101"), "{svg}");
        }
        assert_eq!(lines(&[], &[], "ns"), "");
    }
}
