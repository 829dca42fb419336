//! What every adapter of a storage port, or of a port to another context, must do.
//!
//! # To stamp a suite on an adapter
//!
//! 1. Implement the suite's fixture: a store of its own for every test, that can be closed and opened again.
//! 2. `hive_contract::ticket_repository!(MyFixture::new());` in a test file makes every test of the suite a test there.
//!
//! # To add a test
//!
//! One `pub async fn` in the suite's module and its name in the suite's macro at the end of the module.

#![expect(clippy::unwrap_used, reason = "a suite is a test: what fails panics")]

pub mod agent_repository;
pub mod fixture;
pub mod journal;
pub mod neighbours;
pub mod samples;
pub mod ticket_log;
pub mod ticket_log_pruning;
pub mod ticket_races;
pub mod ticket_repository;
pub mod ticket_values;

/// Makes a test of each function of a suite.
#[macro_export]
macro_rules! stamp {
    ($fixture:expr; $suite:ident: $($test:ident),+ $(,)?) => {
        mod $suite {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    $crate::$suite::$test(&$fixture).await;
                }
            )+
        }
    };
}
