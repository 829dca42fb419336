//! The contract suites on SQLite, and what is SQLite's alone.

#![expect(clippy::unwrap_used, reason = "what fails in a test panics")]

mod crash;
mod file;
mod fixture;
mod schema;

use fixture::SqliteFixture;

hive_contract::ticket_repository!(SqliteFixture::new());
hive_contract::ticket_races!(SqliteFixture::new());
hive_contract::ticket_values!(SqliteFixture::new());
hive_contract::ticket_log!(SqliteFixture::new());
hive_contract::ticket_log_pruning!(SqliteFixture::new());
hive_contract::journal!(SqliteFixture::new());
hive_contract::agent_repository!(SqliteFixture::new());
