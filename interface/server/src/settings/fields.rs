//! Reading one value. Everything arrives as text; messages say what is allowed and never what was given.

use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

/// A text as it is.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer)
}

/// A whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, D, T, const MIN: i64, const MAX: i64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = i64::from_str(&text(deserializer)?).ok().filter(|number| (MIN..=MAX).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| D::Error::custom(format_args!("must be a whole number from {MIN} to {MAX}")))
}

/// A port; 0 for any free one.
pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    whole::<_, _, 0, 65_535>(deserializer)
}

/// A number from `MIN` to `MAX`.
pub(super) fn number<'de, D, const MIN: i32, const MAX: i32>(deserializer: D) -> Result<f64, D::Error>
where
    D: Deserializer<'de>,
{
    let number = f64::from_str(&text(deserializer)?).ok();
    let number = number.filter(|number| (f64::from(MIN)..=f64::from(MAX)).contains(number));
    number.ok_or_else(|| D::Error::custom(format_args!("must be a number from {MIN} to {MAX}")))
}

/// A switch.
pub(super) fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match text(deserializer)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(D::Error::custom("must be true or false")),
    }
}

/// One of some words, in any case.
pub(super) fn word<'de, D, T>(deserializer: D, words: &[(&str, T)]) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Copy,
{
    let text = text(deserializer)?;
    let found = words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        D::Error::custom(format_args!("must be one of {}", known.join(", ")))
    })
}

/// A text, or none when it is empty.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(text(deserializer)?).filter(|text| !text.is_empty()))
}

/// An address of this machine, or none when it is empty.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let parse = |text: String| text.parse().map_err(|_| D::Error::custom("must be an IP address"));
    optional(deserializer)?.map(parse).transpose()
}

/// A value written as JSON; `shape` says what it must look like.
pub(super) fn json<'de, D, T>(deserializer: D, shape: &str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    serde_json::from_str(&text(deserializer)?)
        .map_err(|_| D::Error::custom(format_args!("must be JSON like {shape}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> serde_json::Value {
        serde_json::Value::from(text)
    }

    #[test]
    fn whole_numbers_keep_their_range() {
        let read = |text: &str| whole::<_, i64, 1, 10>(value(text)).map_err(|error| error.to_string());
        assert_eq!((read("1"), read("10")), (Ok(1), Ok(10)));
        for bad in ["0", "11", "1.0", "1e1", "", "ten", "99999999999999999999"] {
            assert_eq!(read(bad), Err("must be a whole number from 1 to 10".to_owned()), "{bad}");
        }
    }

    #[test]
    fn numbers_are_finite() {
        let read = |text: &str| number::<_, 0, 1>(value(text)).ok();
        assert_eq!((read("0.5"), read("1"), read("0")), (Some(0.5), Some(1.0), Some(0.0)));
        for bad in ["NaN", "inf", "1.1", "-0.1", "x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn switches_and_words() {
        assert_eq!(switch(value("True")).ok(), Some(true));
        assert_eq!(switch(value("off")).ok(), Some(false));
        assert!(switch(value("maybe")).is_err());
        assert_eq!(word(value("B"), &[("a", 1), ("b", 2)]).ok(), Some(2));
        let refused = word(value("c"), &[("a", 1), ("b", 2)]).unwrap_err().to_string();
        assert_eq!(refused, "must be one of a, b");
    }
}
