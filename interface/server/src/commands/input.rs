//! Reading the plan: a file or stdin, never more of it than a message may have.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hive_domain::orchestration::finding::Finding;
use hive_domain::orchestration::limits::Limits;

/// The code of what never became a message.
const UNREADABLE: &str = "INPUT_UNREADABLE";
/// The name that means stdin.
const STDIN: &str = "-";

/// Why there is nothing to take in.
#[derive(Debug)]
pub(super) enum InputError {
    /// The system refuses.
    Unreadable { name: String, error: io::Error },
    /// A folder, a pipe or a device.
    NotAFile { name: String },
    /// More than a message may have.
    TooLarge(Finding),
}

impl InputError {
    /// The stable word for it, and what it says.
    pub(super) fn parts(&self) -> (&'static str, String) {
        match self {
            InputError::TooLarge(finding) => (finding.code.as_str(), finding.message.clone()),
            InputError::Unreadable { .. } | InputError::NotAFile { .. } => (UNREADABLE, self.to_string()),
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Unreadable { name, error } => write!(f, "{name} cannot be read: {error}"),
            InputError::NotAFile { name } => {
                write!(f, "{name} is no regular file; to read from a pipe, give `-` and redirect stdin")
            }
            InputError::TooLarge(finding) => f.write_str(&finding.message),
        }
    }
}

impl std::error::Error for InputError {}

/// How the input is called in messages.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new(STDIN) { "stdin".to_owned() } else { path.display().to_string() }
}

/// The bytes of the message. Of stdin, one byte more than allowed is enough to be refused by the rules.
pub(super) fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, InputError> {
    let name = name(path);
    let most = limits.max_message_bytes as u64 + 1;
    let mut bytes = Vec::new();
    let read = if path == Path::new(STDIN) {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(InputError::NotAFile { name }),
            Ok(found) => {
                let size = usize::try_from(found.len()).unwrap_or(usize::MAX);
                limits.check_size(size).map_err(InputError::TooLarge)?;
                File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
            }
            Err(error) => Err(error),
        }
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(InputError::Unreadable { name, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        std::fs::write(&path, "0123456789").unwrap();
        let limits = |max_message_bytes| Limits { max_message_bytes, ..Limits::default() };
        assert_eq!(read(&path, &limits(10)).unwrap(), b"0123456789");
        let refused = read(&path, &limits(5)).unwrap_err();
        assert_eq!(refused.parts().0, "MESSAGE_TOO_LARGE");
        assert!(refused.to_string().contains("10 bytes, at most 5"), "{refused}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read(&folder.path().join("no.json"), &Limits::default()).unwrap_err();
        assert_eq!(missing.parts(), ("INPUT_UNREADABLE", missing.to_string()));
        assert!(missing.to_string().contains("no.json cannot be read: "), "{missing}");
        let directory = read(folder.path(), &Limits::default()).unwrap_err();
        assert!(matches!(directory, InputError::NotAFile { .. }), "{directory}");
    }
}
