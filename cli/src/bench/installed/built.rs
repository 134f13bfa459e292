//! The programs, built by cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::bench::contender::{Profile, left_out};

/// A program for each contender.
pub(crate) struct Built {
    programs: Vec<(Profile, PathBuf)>,
}

/// What cargo says about a program that is there now; all else that it says has no `executable`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Built {
    /// Has cargo build what is not there yet, optimised. The first time takes minutes.
    pub(crate) fn new(contenders: &[Profile]) -> anyhow::Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("installed");
        ensure!(
            package.join("Cargo.toml").is_file(),
            "the sources of the programs behind #[global_allocator] are not in {}",
            package.display()
        );
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"])
            .arg("--manifest-path")
            .arg(package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(target_folder())
            .stdout(Stdio::piped());
        if !left_out().is_empty() {
            command.arg("--no-default-features");
        }
        for profile in contenders {
            command.args(["--bin", &program_name(profile.name)]);
            if let Some(feature) = feature_of(profile.name) {
                command.args(["--features", feature]);
            }
        }
        eprintln!(
            "building {} programs, each with another #[global_allocator]; the first time takes minutes",
            contenders.len()
        );
        let output = command.stderr(Stdio::inherit()).output().context("cargo did not start")?;
        ensure!(
            output.status.success(),
            "cargo could not build the programs behind #[global_allocator]: {}",
            output.status
        );
        let messages = String::from_utf8_lossy(&output.stdout);
        let executables: Vec<(String, PathBuf)> = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Message>(line).ok())
            .filter_map(|message| Some((message.target?.name, message.executable?)))
            .collect();
        let programs = contenders.iter().map(|&profile| {
            let name = program_name(profile.name);
            let program = executables.iter().find(|(target, _)| *target == name);
            let (_, path) = program.with_context(|| format!("cargo built no {name}"))?;
            Ok((profile, path.clone()))
        });
        Ok(Self { programs: programs.collect::<anyhow::Result<_>>()? })
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (Profile, &Path)> {
        self.programs.iter().map(|(profile, path)| (*profile, path.as_path()))
    }
}

fn program_name(contender: &str) -> String {
    format!("installed-{contender}")
}

/// The feature that a contender's program needs: the same as for the suite.
fn feature_of(contender: &str) -> Option<&'static str> {
    match contender {
        "mimalloc" => Some("peer-mimalloc"),
        "snmalloc" => Some("peer-snmalloc"),
        "jemalloc" => Some("peer-jemalloc"),
        "rpmalloc" => Some("peer-rpmalloc"),
        _ => None,
    }
}

/// Where this program was built, so that the peers are not compiled a second time; else the workspace's own.
fn target_folder() -> PathBuf {
    let of_this_program = || {
        let program = env::current_exe().ok()?;
        let folder = program.parent()?.parent()?;
        folder.join("CACHEDIR.TAG").is_file().then(|| folder.to_owned())
    };
    of_this_program()
        .or_else(|| env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
}
