//! SQL adapters: tickets, journal and agents, each context in a database of its own.
//!
//! The engine is SQLite or PostgreSQL. Tables, indexes and everything cold (histories, agents, pages of the log) go through
//! sea-orm and are the same on both; an engine is a matter of its own hot statements and pools. The hottest are reads of
//! tickets from SQLite: they go through rusqlite, on the thread of the caller.
//!
//! | module | owns |
//! | --- | --- |
//! | [`Config`], `database` | where a database lies |
//! | `engine` | the two engines: pools, schema, failures; reading on the caller's thread; how far an outbox can be read where several write |
//! | [`Exclusive`] | what one of several processes may do alone |
//! | `writer` | the one writing connection: commits whatever waited together |
//! | `statement` | SQLite: statements over many rows whose text stays the same |
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
//!    together with whatever else waits: `sqlite` and `postgres` beside the adapter hold its statements.
//! 4. The port's suite in `tests/contract`.

mod database;
mod engine;
mod exclusive;
mod failure;
mod json;
mod orchestration;
mod registry;
mod statement;
mod tickets;
mod writer;

pub use database::{Config, InvalidUrl, Place, Server};
pub use exclusive::Exclusive;
pub use orchestration::OrchestrationDatabase;
pub use registry::RegistryDatabase;
pub use tickets::TicketDatabase;
