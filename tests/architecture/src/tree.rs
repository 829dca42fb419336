//! The workspace as it lies on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::file::File;

/// The root of a workspace and the files below it that belong to it.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    paths: Vec<String>,
}

impl Tree {
    /// The workspace this crate is part of. Build output and hidden folders are left out.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn here() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let mut paths = Vec::new();
        walk(&root, "", &mut paths)?;
        paths.sort();
        Ok(Self { root, paths })
    }

    /// Where the workspace lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All Rust files, by path.
    ///
    /// # Errors
    /// When one cannot be read, or is not UTF-8; the message names it.
    pub fn rust_files(&self) -> io::Result<Vec<File>> {
        self.files(|path| path.ends_with(".rs"))
    }

    /// All files of this name (`Cargo.toml`), by path.
    ///
    /// # Errors
    /// As [`Tree::rust_files`].
    pub fn named(&self, name: &str) -> io::Result<Vec<File>> {
        self.files(|path| path.rsplit('/').next() == Some(name))
    }

    /// The file at this path relative to the root.
    ///
    /// # Errors
    /// When it is missing or not UTF-8; the message names it.
    pub fn file(&self, path: &str) -> io::Result<File> {
        fs::read_to_string(self.root.join(path))
            .map(|text| File::new(path, text))
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    }

    fn files(&self, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<File>> {
        self.paths.iter().filter(|path| wanted(path)).map(|path| self.file(path)).collect()
    }
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(root, &path, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_holds_this_file_and_no_build_output() {
        let tree = Tree::here().unwrap();
        let files = tree.rust_files().unwrap();
        assert!(files.iter().any(|file| file.path == "tests/architecture/src/tree.rs"));
        assert!(files.iter().all(|file| !file.path.starts_with("target/")));
        assert!(tree.named("Cargo.toml").unwrap().iter().any(|file| file.path == "Cargo.toml"));
        assert!(tree.file("no/such/file").unwrap_err().to_string().starts_with("no/such/file: "));
    }
}
