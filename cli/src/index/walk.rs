//! The corpus: which files there are to index.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use walkdir::WalkDir;

/// One regular file below the root.
pub(super) struct SourceFile {
    /// Its path, relative to [`Corpus::root`].
    pub(super) path: PathBuf,
    /// Its size in bytes when the directory was read. Only progress bars rely on it.
    pub(super) bytes: u64,
}

/// Every regular file below a directory, sorted by path: a file's number is its index in `files`.
pub(super) struct Corpus {
    pub(super) root: PathBuf,
    pub(super) files: Vec<SourceFile>,
    /// Symbolic links, sockets, pipes and devices: never opened, so no link loop is ever walked.
    pub(super) not_regular: u64,
    /// Directories and entries that could not be read.
    pub(super) unreadable: u64,
}

impl Corpus {
    /// Lists the files below `root`. Hidden and git-ignored ones are listed like all others.
    ///
    /// # Errors
    ///
    /// When `root` does not exist, is not a directory or cannot be read. What is unreadable further
    /// down is counted, not an error.
    pub(super) fn walk(root: &Path, spinner: &ProgressBar) -> anyhow::Result<Self> {
        // Paths are shown with `{:?}`: quoted and escaped, so the message stays on one line.
        let metadata = fs::metadata(root).with_context(|| format!("cannot index {root:?}"))?;
        if !metadata.is_dir() {
            bail!("cannot index {root:?}: it is not a directory");
        }
        fs::read_dir(root).with_context(|| format!("cannot index {root:?}"))?;

        let mut corpus = Self { root: root.to_path_buf(), files: Vec::new(), not_regular: 0, unreadable: 0 };
        for entry in WalkDir::new(root).follow_links(false).sort_by_file_name() {
            let Ok(entry) = entry else {
                corpus.unreadable += 1;
                continue;
            };
            let kind = entry.file_type();
            if kind.is_file() {
                let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
                corpus.files.push(SourceFile { path: path.to_path_buf(), bytes });
                spinner.inc(1);
            } else if !kind.is_dir() && entry.depth() > 0 {
                corpus.not_regular += 1;
            }
        }
        Ok(corpus)
    }

    /// The path to open for file number `file`.
    pub(super) fn open_path(&self, file: u32) -> PathBuf {
        self.root.join(&self.files[file as usize].path)
    }

    /// The sizes of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// The directory that is indexed when none is named: the sources of the crates cargo has downloaded.
///
/// # Errors
///
/// When there is no home directory, or cargo has downloaded nothing yet.
pub(super) fn default_root() -> anyhow::Result<PathBuf> {
    let home = match std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir()
            .context("no home directory to find cargo's downloads in; name a directory to index")?
            .join(".cargo"),
    };
    sources_below(&home)
}

/// `registry/src` in cargo's home, or what is in it when that is one directory: there is one for each
/// registry, usually only that of crates.io, and paths are shorter without it.
fn sources_below(home: &Path) -> anyhow::Result<PathBuf> {
    let root = home.join("registry").join("src");
    let Ok(entries) = fs::read_dir(&root) else {
        bail!("cargo has downloaded no crates here (cannot read {root:?}); name a directory to index");
    };
    let registries: Vec<_> = entries.take(2).collect();
    match &registries[..] {
        [Ok(only)] if only.file_type().is_ok_and(|kind| kind.is_dir()) => Ok(only.path()),
        _ => Ok(root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(root: &Path) -> anyhow::Result<Corpus> {
        Corpus::walk(root, &ProgressBar::hidden())
    }

    #[test]
    fn files_are_sorted_and_hidden_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/z.txt"), "z").unwrap();
        fs::write(dir.path().join("b/.hidden"), "h").unwrap();
        fs::write(dir.path().join("a.txt"), "aaa").unwrap();
        fs::write(dir.path().join(".gitignore"), "*").unwrap();
        let corpus = walk(dir.path()).unwrap();
        let names: Vec<_> = corpus.files.iter().map(|f| f.path.to_str().unwrap()).collect();
        assert_eq!(names, [".gitignore", "a.txt", "b/.hidden", "b/z.txt"]);
        assert_eq!(corpus.bytes(), 6);
        assert_eq!(corpus.open_path(1), dir.path().join("a.txt"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_counted_and_loops_are_not_walked() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "text").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
        let corpus = walk(dir.path()).unwrap();
        assert_eq!((corpus.files.len(), corpus.not_regular, corpus.unreadable), (1, 2, 0));
        // A link named as the root itself is followed.
        assert_eq!(walk(&dir.path().join("loop")).unwrap().files.len(), 1);
    }

    #[test]
    fn the_sources_of_the_only_registry_are_found() {
        let home = tempfile::tempdir().unwrap();
        let error = sources_below(home.path()).unwrap_err().to_string();
        assert!(error.contains("no crates") && !error.contains('\n'), "{error}");
        let root = home.path().join("registry/src");
        fs::create_dir_all(root.join("one")).unwrap();
        assert_eq!(sources_below(home.path()).unwrap(), root.join("one"));
        fs::create_dir(root.join("two")).unwrap();
        assert_eq!(sources_below(home.path()).unwrap(), root);
    }

    #[test]
    fn a_missing_root_and_a_file_as_root_are_one_line_errors() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a\nb"), "text").unwrap();
        for (root, words) in [("gone", "cannot index"), ("a\nb", "not a directory"), ("x\ny", "cannot index")]
        {
            let error = walk(&dir.path().join(root)).err().expect("must fail");
            let message = format!("{error:#}");
            assert!(message.contains(words), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
