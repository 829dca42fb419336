//! A JSON value, and the canonical text that content hashes are made of.
//!
//! The text is what the platform's existing (Python) services hash: keys sorted at every level, `", "` and `": "` between
//! parts, everything outside ASCII escaped, numbers printed as Python prints them.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

/// A JSON value. Object keys are kept sorted.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number written without fraction or exponent.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

/// The members of a JSON object, sorted by key.
pub type Object = BTreeMap<String, Json>;

impl Json {
    /// The member `key` of an object; `None` when absent or when this is no object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object().and_then(|members| members.get(key))
    }

    /// The members, when this is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items, when this is an array.
    pub fn as_list(&self) -> Option<&[Json]> {
        match self {
            Json::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, when this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What this value is, in the words of an error message.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Int(_) => "an integer",
            Json::Float(_) => "a number",
            Json::Text(_) => "text",
            Json::List(_) => "an array",
            Json::Object(_) => "an object",
        }
    }

    /// The canonical text of this value.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        write(self, Style::Canonical, &mut out);
        out
    }

    /// Lower-case hex SHA-256 of the canonical text.
    pub fn content_hash(&self) -> String {
        let digest = Sha256::digest(self.canonical().as_bytes());
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl fmt::Display for Json {
    /// Compact JSON, UTF-8 unescaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write(self, Style::Compact, &mut out);
        f.write_str(&out)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Json::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Json::Text(text)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Json::Int(number.into())
    }
}

impl From<f64> for Json {
    fn from(number: f64) -> Self {
        Json::Float(number)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Json::Bool(value)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Json::Null, Into::into)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        Json::List(items.into_iter().map(Into::into).collect())
    }
}

/// The members of an object.
pub fn members<const N: usize>(members: [(&str, Json); N]) -> Object {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// An object from its members.
pub fn object<const N: usize>(given: [(&str, Json); N]) -> Json {
    Json::Object(members(given))
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Canonical,
    Compact,
}

fn write(value: &Json, style: Style, out: &mut String) {
    let comma = if style == Style::Canonical { ", " } else { "," };
    let colon = if style == Style::Canonical { ": " } else { ":" };
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Json::Float(number) => write_float(*number, out),
        Json::Text(text) => write_text(text, style, out),
        Json::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(comma);
                }
                write(item, style, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(comma);
                }
                write_text(key, style, out);
                out.push_str(colon);
                write(member, style, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, style: Style, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (style == Style::Canonical && c > '\u{7f}') => {
                let mut units = [0_u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Python's `repr`: shortest digits that read back, an exponent below 1e-4 and from 1e16.
fn write_float(number: f64, out: &mut String) {
    if !number.is_finite() {
        // JSON has no such number and no parser yields one; Python would print NaN or Infinity.
        out.push_str("null");
        return;
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        out.push_str(&scientific);
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let _ = write!(out, "{number:?}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_is_pythons() {
        let value = object([
            ("z", Json::from(1.5)),
            ("y", Json::from("é\u{1F600}\n\u{7f}")),
            ("a", Json::List(vec![Json::Int(1), Json::Bool(true), Json::Null])),
        ]);
        assert_eq!(
            value.canonical(),
            "{\"a\": [1, true, null], \"y\": \"\\u00e9\\ud83d\\ude00\\n\u{7f}\", \"z\": 1.5}"
        );
        assert_eq!(value.to_string(), "{\"a\":[1,true,null],\"y\":\"é\u{1F600}\\n\u{7f}\",\"z\":1.5}");
    }

    #[test]
    fn floats_print_as_python_prints_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (123_456.789, "123456.789"),
        ] {
            assert_eq!(Json::from(number).canonical(), text);
        }
    }
}
