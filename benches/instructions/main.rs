//! Instructions that the fast paths take, counted by callgrind and held against `golden.txt`.
//!
//! Times move with the machine and its neighbours; these do not. A path is run in a child process under
//! valgrind for two numbers of blocks, and the difference is what one block costs: loop, array of pointers and
//! the slow path's share included.

mod paths;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

use self::paths::PATHS;

/// Blocks in the shorter run; the longer one has twice as many.
const BLOCKS: usize = 20_000;
/// How much a count may differ from the golden one: compilers differ a little, and the program is meant to
/// build with more than one.
const TOLERANCE: f64 = 0.1;
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/golden.txt");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child", path, blocks] => {
            let (_, run) = PATHS.iter().find(|(name, _)| *name == path).expect("a path of the table");
            run(blocks.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        // `cargo bench -- --test`: each path once, uncounted.
        [.., "--test"] | ["--test", ..] => {
            PATHS.iter().for_each(|(_, run)| run(BLOCKS));
            ExitCode::SUCCESS
        }
        ["--bless", ..] => report(true),
        _ => report(false),
    }
}

fn report(bless: bool) -> ExitCode {
    let counts = match count_all() {
        Ok(counts) => counts,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if bless {
        let lines: String = counts.iter().map(|(path, count)| format!("{path} {count:.1}\n")).collect();
        std::fs::write(GOLDEN, lines).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("the golden file can be read");
    let golden: BTreeMap<&str, f64> = golden
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(path, count)| (path, count.parse().expect("a number in the golden file")))
        .collect();
    println!("instructions per block   now  golden");
    let mut worse = false;
    for (path, count) in counts {
        let expected = golden.get(path).copied().unwrap_or(0.0);
        let verdict = match count / expected {
            ratio if ratio > 1.0 + TOLERANCE => "MORE",
            ratio if ratio < 1.0 - TOLERANCE => {
                "less: `cargo bench --bench instructions -- --bless` keeps it"
            }
            _ => "",
        };
        worse |= verdict == "MORE";
        println!("{path:20} {count:8.1} {expected:7.1}  {verdict}");
    }
    ExitCode::from(u8::from(worse))
}

/// Instructions per block of every path.
fn count_all() -> Result<Vec<(&'static str, f64)>, String> {
    let mut counts: Vec<(&str, f64)> = Vec::new();
    for &(path, _) in PATHS {
        let more = instructions(path, 2 * BLOCKS)?.saturating_sub(instructions(path, BLOCKS)?);
        let mut count = more as f64 / BLOCKS as f64;
        // A path that frees has to allocate first.
        if let Some(base) = paths::base(path) {
            count -= counts.iter().find(|(name, _)| *name == base).expect("listed before").1;
        }
        counts.push((path, count));
    }
    Ok(counts)
}

/// Instructions of a process that runs `path` on so many blocks.
fn instructions(path: &str, blocks: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["child", path, &blocks.to_string()])
        .output()
        .map_err(|error| format!("valgrind, which counts the instructions, cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("no count from valgrind for {path}:\n{text}"))
}
