//! The table of docs/unsafe.md and the source say the same: how many `unsafe` blocks, `impl`s and functions a file has,
//! which invariants its comments name, and that the tests exist that would find a breach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// `unsafe` blocks, `impl`s, and functions and traits.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Counts([usize; 3]);

impl Counts {
    fn add(&mut self, tokens: TokenStream) {
        let mut after_unsafe = false;
        for token in tokens {
            let name = token.to_string();
            if let (true, Some(kind)) = (after_unsafe, kind_of(&token, &name)) {
                self.0[kind] += 1;
            }
            // `unsafe extern "C" fn` is a function.
            let between = name == "extern" || matches!(token, TokenTree::Literal(_));
            after_unsafe = name == "unsafe" || after_unsafe && between;
            if let TokenTree::Group(group) = token {
                self.add(group.stream());
            }
        }
    }
}

fn kind_of(token: &TokenTree, name: &str) -> Option<usize> {
    match (token, name) {
        (TokenTree::Group(_), _) => Some(0),
        (_, "impl") => Some(1),
        (_, "fn" | "trait") => Some(2),
        _ => None,
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut folders, mut found) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// Labels of invariants in brackets, `(I7)`.
fn labels(text: &str) -> BTreeSet<&str> {
    let is_label = |&(at, _): &(usize, &str)| {
        let bytes = &text.as_bytes()[at + 1..];
        bytes.len() > 2 && bytes[0].is_ascii_uppercase() && bytes[1].is_ascii_digit() && bytes[2] == b')'
    };
    text.match_indices('(').filter(is_label).map(|(at, _)| &text[at + 1..at + 3]).collect()
}

struct Row {
    counts: [usize; 3],
    labels: BTreeSet<String>,
    tests: Vec<String>,
}

/// Rows by what they are about: a file, or a folder with `/` behind it.
fn table() -> BTreeMap<String, Row> {
    let document = fs::read_to_string(root().join("docs/unsafe.md")).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `src/"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [file, blocks, impls, functions, labels, _, tests] = cells[..] else { panic!("{line}") };
        let counts = [blocks, impls, functions].map(|count| count.parse().unwrap());
        let labels = labels.split_whitespace().map(String::from).collect();
        let tests = tests.split('`').skip(1).step_by(2).map(String::from).collect();
        (file.trim_matches('`').to_string(), Row { counts, labels, tests })
    })
    .collect()
}

#[test]
fn the_table_is_that_of_the_source() {
    let table = table();
    let mut wanted: BTreeMap<String, (Counts, BTreeSet<String>)> = BTreeMap::new();
    for (file, source) in sources("src") {
        let mut counts = Counts::default();
        counts.add(source.parse().unwrap_or_else(|error| panic!("{file}: {error}")));
        let row =
            table.keys().find(|row| row.ends_with('/') && file.starts_with(row.as_str())).unwrap_or(&file);
        if counts != Counts::default() || row != &file {
            let (sum, names) = wanted.entry(row.clone()).or_default();
            sum.0.iter_mut().zip(counts.0).for_each(|(sum, count)| *sum += count);
            names.extend(labels(&source).into_iter().map(String::from));
        }
    }
    let mut differences = Vec::new();
    for (row, (counts, names)) in &wanted {
        let there = table.get(row);
        if there.is_none_or(|there| there.counts != counts.0 || &there.labels != names) {
            let names = names.iter().cloned().collect::<Vec<_>>().join(" ");
            let [blocks, impls, functions] = counts.0;
            differences.push(format!("| `{row}` | {blocks} | {impls} | {functions} | {names} | ..."));
        }
    }
    differences.extend(
        table.keys().filter(|row| !wanted.contains_key(*row)).map(|row| format!("no row for `{row}`")),
    );
    assert!(differences.is_empty(), "docs/unsafe.md should say, and why:\n{}", differences.join("\n"));
}

#[test]
fn every_invariant_that_is_named_is_explained() {
    let explained = sources("src").into_iter().map(|(_, source)| source);
    let design = fs::read_to_string(root().join("docs/design.md")).unwrap();
    let all: String = explained.chain([design]).collect();
    for name in table().values().flat_map(|row| &row.labels) {
        // A row of a table, or the documentation of a type or field; not "# Safety", nor a comment at a block.
        let (row, mention) = (format!("| {name} |"), format!("({name}) "));
        let explains = |line: &str| {
            line.contains(&row) || line.trim_start().starts_with("///") && line.contains(&mention)
        };
        assert!(all.lines().any(explains), "{name} is explained nowhere");
    }
}

#[test]
fn the_tests_that_are_named_exist() {
    let all: Vec<(String, String)> = ["src", "tests"].into_iter().flat_map(sources).collect();
    for (row, name) in table().iter().flat_map(|(row, there)| there.tests.iter().map(move |name| (row, name)))
    {
        let (modules, test) = name.rsplit_once("::").unwrap_or(("", name));
        let within = modules.replace("::", "/");
        let is_there = |(file, source): &(String, String)| {
            file.contains(&within) && source.contains(&format!("fn {test}("))
                || file.ends_with(&format!("{}.rs", name.replace("::", "/")))
                || file.ends_with(&format!("{}/mod.rs", name.replace("::", "/")))
        };
        assert!(all.iter().any(is_there) || root().join(name).exists(), "{row}: there is no {name}");
    }
}
