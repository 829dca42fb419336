//! SQL adapters: tickets, journal and agents, each context in a database of its own.
//!
//! Today the engine is SQLite. Tables, indexes and everything cold (lists, histories, pages of the log) go through
//! sea-orm, so that another engine is a matter of its own hot statements and pools.
//!
//! | module | owns |
//! | --- | --- |
//! | [`Config`], `database` | the file, its pools, its schema |
//! | `writer` | the one writing connection: commits whatever waited together |
//! | `statement` | statements over many rows whose text stays the same |
//! | `tickets` | tickets, their history, and the outbox read as a log |
//! | `orchestration` | the journal of flows and the messages they send |
//! | `registry` | agents |
//!
//! # To add a table
//!
//! 1. A step in `hive-migration`.
//! 2. A private sea-orm entity beside the adapter that owns the table, and its translation to the domain in the
//!    adapter's `mapping.rs`. No entity leaves this crate.
//! 3. Reads through sea-orm on [`Config::readers`]; writes as an operation of the context's `Batch`, so that they commit
//!    together with whatever else waits. A statement that runs for every ticket belongs in a private `hot.rs`.
//! 4. The port's suite in `tests/contract`.

mod database;
mod failure;
mod json;
mod orchestration;
mod registry;
mod statement;
mod tickets;
mod writer;

pub use database::Config;
pub use orchestration::OrchestrationDatabase;
pub use registry::RegistryDatabase;
pub use tickets::TicketDatabase;
