//! What lies below a directory, so that a test can say that nothing of it was touched.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Every file below a directory: what it is, when it was last written to, and what it holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, Leaf>);

/// What it is, when it was written to, what it holds.
type Leaf = ([u64; 5], [i64; 2], Vec<u8>);

impl Tree {
    /// All below `root`; nothing is said of what has this path in it.
    #[must_use]
    pub fn below(root: &Path, without: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
                if path.starts_with(without) {
                    continue;
                }
                let found = path.symlink_metadata().unwrap();
                let kind = found.file_type();
                let contents = match () {
                    () if kind.is_file() => fs::read(&path).unwrap(),
                    () if kind.is_symlink() => {
                        fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                    }
                    () => Vec::new(),
                };
                if kind.is_dir() {
                    directories.push(path.clone());
                }
                let what = crate::file(&path).unwrap();
                // A directory's time changes when something that is not looked at comes and goes in it.
                let written = if kind.is_dir() { [0; 2] } else { [found.mtime(), found.mtime_nsec()] };
                files.insert(path, (what, written, contents));
            }
        }
        Self(files)
    }

    /// How many files there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
