//! JSON values and their stored text.

use hive_application::error::Error;
use hive_application::messages;
use hive_domain::json::Json;

use crate::failure;

/// Beyond what intake lets in, so that whatever was stored reads back.
const MAX_NESTING: usize = 1_024;

/// Reads a stored value; an error names the `column`.
pub(crate) fn read(column: &'static str, text: &str) -> Result<Json, Error> {
    messages::decode(text.as_bytes(), usize::MAX, MAX_NESTING)
        .map_err(|error| failure::unreadable(column, error.to_string()))
}

/// Reads a stored value of a type of ours; an error names the `column`.
pub(crate) fn read_as<'a, T: serde::Deserialize<'a>>(
    column: &'static str,
    text: &'a str,
) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| failure::unreadable(column, error.to_string()))
}

/// The text to store for a value of a type of ours.
pub(crate) fn write<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = Json> {
        let number = any::<f64>().prop_filter("JSON has no such number", |number| number.is_finite());
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(|number| Json::Int(number.into())),
            number.prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Json::List),
                prop::collection::btree_map(any::<String>(), inner, 0..8).prop_map(Json::Object),
            ]
        })
    }

    proptest! {
        /// What is stored reads back as itself, to the last bit: two creates with the same content must be equal.
        #[test]
        fn values_read_back(value in any_json()) {
            prop_assert_eq!(read("c", &value.to_string()).unwrap(), value);
        }
    }

    #[test]
    fn an_error_names_the_column_for_the_log_only() {
        let error = read("parameters", "{").unwrap_err();
        assert_eq!(error.to_string(), "internal error");
        assert!(hive_application::error::chain(&error).contains("column parameters"));
    }
}
