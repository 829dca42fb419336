//! The contract suites on PostgreSQL, and what is PostgreSQL's alone.
//!
//! The server is the one that `cargo xtask test` starts and names in an environment variable. Without it nothing is
//! tested here, except under CI, where its absence is a failure.

#![expect(clippy::unwrap_used, reason = "what fails in a test panics")]

mod exclusive;
mod fixture;
mod horizon;
mod outage;
mod schema;
mod several;
mod way;

/// A fixture, or the end of the test where there is no server.
macro_rules! scratch {
    () => {
        match $crate::fixture::PostgresFixture::new().await {
            Some(fixture) => fixture,
            None => return,
        }
    };
}
pub(crate) use scratch;

hive_contract::ticket_repository!(scratch!());
hive_contract::ticket_races!(scratch!());
hive_contract::ticket_values!(scratch!());
hive_contract::ticket_log!(scratch!());
hive_contract::ticket_log_pruning!(scratch!());
hive_contract::journal!(scratch!());
hive_contract::agent_repository!(scratch!());
