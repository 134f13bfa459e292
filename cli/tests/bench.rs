//! `blockyard bench` as a program: what it measures, writes and reads again.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_blockyard")).arg("bench").args(args).output().expect("the program runs")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in Unicode")
}

#[test]
fn a_run_is_written_as_data_and_as_a_page_and_read_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, page) = (dir.path().join("run.json"), dir.path().join("run.html"));
    let output = bench(&[
        "--quick",
        "--rounds",
        "1",
        "--workload",
        "pair-16,latency-larson-n",
        "--allocator",
        "global,glibc",
        "--json",
        path(&data),
        "--html",
        path(&page),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("pair-16") && text.contains("undisturbed"), "{text}");

    let document: Value = serde_json::from_str(&fs::read_to_string(&data).expect("data")).expect("JSON");
    let cell = &document["rows"][0]["cells"][0];
    assert_eq!((&document["schema"], &cell["allocator"]), (&2.into(), &"global".into()));
    assert!(cell["page_faults_per_thousand"].is_number());
    let figures = &document["latency"][0]["cells"][0]["figures"];
    assert!(figures["alloc"]["p999"]["median"].as_f64() <= figures["alloc"]["worst"]["median"].as_f64());
    assert!(figures["alloc"]["calls"]["median"].as_f64().expect("calls") > 1e6);

    // One page, which asks for nothing else.
    let first = fs::read_to_string(&page).expect("a page");
    assert!(first.contains("name=\"viewport\"") && first.contains("prefers-color-scheme: dark"));
    assert_eq!(first.matches("<svg").count(), 4, "{first}");
    for outside in ["<script", "<link", "src=", "@import"] {
        assert!(!first.contains(outside), "{outside} in the page");
    }

    // The same page from the data, and the charts as files.
    let (again, charts) = (dir.path().join("again.html"), dir.path().join("charts"));
    let output = bench(&["--from", path(&data), "--html", path(&again), "--charts", path(&charts)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&again).expect("a page"), first);
    let svg = fs::read_to_string(charts.join("overview.svg")).expect("a chart");
    assert_eq!(roxmltree::Document::parse(&svg).expect("XML").root_element().tag_name().name(), "svg");
    assert!(charts.join("latency-larson-n.svg").is_file());
}

#[test]
fn what_cannot_be_read_is_one_line_and_exit_status_2() {
    let dir = tempfile::tempdir().expect("a folder");
    let nonsense = dir.path().join("nonsense.json");
    fs::write(&nonsense, "{}").expect("a file");
    for args in [
        &["--from", path(&nonsense), "--html", path(&dir.path().join("page.html"))][..],
        &["--from", path(&nonsense)],
        &["--workload", "installed-larsen"],
        &["--workload", "installed-pair-64", "--allocator", "limit"],
    ] {
        let output = bench(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("blockyard: "), "{args:?}");
    }
}
