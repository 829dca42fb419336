//! How results look: a table for people. What other programs read is in `hive-proto`.

pub(crate) mod findings;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod words;
