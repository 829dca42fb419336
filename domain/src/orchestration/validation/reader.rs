//! Reads single values: each method says what is wrong with a value and returns nothing, or returns it typed.

use std::collections::BTreeMap;

use crate::ids::{IdError, check_id};
use crate::json::{Json, Object};
use crate::orchestration::finding::{Code, Findings, Quoted};
use crate::orchestration::limits::Limits;
use crate::orchestration::path::Path;
use crate::time::Timestamp;

/// The limits to hold values to, and the findings so far.
pub(super) struct Reader<'f> {
    pub(super) limits: &'f Limits,
    pub(super) findings: &'f mut Findings,
}

/// A float at or beyond this may stand for several integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Reader<'_> {
    pub(super) fn wrong_type(&mut self, wanted: &str, value: &Json, at: &Path<'_>) {
        let message = format_args!("must be {wanted}, is {}", value.type_name());
        self.findings.error(Code::SchemaInvalid, at, message);
    }

    fn wrong_value(&mut self, wanted: &str, at: &Path<'_>) {
        self.findings.error(Code::SchemaInvalid, at, format_args!("must be {wanted}"));
    }

    /// Text within the limit. NUL is refused because databases cannot store it.
    pub(super) fn text<'v>(&mut self, value: &'v Json, at: &Path<'_>) -> Option<&'v str> {
        let Json::Text(text) = value else {
            self.wrong_type("text", value, at);
            return None;
        };
        self.fits(text, at).then_some(text)
    }

    fn fits(&mut self, text: &str, at: &Path<'_>) -> bool {
        let max = self.limits.max_field_bytes;
        if text.len() > max {
            let message = format_args!("has {} bytes, at most {max} are accepted", text.len());
            self.findings.error(Code::FieldTooLong, at, message);
            return false;
        }
        if text.contains('\0') {
            self.wrong_value("text without NUL characters", at);
            return false;
        }
        true
    }

    /// One of a closed list of words, in exact letter case.
    pub(super) fn word<'v>(&mut self, value: &'v Json, at: &Path<'_>, words: &[&str]) -> Option<&'v str> {
        let text = self.text(value, at)?;
        if words.contains(&text) {
            return Some(text);
        }
        let message = format_args!("must be one of {}, is {}", words.join(", "), Quoted(text));
        self.findings.error(Code::SchemaInvalid, at, message);
        None
    }

    /// An identifier, by its own rule.
    pub(super) fn id<T>(
        &mut self,
        value: &Json,
        at: &Path<'_>,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        let Json::Text(text) = value else {
            self.wrong_type("text", value, at);
            return None;
        };
        parse(text).map_err(|reason| self.findings.error(Code::InvalidId, at, reason)).ok()
    }

    /// An identifier of another system, of at most `max` characters; an empty one counts as absent.
    pub(super) fn foreign_id(&mut self, value: &Json, at: &Path<'_>, max: usize) -> Option<String> {
        let id = self.id(value, at, |text| match text {
            "" => Ok(String::new()),
            _ => check_id(text, max).map(|()| text.to_owned()),
        });
        id.filter(|text| !text.is_empty())
    }

    /// A whole number; one written as `3.0` counts.
    pub(super) fn integer(&mut self, value: &Json, at: &Path<'_>) -> Option<i64> {
        let whole = whole(value);
        if whole.is_none() {
            match value {
                Json::Int(_) | Json::Float(_) => self.wrong_value("a whole number of at most 64 bits", at),
                _ => self.wrong_type("an integer", value, at),
            }
        }
        whole
    }

    /// Milliseconds; never negative.
    pub(super) fn duration_ms(&mut self, value: &Json, at: &Path<'_>) -> Option<i64> {
        let ms = self.integer(value, at)?;
        if ms < 0 {
            self.wrong_value("at least 0", at);
            return None;
        }
        Some(ms)
    }

    pub(super) fn number(&mut self, value: &Json, at: &Path<'_>) -> Option<f64> {
        match value {
            Json::Int(number) => Some(*number as f64),
            Json::Float(number) if number.is_finite() => Some(*number),
            Json::Float(_) => {
                self.wrong_value("a finite number", at);
                None
            }
            _ => {
                self.wrong_type("a number", value, at);
                None
            }
        }
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(&mut self, value: &Json, at: &Path<'_>) -> Option<f64> {
        let number = self.number(value, at)?;
        if !(0.0..=1.0).contains(&number) {
            self.findings.error(Code::SchemaInvalid, at, format_args!("must be from 0 to 1, is {number}"));
            return None;
        }
        Some(number)
    }

    pub(super) fn flag(&mut self, value: &Json, at: &Path<'_>) -> Option<bool> {
        let Json::Bool(flag) = value else {
            self.wrong_type("a boolean", value, at);
            return None;
        };
        Some(*flag)
    }

    /// A point in time: milliseconds since the epoch, or ISO 8601, in UTC when it names no zone.
    pub(super) fn time(&mut self, value: &Json, at: &Path<'_>) -> Option<Timestamp> {
        let time = match value {
            Json::Text(text) => Timestamp::parse_iso(text),
            Json::Int(_) | Json::Float(_) => whole(value).map(Timestamp::from_millis),
            _ => {
                self.wrong_type("a time", value, at);
                return None;
            }
        };
        if time.is_none() {
            self.wrong_value("a time in milliseconds or ISO 8601", at);
        }
        time
    }

    /// The texts of an array with their places in it. Items that are no text are found and left out.
    pub(super) fn texts<'v>(&mut self, value: &'v Json, at: &Path<'_>) -> Option<Vec<(usize, &'v str)>> {
        let Json::List(items) = value else {
            self.wrong_type("an array of text", value, at);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            texts.extend(self.text(item, &at.item(index)).map(|text| (index, text)));
        }
        Some(texts)
    }

    pub(super) fn object<'v>(&mut self, value: &'v Json, at: &Path<'_>) -> Option<&'v Object> {
        let Json::Object(members) = value else {
            self.wrong_type("an object", value, at);
            return None;
        };
        Some(members)
    }

    /// An object whose values all pass `check`.
    pub(super) fn object_of<T>(
        &mut self,
        value: &Json,
        at: &Path<'_>,
        check: impl Fn(&mut Self, &Json, &Path<'_>) -> Option<T>,
    ) -> Option<()> {
        for (key, member) in self.object(value, at)? {
            check(self, member, &at.key(key));
        }
        Some(())
    }

    /// An object of texts; any other value becomes its JSON text, as the existing readers of metadata expect text.
    pub(super) fn text_map(&mut self, value: &Json, at: &Path<'_>) -> Option<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        for (key, member) in self.object(value, at)? {
            if self.fits(key, at)
                && let Some(text) = self.as_text(member, &at.key(key))
            {
                texts.insert(key.clone(), text);
            }
        }
        Some(texts)
    }

    /// Text as it is, any other value as its JSON text.
    pub(super) fn as_text(&mut self, value: &Json, at: &Path<'_>) -> Option<String> {
        let text = match value {
            Json::Text(text) => text.clone(),
            other => other.to_string(),
        };
        self.fits(&text, at).then_some(text)
    }

    /// An object of anything, of which every text keeps the limit, however deep it is.
    pub(super) fn parameters(&mut self, value: &Json, at: &Path<'_>) -> Option<Object> {
        let members = self.object(value, at)?;
        let mut open = Vec::new();
        for (key, member) in members {
            self.fits(key, at);
            let at = at.key(key);
            open.push(member);
            while let Some(value) = open.pop() {
                match value {
                    Json::Text(text) => {
                        self.fits(text, &at);
                    }
                    Json::List(items) => open.extend(items),
                    Json::Object(members) => {
                        open.extend(members.iter().map(|(key, member)| {
                            self.fits(key, &at);
                            member
                        }));
                    }
                    Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) => {}
                }
            }
        }
        Some(members.clone())
    }
}

/// A number without a fraction that fits 64 bits.
pub(super) fn whole(value: &Json) -> Option<i64> {
    match value {
        Json::Int(number) => i64::try_from(*number).ok(),
        Json::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(*number as i64),
        _ => None,
    }
}
