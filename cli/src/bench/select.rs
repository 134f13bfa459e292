//! Names on the command line: which rows, which contenders.

use anyhow::bail;

use super::arena;
use super::busy;
use super::contender::{Profile, left_out, profiles};
use super::installed::programs::{self, Program};
use super::latency;
use super::layers;
use super::memory;
use super::workload::{Spec, specs};

/// Names that stand for several rows.
const TIME: &str = "time";
const MEMORY: &str = "memory";
const SCALE: &str = "scale";
const ARENA: &str = "arena";
const LAYERS: &str = "layers";
const INSTALLED: &str = "installed";
const PROGRAMS: &str = "programs";
const LATENCY: &str = "latency";
const BUSY: &str = "busy";
const CROWD: &str = "crowd";
const ALL: &str = "all";

/// What a run consists of.
pub(crate) struct Selection {
    names: Vec<String>,
    /// Whether the memory table is wanted.
    pub(crate) memory: bool,
    /// Whether the scaling curves are wanted.
    pub(crate) scale: bool,
    /// Whether ten thousand heaps and births are wanted.
    pub(crate) crowd: bool,
    /// Empty for all.
    allocators: Vec<String>,
    contenders: Vec<Profile>,
}

impl Selection {
    /// Nothing named means every row of the allocators with its memory table, and every contender.
    pub(crate) fn new(workloads: &[String], allocators: &[String]) -> anyhow::Result<Self> {
        let specs = specs(2);
        let mut others = arena_specs(2);
        others.extend(layers::specs());
        for name in workloads {
            let is_row = specs.iter().chain(&others).any(|spec| spec.is_called(name));
            let is_part = specs.iter().any(|spec| is_called_installed(spec, name))
                || programs::PROGRAMS.iter().any(|program| is_named(PROGRAMS, program.name, name))
                || latency::ROWS.iter().any(|row| is_named(LATENCY, row.name, name))
                || busy::WORKLOADS.iter().any(|workload| is_named(BUSY, workload, name))
                || [TIME, MEMORY, SCALE, CROWD, ALL].contains(&name.as_str());
            if !is_row && !is_part {
                bail!(
                    "unknown workload {name:?}; there are:\n  {}\nand groups: {}, {ARENA}, {LAYERS}, {INSTALLED}, {PROGRAMS}, {LATENCY}, {BUSY}, {CROWD}, {TIME}, {MEMORY}, {SCALE}, {ALL}",
                    wrap(specs.iter().chain(&others).map(|spec| spec.name)),
                    groups(&specs).join(", ")
                );
            }
        }
        for name in allocators {
            let known = profiles().into_iter().chain(arena::profiles()).chain(layers::profiles());
            let names: Vec<_> = known.map(|profile| profile.name).collect();
            if !names.contains(&name.as_str()) {
                match left_out().iter().find(|(peer, _)| peer == name) {
                    Some((_, feature)) => {
                        bail!("this build has no {name}: its feature {feature} is off")
                    }
                    None => bail!("unknown allocator {name:?}; there are: {}", names.join(", ")),
                }
            }
        }
        let named = |name: &str| workloads.iter().any(|workload| workload == name);
        Ok(Self {
            memory: workloads.is_empty() || named(MEMORY) || named(ALL),
            scale: named(SCALE) || named(ALL),
            crowd: named(CROWD) || named(ALL),
            names: workloads.to_vec(),
            allocators: allocators.to_vec(),
            contenders: profiles()
                .into_iter()
                .filter(|profile| allocators.is_empty() || allocators.iter().any(|name| name == profile.name))
                .collect(),
        })
    }

    /// Whether a timed row is wanted.
    pub(crate) fn wants(&self, spec: &Spec) -> bool {
        let mut names = self.names.iter();
        self.names.is_empty() || names.any(|name| spec.is_called(name) || name == TIME || name == ALL)
    }

    /// Whether a row of another contest than the allocators' is wanted: only where it is named.
    pub(crate) fn wants_when_named(&self, spec: &Spec) -> bool {
        self.names.iter().any(|name| spec.is_called(name) || name == ALL)
    }

    /// Whether a row is wanted behind `#[global_allocator]`.
    pub(crate) fn wants_installed(&self, spec: &Spec) -> bool {
        self.names.iter().any(|name| is_called_installed(spec, name) || name == ALL)
    }

    /// The real programs that are wanted.
    pub(crate) fn programs(&self) -> Vec<Program> {
        let wanted = |program: &Program| {
            self.names.iter().any(|name| is_named(PROGRAMS, program.name, name) || name == ALL)
        };
        programs::PROGRAMS.into_iter().filter(wanted).collect()
    }

    /// The workloads whose single calls are wanted.
    pub(crate) fn latency(&self) -> Vec<latency::Row> {
        let wanted = |row: &latency::Row| {
            self.names.iter().any(|name| is_named(LATENCY, row.name, name) || name == ALL)
        };
        latency::ROWS.into_iter().filter(wanted).collect()
    }

    /// Whether a workload is wanted with more and more threads at work.
    pub(crate) fn wants_busy(&self, workload: &str) -> bool {
        self.names.iter().any(|name| is_named(BUSY, workload, name) || name == ALL)
    }

    /// Whether a contender takes part.
    pub(crate) fn invites(&self, profile: &Profile) -> bool {
        self.allocators.is_empty() || self.allocators.iter().any(|name| name == profile.name)
    }

    /// The allocators that take part, in the order of the tables.
    pub(crate) fn contenders(&self) -> &[Profile] {
        &self.contenders
    }
}

/// Whether `name` means this row behind `#[global_allocator]`: all of them, or the row's name after a dash.
fn is_called_installed(spec: &Spec, name: &str) -> bool {
    let row = name.strip_prefix(INSTALLED);
    row.is_some_and(|row| row.is_empty() || row.strip_prefix('-').is_some_and(|row| spec.is_called(row)))
}

/// Whether `name` means this member of a group: all of them, or its own name after a dash.
fn is_named(group: &str, member: &str, name: &str) -> bool {
    let rest = name.strip_prefix(group);
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-') == Some(member))
}

/// Every row of the arenas.
fn arena_specs(threads: usize) -> Vec<Spec> {
    arena::rows(threads, |_| true, |_| true).into_iter().map(|row| row.spec).collect()
}

/// The families, in the order of the tables, without those that are just one row of the same name.
fn groups(specs: &[Spec]) -> Vec<&'static str> {
    let mut groups: Vec<_> = specs.iter().map(|spec| spec.group).collect();
    groups.dedup();
    groups.retain(|group| specs.iter().all(|spec| spec.name != *group));
    groups
}

/// Names in lines of about eighty characters.
fn wrap<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut line = 0;
    for name in names {
        if line + name.len() > 76 {
            text.push_str("\n  ");
            line = 0;
        }
        text.push_str(name);
        text.push(' ');
        line += name.len() + 1;
    }
    text
}

/// What `--list` prints.
pub(crate) fn list(threads: usize) -> String {
    let mut text = String::from("Workloads (name [group], what one operation is, what it stresses):\n");
    for spec in specs(threads).into_iter().chain(arena_specs(threads)).chain(layers::specs()) {
        let (name, group) = (spec.name, spec.group);
        text += &format!("\n  {name} [{group}], {}\n", count(spec.threads, "thread"));
        text += &format!("      {}\n", spec.about);
        text += &format!("      operation: {}\n      stresses: {}\n", spec.op, spec.stresses);
    }
    let memory: Vec<_> = memory::ROWS.iter().map(|(row, _)| *row).collect();
    text += &format!(
        "\n  {MEMORY}\n      resident memory, in a process per contender, of: {}\n",
        memory.join(", ")
    );
    text += &format!(
        "  {SCALE}\n      pair and batch with 1 to 1,000 threads, 1 to 1,000 heaps, 1,000 to 10 million blocks alive\n"
    );
    text += &format!(
        "  {INSTALLED}, {INSTALLED}-NAME\n      every row above, or that row or group, behind a real #[global_allocator]: in a program for each\n      allocator, which cargo builds the first time (minutes)\n"
    );
    text += &format!(
        "  {PROGRAMS}, {PROGRAMS}-NAME\n      the same programs at work with well-known libraries, time and memory:\n"
    );
    for program in programs::PROGRAMS {
        text += &format!("      {:<8} {}\n", program.name, program.about);
    }
    text += &format!(
        "  {LATENCY}, {LATENCY}-NAME\n      single calls, in a process per contender: 99.9th percentile and worst, of:\n"
    );
    for row in latency::ROWS {
        text += &format!("      {:<10} {}\n", row.name, row.about);
    }
    text += &format!(
        "  {BUSY}, {BUSY}-NAME\n      cost of an operation with 1 to 64 threads at work, of: {}\n",
        busy::WORKLOADS.join(", ")
    );
    text += &format!(
        "  {CROWD}\n      10,000 heaps of one block each, 10,000 births of threads: time and memory\n"
    );
    text += &format!("  {ARENA}, {LAYERS}\n      every row whose name begins with it\n");
    text += &format!("  {TIME}, {ALL}\n      every timed row of allocators; and with all of the above\n");
    text += "\nAllocators:\n";
    for profile in profiles() {
        text += &format!("  {:<12} {}\n", profile.name, about(&profile));
    }
    for (peer, feature) in left_out() {
        text += &format!("  {peer:<12} left out of this build: feature {feature} is off\n");
    }
    text += "\nArenas:\n";
    for profile in arena::profiles() {
        text += &format!("  {:<12} {}\n", profile.name, arena::about(profile.name));
    }
    text += "\nLayers:\n";
    for profile in layers::profiles() {
        text += &format!("  {:<14} {}\n", profile.name, layers::about(profile.name));
    }
    text
}

fn about(profile: &Profile) -> &'static str {
    match profile.name {
        "global" => "blockyard::Global, as #[global_allocator] would call it",
        "heap" => "&blockyard::Heap, through the Allocator trait",
        "local" => "Heap::local(), a handle per thread, through the Allocator trait",
        "limit" => "one intrusive free list per thread, no checks: what no allocator can beat",
        "glibc" => "std::alloc::System",
        "rpmalloc" => "peer in C, with explicit thread hooks",
        "rusty_alloc" | "rallocator" => "peer in Rust",
        _ => "peer in C or C++",
    }
}

pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(workloads: &[&str], allocators: &[&str]) -> anyhow::Result<Selection> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(workloads), &owned(allocators))
    }

    fn wanted(selection: &Selection) -> Vec<&'static str> {
        let specs = specs(2).into_iter();
        specs.filter(|spec| selection.wants(spec)).map(|spec| spec.name).collect()
    }

    #[test]
    fn nothing_named_is_everything_but_the_curves() {
        let selection = select(&[], &[]).expect("a selection");
        assert_eq!(wanted(&selection).len(), specs(2).len());
        assert!(selection.memory && !selection.scale);
        assert_eq!(selection.contenders().len(), profiles().len());
    }

    #[test]
    fn rows_groups_and_allocators_by_name() {
        let selection = select(&["larson", "pair-64"], &["glibc"]).expect("a selection");
        assert_eq!(wanted(&selection), ["pair-64", "larson-1", "larson-n"]);
        assert!(!selection.memory);
        assert_eq!(selection.contenders().len(), 1);
        let xmalloc = select(&["xmalloc"], &[]).expect("a selection");
        assert_eq!(wanted(&xmalloc), ["xmalloc-64", "xmalloc-mixed"]);
        let arenas = select(&["arena"], &["bumpalo"]).expect("a selection");
        assert!(wanted(&arenas).is_empty() && !arenas.memory);
        assert!(arena_specs(2).iter().all(|spec| arenas.wants_when_named(spec)));
        assert!(wanted(&select(&["memory"], &[]).expect("a selection")).is_empty());
    }

    #[test]
    fn rows_behind_the_global_allocator_by_name() {
        let installed = |workloads: &[&str]| {
            let selection = select(workloads, &[]).expect("a selection");
            assert!(wanted(&selection).is_empty() || workloads.is_empty());
            let specs = specs(2).into_iter();
            specs.filter(|spec| selection.wants_installed(spec)).map(|spec| spec.name).collect::<Vec<_>>()
        };
        assert_eq!(installed(&["installed"]).len(), specs(2).len());
        assert_eq!(installed(&["installed-larson", "installed-mixed"]), ["mixed", "larson-1", "larson-n"]);
        assert!(installed(&[]).is_empty() && select(&["installed-larsen"], &[]).is_err());
    }

    #[test]
    fn unknown_names_are_listed_with_the_valid_ones() {
        let message = |selection: anyhow::Result<Selection>| match selection {
            Ok(_) => panic!("an unknown name was taken"),
            Err(error) => error.to_string(),
        };
        assert!(message(select(&["larsen"], &[])).contains("larson-1"));
        assert!(message(select(&[], &["tcmalloc"])).contains("rusty_alloc"));
    }

    #[test]
    fn names_are_unique() {
        let specs = [specs(2), arena_specs(2)].concat();
        for (index, spec) in specs.iter().enumerate() {
            assert!(specs[..index].iter().all(|other| other.name != spec.name), "{}", spec.name);
        }
    }
}
