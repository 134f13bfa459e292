//! `blockyard index`, run as users run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn blockyard(args: &[&str], dir: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blockyard"));
    command.args(args).args(dir);
    command.output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    assert!(errors.is_empty(), "nothing but bars on a terminal: {errors}");
    text
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("one JSON document")
}

/// Exit status 2, nothing on standard output, and this one line on standard error.
fn error_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// Three files that are indexed, and one each that is binary, not UTF-8 and a link.
fn sample() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    let files: [(&str, &[u8]); 5] = [
        ("src/heap.rs", b"// safe\nunsafe fn alloc() {}\n  unsafe { alloc() }\n"),
        ("src/main.rs", b"fn main() { thread::spawn(alloc); }\n"),
        (".hidden", b"unsafe\n"),
        ("binary", b"\x7fELF\0\0unsafe"),
        ("latin1.txt", b"caf\xe9 unsafe"),
    ];
    for (name, contents) in files {
        fs::write(dir.path().join(name), contents).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
    dir
}

#[test]
fn a_missing_directory_is_one_line_and_exit_status_2() {
    let line = error_line(&blockyard(&["index", "/does/not/exist"], None));
    assert!(line.contains("/does/not/exist"), "{line}");
    assert!(line.contains("No such file or directory"), "{line}");
}

#[test]
fn a_file_instead_of_a_directory_is_one_line_and_exit_status_2() {
    let dir = sample();
    let line = error_line(&blockyard(&["index"], Some(&dir.path().join("latin1.txt"))));
    assert!(line.contains("not a directory"), "{line}");
}

#[test]
fn the_default_is_what_cargo_has_downloaded() {
    let home = tempfile::tempdir().unwrap();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_blockyard"))
            .args(["--no-compare", "--json"])
            .env("CARGO_HOME", home.path())
            .output()
            .unwrap()
    };
    let line = error_line(&run());
    assert!(line.contains("no crates"), "{line}");
    let krate = home.path().join("registry/src/index/krate-1.0.0");
    fs::create_dir_all(&krate).unwrap();
    fs::write(krate.join("lib.rs"), "pub fn f() {}").unwrap();
    assert_eq!(json(&run())["files"], 1);
}

#[test]
fn a_small_directory_is_indexed_and_queried() {
    let dir = sample();
    let args = ["index", "--no-compare", "--threads", "2"];
    let text = stdout(&blockyard(&args, Some(dir.path())));
    for words in [
        "1 binary",
        "1 not UTF-8",
        "unsafe: 3 times in 2 files",
        "thread: 1 time in 1 file\n",
        "unsafe AND alloc: 4 times in 1 file\n",
        "src/heap.rs:2 (unsafe), 2 (alloc)",
        "| unsafe fn alloc() {}",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    // The same without the subcommand.
    let short = stdout(&blockyard(&["--no-compare"], Some(dir.path())));
    assert!(short.contains("unsafe AND alloc: 4 times in 1 file\n"));
}

#[test]
fn every_allocator_does_the_same_job() {
    let dir = sample();
    let args = ["index", "--json", "--rounds", "2", "--threads", "2", "--query", "fn"];
    let report = json(&blockyard(&args, Some(dir.path())));
    assert_eq!(report["files"], 3);
    let skipped = &report["skipped"];
    assert_eq!((&skipped["binary"], &skipped["not_utf8"]), (&1.into(), &1.into()));
    #[cfg(unix)]
    assert_eq!(skipped["not_regular"], 1);
    let query = &report["queries"][0];
    assert_eq!((&query["occurrences"], &query["files"]), (&2.into(), &2.into()));
    assert_eq!(query["best"][0]["places"][0]["line"], 2);

    let comparison = &report["comparison"];
    assert_eq!(comparison["same_index"], true);
    assert_eq!(comparison["failures"].as_array().unwrap().len(), 0);
    let standings = comparison["standings"].as_array().unwrap();
    assert_eq!(standings.len(), 3 + usize::from(cfg!(feature = "peer-mimalloc")));
    assert_eq!((&standings[0]["contender"], &standings[0]["ratio"]), (&"blockyard".into(), &1.0.into()));
    for standing in standings {
        assert!(standing["total"].as_f64().unwrap() > 0.0);
        if cfg!(target_os = "linux") {
            assert!(standing["memory"]["peak"].as_u64().unwrap() > 0);
        }
    }
}

#[test]
fn an_empty_directory_has_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["index", "--rounds", "1", "--threads", "3"];
    let text = stdout(&blockyard(&args, Some(dir.path())));
    assert!(text.contains("0  indexed: 0 B of text"), "{text}");
    assert!(text.contains("unsafe: in no file"), "{text}");
}

#[test]
fn a_query_without_a_word_is_refused() {
    let output = blockyard(&["index", "--query", "+"], None);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no word"));
}

#[test]
fn a_map_shows_every_chunk() {
    let dir = sample();
    let map = dir.path().join("map.svg");
    let args = ["index", "--no-compare", "--json", "--threads", "2", "--map", map.to_str().unwrap()];
    let report = json(&blockyard(&args, Some(&dir.path().join("src"))));
    let text = fs::read_to_string(&map).unwrap();
    let picture = roxmltree::Document::parse(&text).expect("well-formed XML");
    assert_eq!(picture.root_element().tag_name().name(), "svg");
    let titles: Vec<&str> = picture
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")))
        .filter_map(|node| node.text())
        .collect();
    assert!(
        titles.iter().any(|title| title.starts_with("blocks of ") && title.contains("build-")),
        "{titles:?}"
    );
    // 64 chunks to a segment: a mapping more or less.
    let mapped = report["stats"]["bytes"]["mapped"].as_u64().unwrap();
    let cells = picture.descendants().filter(|node| node.tag_name().name() == "rect").count();
    assert!(titles.len() <= cells && cells >= 8 && mapped > 0, "{cells} cells, {mapped} bytes");
    assert!(text.contains("Heap &quot;index&quot;") || text.contains("Heap \"index\""), "{text:.600}");
}

#[test]
fn a_map_that_cannot_be_written_is_one_line_and_exit_status_2() {
    let dir = sample();
    let nowhere = dir.path().join("no/such/folder/map.svg");
    let line = error_line(&blockyard(
        &["index", "--no-compare", "--map", nowhere.to_str().unwrap()],
        Some(dir.path()),
    ));
    assert!(line.contains("cannot write the map to") && line.contains("map.svg"), "{line}");
    let full = Path::new("/dev/full");
    if full.exists() {
        let line = error_line(&blockyard(&["index", "--no-compare", "--map", "/dev/full"], Some(dir.path())));
        assert!(line.contains("No space left"), "{line}");
    }
}
