//! The members of a JSON object that a caller sent, read one by one; whatever is wrong is named by its path.

use std::collections::BTreeMap;
use std::fmt::Display;

use hive_application::error::invalid_id;
use hive_application::tickets::{MAX_TEXT_BYTES, metadata_of};
use hive_domain::ids::IdError;
use hive_domain::json::{Json, Object};

use crate::problem::Problem;

/// The members of an object; a member that is null counts as absent.
#[derive(Debug)]
pub(crate) struct Fields {
    members: Object,
    /// The path of the object: empty, or ending in a dot.
    prefix: &'static str,
}

impl Fields {
    /// The members of the message itself.
    pub(crate) fn new(members: Object) -> Self {
        Fields { members, prefix: "" }
    }

    /// A member that is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        self.members.get(key).filter(|value| **value != Json::Null)
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Json> {
        self.members.remove(key).filter(|value| *value != Json::Null)
    }

    /// What is wrong with a member.
    pub(crate) fn invalid(&self, key: &str, problem: impl Display) -> Problem {
        Problem::invalid(&format!("{}{key}", self.prefix), problem)
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &Json) -> Problem {
        self.invalid(key, format_args!("must be {wanted}, is {}", found.type_name()))
    }

    /// Refuses texts that cannot be stored, wherever they are: longer than 64 KiB, or with a NUL character. What workers
    /// say went wrong is made fit instead.
    pub(crate) fn check_texts(&self) -> Result<(), Problem> {
        let check = |key: &str, text: &str| {
            if text.contains('\0') {
                return Err(self.invalid(key, "must not hold NUL characters"));
            }
            if text.len() > MAX_TEXT_BYTES {
                return Err(self.invalid(key, format_args!("has more than {MAX_TEXT_BYTES} bytes")));
            }
            Ok(())
        };
        for (key, value) in self.members.iter().filter(|(key, _)| *key != "error_message") {
            check("$", key)?;
            let mut open = vec![value];
            while let Some(value) = open.pop() {
                match value {
                    Json::Text(text) => check(key, text)?,
                    Json::List(items) => open.extend(items),
                    Json::Object(members) => {
                        members.keys().try_for_each(|inner| check(key, inner))?;
                        open.extend(members.values());
                    }
                    Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) => {}
                }
            }
        }
        Ok(())
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(key, "text", other)),
        }
    }

    /// A text that must be there and not empty.
    pub(crate) fn required_text(&self, key: &str) -> Result<&str, Problem> {
        self.text(key)?.filter(|text| !text.is_empty()).ok_or_else(|| self.invalid(key, "is required"))
    }

    /// A whole number; a text of digits and a float without a fraction count as one.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, Problem> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = match value {
            Json::Int(number) => i64::try_from(*number).ok(),
            Json::Text(digits) => digits.parse().ok(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole, and within what a float holds exactly"
            )]
            Json::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.invalid(key, "must be a whole number of at most 64 bits"))
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong_type(key, "true or false", other)),
        }
    }

    /// An object as it stands.
    pub(crate) fn object(&self, key: &str) -> Result<Option<Object>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Object(members)) => Ok(Some(members.clone())),
            Some(other) => Err(self.wrong_type(key, "an object", other)),
        }
    }

    /// An object to read members of; `prefix` is its own path with a dot at the end.
    pub(crate) fn inner(&self, key: &str, prefix: &'static str) -> Result<Option<Fields>, Problem> {
        Ok(self.object(key)?.map(|members| Fields { members, prefix }))
    }

    /// Pairs of text by the rule of the ticket model, which takes any value.
    pub(crate) fn metadata(&self, key: &str) -> Option<BTreeMap<String, String>> {
        self.get(key).map(metadata_of)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<Vec<String>>, Problem> {
        let items = match self.get(key) {
            None => return Ok(None),
            Some(Json::List(items)) => items,
            Some(other) => return Err(self.wrong_type(key, "an array", other)),
        };
        let text = |(at, item): (usize, &Json)| {
            let text = item.as_text().map(str::to_owned);
            text.ok_or_else(|| self.wrong_type(&format!("{key}[{at}]"), "text", item))
        };
        items.iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// An id, by its parser.
    pub(crate) fn id<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, Problem> {
        Ok(self.text(key)?.map(parse).transpose().map_err(invalid_id(key))?)
    }
}
