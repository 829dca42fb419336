//! The data folder. Each role's part of it is used by one process at a time: several processes may share a folder if they
//! serve different roles.
//!
//! A lock is the operating system's: it ends with the process that holds it, however that ends. The process id inside
//! the file is for people only.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The lock of what only a process with all roles has, and those of the databases.
const WHOLE: [&str; 4] = ["hive.lock", "tickets.lock", "orchestration.lock", "registry.lock"];

/// A data folder that is ours, or our part of one, until this is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    // Dropped in this order: the locks go before the folder they lie in.
    _locks: Vec<File>,
    temporary: Option<TempDir>,
}

/// Why a data folder cannot be used.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// Another process uses it.
    InUse { path: PathBuf, pid: Option<u32> },
    /// The system refuses.
    Io { path: PathBuf, error: io::Error },
}

impl DataFolder {
    /// Takes the whole folder, making it when it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, FolderError> {
        Self::take_parts(path, &WHOLE)
    }

    /// Takes the parts of the folder behind these locks, making it when it is not there.
    pub(crate) fn take_parts(path: &Path, locks: &[&str]) -> Result<Self, FolderError> {
        std::fs::create_dir_all(path).map_err(|error| FolderError::Io { path: path.to_owned(), error })?;
        let locks = locks.iter().map(|name| lock(path, name)).collect::<Result<_, _>>()?;
        Ok(DataFolder { path: path.to_owned(), _locks: locks, temporary: None })
    }

    /// A folder that is removed at the end.
    pub(crate) fn temporary() -> Result<Self, FolderError> {
        let folder = tempfile::Builder::new().prefix("hive-").tempdir();
        let folder = folder.map_err(|error| FolderError::Io { path: std::env::temp_dir(), error })?;
        let taken = Self::take(folder.path())?;
        Ok(DataFolder { temporary: Some(folder), ..taken })
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// How to call it in messages.
    pub(crate) fn display(&self) -> impl fmt::Display + '_ {
        self.path.display()
    }

    /// Whether it outlives this process.
    pub(crate) fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }
}

fn lock(folder: &Path, name: &str) -> Result<File, FolderError> {
    let io = |error| FolderError::Io { path: folder.to_owned(), error };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut lock = options.open(folder.join(name)).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(FolderError::InUse { path: folder.to_owned(), pid: holder(&mut lock) });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    sign(&mut lock).map_err(io)?;
    Ok(lock)
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FolderError::InUse { path, pid: Some(pid) } => {
                write!(f, "data folder {}: in use by process {pid}", path.display())
            }
            FolderError::InUse { path, pid: None } => {
                write!(f, "data folder {}: in use by another process", path.display())
            }
            FolderError::Io { path, error } => write!(f, "data folder {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for FolderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_the_holder_named() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let held = DataFolder::take(&path).unwrap();
        let pid = std::process::id();
        let refused = DataFolder::take(&path).unwrap_err();
        assert!(matches!(refused, FolderError::InUse { pid: Some(found), .. } if found == pid), "{refused}");
        assert!(refused.to_string().ends_with(&format!("in use by process {pid}")));
        drop(held);
        assert!(DataFolder::take(&path).is_ok());
    }

    #[test]
    fn different_roles_share_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let tickets = DataFolder::take_parts(parent.path(), &["tickets.lock"]).unwrap();
        assert!(DataFolder::take_parts(parent.path(), &["registry.lock"]).is_ok());
        assert!(DataFolder::take_parts(parent.path(), &["registry.lock", "tickets.lock"]).is_err());
        assert!(DataFolder::take(parent.path()).is_err());
        drop(tickets);
        assert!(DataFolder::take(parent.path()).is_ok());
    }

    #[test]
    fn what_a_dead_process_left_does_not_block() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join(WHOLE[0]), "4294967295 and much more than that\n").unwrap();
        let held = DataFolder::take(parent.path()).unwrap();
        let signed = std::fs::read_to_string(held.file(WHOLE[0])).unwrap();
        assert_eq!(signed, format!("{}\n", std::process::id()));
        assert!(held.is_kept());
    }

    #[test]
    fn a_file_is_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(DataFolder::take(&path), Err(FolderError::Io { .. })));
    }

    #[test]
    fn a_temporary_folder_is_gone_afterwards() {
        let folder = DataFolder::temporary().unwrap();
        let path = folder.file("tickets.db");
        std::fs::write(&path, "x").unwrap();
        assert!(!folder.is_kept());
        drop(folder);
        assert!(!path.parent().unwrap().exists());
    }
}
