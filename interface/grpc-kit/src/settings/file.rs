//! Settings in a TOML file: every value with its dotted path and its line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of a file that are read at most.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A value: its dotted path, its line, and its text; none for what is no single value.
pub(super) type Entry = (String, usize, Option<String>);

/// The text of a file, or what is wrong with it.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("names a file that cannot be read: {}", error.kind());
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("names a file of more than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

/// The values of a file, or the line that is no TOML: what stands there is not told, since it may hold a secret.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, usize> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| lines.at(error.span().map_or(0, |span| span.start)))?;
    let mut entries = Vec::new();
    flatten(table.get_ref(), "", &lines, &mut entries);
    Ok(entries)
}

fn flatten(table: &DeTable<'_>, prefix: &str, lines: &Lines, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref().to_ascii_lowercase());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(inner, &format!("{path}."), lines, entries),
            single => entries.push((path, lines.at(key.span().start), scalar(single))),
        }
    }
}

/// A single value, or a list of texts, as a variable would have it.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(parts) => {
            let text = |part: &Spanned<DeValue<'_>>| match part.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            };
            Some(parts.iter().map(text).collect::<Option<Vec<_>>>()?.join(","))
        }
        DeValue::Table(_) => None,
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    /// The number of the line at this byte, from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_path_and_its_line() {
        let text =
            "a = 1\n\n[b.C]\nd = \"x\"\ne = [\"p\", \"q\"]\nf = { g = 1.5, h = true }\ni = [1]\nj = 0x10";
        let entry = |path: &str, line, text: &str| (path.to_owned(), line, Some(text.to_owned()));
        let mut found = parse(text).expect("TOML");
        found.sort();
        assert_eq!(
            found,
            [
                entry("a", 1, "1"),
                entry("b.c.d", 4, "x"),
                entry("b.c.e", 5, "p,q"),
                entry("b.c.f.g", 6, "1.5"),
                entry("b.c.f.h", 6, "true"),
                ("b.c.i".to_owned(), 7, None),
                entry("b.c.j", 8, "16"),
            ]
        );
    }

    #[test]
    fn a_mistake_is_told_by_its_line() {
        assert_eq!(parse("a = 1\nb = hunter2"), Err(2));
        assert_eq!(parse("a = 1\na = 2"), Err(2));
    }

    #[test]
    fn depth_is_bounded() {
        for text in [
            format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000)),
            format!("a = {}", "{a=".repeat(100_000)),
            format!("{}a = 1", "a.".repeat(100_000)),
            format!("[{}a]", "a.".repeat(100_000)),
        ] {
            let _ = parse(&text);
        }
    }
}
