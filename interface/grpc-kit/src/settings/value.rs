//! Reading one value, for `#[serde(deserialize_with = "…")]`. A value may be written as text, as variables are, or in
//! its own kind, as in a TOML or JSON file. Messages say what is allowed and never what was given: it may be a secret in
//! the wrong place.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// Milliseconds of a day, above which a time is a mistake.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Seconds of a day.
pub(crate) const DAY_SECONDS: i32 = 86_400;
/// The largest number of bytes that anything may be told to hold: 1 GiB.
pub(crate) const MAX_BYTES: i64 = 1 << 30;

/// A text as it is.
///
/// # Errors
/// When it is a list or a group of values.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Scalar)
}

/// A whole number from `MIN` to `MAX`.
///
/// # Errors
/// When it is anything else.
pub fn whole<'de, D, T, const MIN: i64, const MAX: i64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = i64::from_str(&text(deserializer)?).ok().filter(|number| (MIN..=MAX).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| D::Error::custom(format_args!("must be a whole number from {MIN} to {MAX}")))
}

/// A port; 0 for any free one.
///
/// # Errors
/// When it is anything else.
pub fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    whole::<_, _, 0, 65_535>(deserializer)
}

/// A number from `MIN` to `MAX`.
///
/// # Errors
/// When it is anything else.
pub fn number<'de, D, const MIN: i32, const MAX: i32>(deserializer: D) -> Result<f64, D::Error>
where
    D: Deserializer<'de>,
{
    let number = f64::from_str(&text(deserializer)?).ok();
    let number = number.filter(|number| (f64::from(MIN)..=f64::from(MAX)).contains(number));
    number.ok_or_else(|| D::Error::custom(format_args!("must be a number from {MIN} to {MAX}")))
}

/// A switch: `true`, `yes`, `on`, `1`, or their opposites, in any case.
///
/// # Errors
/// When it is anything else.
pub fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match text(deserializer)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(D::Error::custom("must be true or false")),
    }
}

/// One of some words, in any case.
///
/// # Errors
/// When it is anything else.
pub fn word<'de, D, T>(deserializer: D, words: &[(&str, T)]) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Copy,
{
    one_of(&text(deserializer)?, words)
}

/// One of some words, in any case, or none when it is empty.
///
/// # Errors
/// When it is anything else.
pub fn optional_word<'de, D, T>(deserializer: D, words: &[(&str, T)]) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Copy,
{
    optional(deserializer)?.map(|text: String| one_of(&text, words)).transpose()
}

fn one_of<T: Copy, E: Error>(text: &str, words: &[(&str, T)]) -> Result<T, E> {
    let found = words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        E::custom(format_args!("must be one of {}", known.join(", ")))
    })
}

/// A text, or none when it is empty.
///
/// # Errors
/// When it is a list or a group of values.
pub fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    Ok(Some(text(deserializer)?).filter(|text| !text.is_empty()).map(T::from))
}

/// The PEM of a key, in which `\n` may stand for a line break, or none when it is empty.
pub(crate) fn pem<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(optional(deserializer)?.map(|pem: String| pem.replace("\\n", "\n")))
}

/// An address of this machine, or none when it is empty.
pub(crate) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let parse = |text: String| text.parse().map_err(|_| D::Error::custom("must be an IP address"));
    optional(deserializer)?.map(parse).transpose()
}

/// Texts, as a list or with commas between them.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(List)
}

/// A [`whole`] number where it may be absent.
pub(crate) fn some_whole<'de, D, T, const MIN: i64, const MAX: i64>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    whole::<_, _, MIN, MAX>(deserializer).map(Some)
}

/// A [`number`] where it may be absent.
pub(crate) fn some_number<'de, D, const MIN: i32, const MAX: i32>(
    deserializer: D,
) -> Result<Option<f64>, D::Error>
where
    D: Deserializer<'de>,
{
    number::<_, MIN, MAX>(deserializer).map(Some)
}

/// A [`switch`] where it may be absent.
pub(crate) fn some_switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    switch(deserializer).map(Some)
}

/// A single value of any kind, as text.
struct Scalar;

impl<'de> Visitor<'de> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_none<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        text(deserializer)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(parts.map(str::to_owned).collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Vec<String>, A::Error> {
        let mut list = Vec::new();
        while let Some(part) = parts.next_element()? {
            list.push(part);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn whole_numbers_keep_their_range() {
        let read = |value: Value| whole::<_, i64, 1, 10>(value).map_err(|error| error.to_string());
        assert_eq!((read(json!("1")), read(json!("10")), read(json!(7))), (Ok(1), Ok(10), Ok(7)));
        for bad in ["0", "11", "1.0", "1e1", "", "ten", "99999999999999999999"] {
            assert_eq!(read(json!(bad)), Err("must be a whole number from 1 to 10".to_owned()), "{bad}");
        }
        assert!(read(json!(1.5)).is_err() && read(json!(null)).is_err());
    }

    #[test]
    fn numbers_are_finite() {
        let read = |value: Value| number::<_, 0, 1>(value).ok();
        assert_eq!(
            (read(json!("0.5")), read(json!(1)), read(json!(0.25))),
            (Some(0.5), Some(1.0), Some(0.25))
        );
        for bad in ["NaN", "inf", "1.1", "-0.1", "x"] {
            assert_eq!(read(json!(bad)), None, "{bad}");
        }
    }

    #[test]
    fn switches_and_words() {
        assert_eq!(switch(json!("True")).ok(), Some(true));
        assert_eq!(switch(json!("off")).ok(), Some(false));
        assert_eq!(switch(json!(true)).ok(), Some(true));
        assert!(switch(json!("maybe")).is_err());
        let words = [("a", 1), ("b", 2)];
        assert_eq!(word(json!("B"), &words).ok(), Some(2));
        assert_eq!(optional_word(json!(""), &words).ok(), Some(None));
        assert_eq!(word(json!("c"), &words).unwrap_err().to_string(), "must be one of a, b");
    }

    #[test]
    fn lists_may_be_written_in_one_text() {
        let read = |value: Value| list(value).ok();
        let both = Some(vec!["/a/B".to_owned(), "/c/D".to_owned()]);
        assert_eq!((read(json!("/a/B, /c/D,")), read(json!(["/a/B", "/c/D"]))), (both.clone(), both));
        assert_eq!((read(json!("")), read(json!(1))), (Some(Vec::new()), None));
    }

    #[test]
    fn what_is_refused_is_not_told() {
        let group = json!({"hunter2": ["hunter2"]});
        let told = text(group).unwrap_err().to_string() + &text(json!(["hunter2"])).unwrap_err().to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}
