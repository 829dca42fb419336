//! Messages as they arrive: bytes to a JSON value, bounded in size and depth.

use std::fmt;

use hive_domain::json::{Json, Object};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Why bytes are not a JSON message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than a message may have.
    #[error("the message has {actual} bytes, at most {max} are accepted")]
    TooLarge {
        /// Bytes found.
        actual: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Arrays and objects inside one another beyond the limit.
    #[error("arrays and objects are nested deeper than {max} levels (line {line}, column {column})")]
    TooDeep {
        /// Levels allowed.
        max: usize,
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// Not UTF-8.
    #[error("the message is not UTF-8 text (byte {offset})")]
    NotText {
        /// The first bad byte.
        offset: usize,
    },
    /// Not JSON.
    #[error("the message is not JSON: {problem} (line {line}, column {column})")]
    NotJson {
        /// What the parser says.
        problem: String,
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
}

const TOO_DEEP: &str = "nested too deep";

/// Reads one JSON value of at most `max_bytes` bytes and `max_nesting` levels.
pub fn decode(bytes: &[u8], max_bytes: usize, max_nesting: usize) -> Result<Json, DecodeError> {
    if bytes.len() > max_bytes {
        return Err(DecodeError::TooLarge { actual: bytes.len(), max: max_bytes });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| DecodeError::NotText { offset: error.valid_up_to() })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = Value { levels: max_nesting }.deserialize(&mut reader);
    value.and_then(|value| reader.end().map(|()| value)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let problem = error.to_string();
        if problem.starts_with(TOO_DEEP) {
            return DecodeError::TooDeep { max: max_nesting, line, column };
        }
        let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
        DecodeError::NotJson { problem, line, column }
    })
}

/// Reads a value with `levels` more levels of arrays and objects allowed inside.
#[derive(Clone, Copy)]
struct Value {
    levels: usize,
}

impl Value {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom(TOO_DEEP))?;
        Ok(Value { levels })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Int(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Int(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.inner::<A::Error>()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let inner = self.inner::<A::Error>()?;
        let mut object = Object::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("an object has the same key twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json, DecodeError> {
        decode(text.as_bytes(), 1 << 20, 64)
    }

    #[test]
    fn values_keep_their_kind() {
        let value = read(r#"{"b": [1, 1.0, -3, 18446744073709551615], "a": {"x": null, "y": "é"}}"#).unwrap();
        assert_eq!(value.to_string(), r#"{"a":{"x":null,"y":"é"},"b":[1,1.0,-3,18446744073709551615]}"#);
    }

    #[test]
    fn nesting_is_limited_without_recursing_into_it() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read(&deep(64)).is_ok());
        assert!(matches!(read(&deep(65)), Err(DecodeError::TooDeep { max: 64, line: 1, .. })));
        assert!(matches!(read(&deep(500_000)), Err(DecodeError::TooDeep { .. })));
    }

    #[test]
    fn problems_have_a_place() {
        assert!(matches!(read("{\n \"a\": tru }"), Err(DecodeError::NotJson { line: 2, .. })));
        assert!(matches!(read(""), Err(DecodeError::NotJson { .. })));
        assert!(matches!(read("{} {}"), Err(DecodeError::NotJson { .. })));
        assert!(matches!(read("{\"a\":1,\"a\":2}"), Err(DecodeError::NotJson { .. })));
        assert_eq!(decode(b"\"\xff\"", 10, 64), Err(DecodeError::NotText { offset: 1 }));
        assert_eq!(decode(b"[1,2,3]", 3, 64), Err(DecodeError::TooLarge { actual: 7, max: 3 }));
    }
}
