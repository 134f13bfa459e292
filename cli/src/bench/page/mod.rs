//! The measurements as one page that needs nothing else: charts for each workload, readable on a phone.

mod chart;
mod sections;

use std::fs;
use std::path::Path;

use anyhow::Context;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::sections::{Section, sections};
use super::json::Document;
use super::report::cells::bytes;
use super::select::count;

/// Colours follow the reader's preference; the charts take theirs from the text.
const STYLE: &str = "
:root { color-scheme: light dark; --ground: #fbfaf8; --card: #fff; --ink: #222; --quiet: #666; --edge: #ddd; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16171a; --card: #1f2126; --ink: #e4e4e4; --quiet: #a0a4ab; --edge: #34373e; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 12px; background: var(--ground); color: var(--ink);
       font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .4em 0; } h2 { font-size: 1.2rem; margin: 1.6em 0 .2em; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .2em 0 .8em; color: var(--quiet); overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .3em 1em; padding: .6em 0; border-bottom: 1px solid var(--edge); }
a { color: inherit; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); gap: 12px; align-items: start; }
figure { margin: 0; padding: 10px; background: var(--card); border: 1px solid var(--edge); border-radius: 8px; }
figcaption p { font-size: .85rem; margin: 0 0 .5em; }
svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
code { overflow-wrap: anywhere; }
";

/// In a picture by itself, where no page gives it its ink.
const ALONE: &str = "<style>svg{color:#222}@media(prefers-color-scheme:dark){svg{color:#ddd}}</style>";

/// The whole page.
pub(crate) fn page(document: &Document) -> String {
    let sections = sections(document);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "blockyard bench" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "blockyard bench" }
                (provenance(document))
                nav { @for section in &sections { a href={ "#" (section.id) } { (section.title) } } }
                @for section in &sections { (section_of(section)) }
            }
        }
    };
    markup.into_string()
}

/// From where and what the numbers come.
fn provenance(document: &Document) -> Markup {
    let machine = &document.machine;
    let commit = document.commit.as_deref().unwrap_or("unknown");
    html! {
        p {
            "blockyard " (document.blockyard) ", commit " (commit) ", " (humantime::format_rfc3339_seconds(document.started)) ": "
            code { "blockyard " (document.command.get(1..).unwrap_or_default().join(" ")) }
            br;
            (machine.cpu) ", " (count(machine.cores, "core")) ", " (bytes(machine.memory_bytes)) ", Linux " (machine.kernel)
            "; " (count(document.threads, "thread")) ", " (count(document.rounds, "round"))
            @if document.quick { ", quick" }
            "; load " (format!("{:.1}", machine.load)) " when it began"
            @if !document.left_out.is_empty() { "; left out of this build: " (document.left_out.join(", ")) }
        }
        p { "global, heap and local are blockyard's handles. Only the ratios within a chart mean much." }
    }
}

fn section_of(section: &Section) -> Markup {
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            p { (section.lead) }
            div.charts {
                @for chart in &section.charts {
                    figure {
                        figcaption { h3 { (chart.title) } p { (chart.note) } }
                        (PreEscaped(&chart.svg))
                    }
                }
            }
        }
    }
}

/// The charts that the documentation carries, as files in `folder`; how many there are.
pub(crate) fn write_charts(document: &Document, folder: &Path) -> anyhow::Result<usize> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut written = 0;
    for chart in sections(document).into_iter().flat_map(|section| section.charts) {
        let Some(file) = &chart.file else { continue };
        let path = folder.join(file);
        let head_end = chart.svg.find('>').map_or(0, |place| place + 1);
        let (head, rest) = chart.svg.split_at(head_end);
        fs::write(&path, format!("{head}{ALONE}{rest}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        written += 1;
    }
    Ok(written)
}

/// A number with its thousands as a letter.
fn brief(value: f64) -> String {
    match value {
        1e6.. => format!("{:.0}M", value / 1e6),
        1e4.. => format!("{:.0}k", value / 1e3),
        1e3.. => format!("{:.1}k", value / 1e3),
        10.0.. => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brief_numbers() {
        assert_eq!([2.5, 12.0, 1_500.0, 64_000.0, 1e7].map(brief), ["2.5", "12", "1.5k", "64k", "10M"]);
    }
}
