//! The `.env` file: `NAME=value` lines, comments, quotes.

use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

/// The file that is read when it is there.
pub(super) const FILE: &str = ".env";
/// Bytes of it that are read at most.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The text of the file; nothing when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(Some(text))
}

/// The name and the value of a line; nothing for a comment or an empty line.
pub(super) fn parse_line(line: &str) -> Result<Option<(&str, &str)>, ()> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or(())?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(());
    }
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Ok(Some((name, inner)));
        }
    }
    let value = value.split_once(" #").map_or(value, |(value, _)| value);
    Ok(Some((name, value.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind() {
        let parsed =
            |line| parse_line(line).map(|found| found.map(|(name, value)| format!("{name}|{value}")));
        assert_eq!(parsed("  # comment"), Ok(None));
        assert_eq!(parsed(""), Ok(None));
        assert_eq!(parsed("A=1").unwrap().unwrap(), "A|1");
        assert_eq!(parsed("export A = 1 # note").unwrap().unwrap(), "A|1");
        assert_eq!(parsed("A='x # y'").unwrap().unwrap(), "A|x # y");
        assert_eq!(parsed("A=\"x\"").unwrap().unwrap(), "A|x");
        assert_eq!(parsed("A={\"x\":\"y\"}").unwrap().unwrap(), "A|{\"x\":\"y\"}");
        assert_eq!(parsed("A=").unwrap().unwrap(), "A|");
        assert_eq!(parsed("A=#1").unwrap().unwrap(), "A|#1");
        for bad in ["A", "=1", "A B=1", "Ä=1"] {
            assert_eq!(parsed(bad), Err(()), "{bad}");
        }
    }
}
