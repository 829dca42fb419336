//! The ticket services against a real ticket database, called through the generated clients.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod creation;
mod desk;
mod listing;
mod old_clients;
mod single;
mod watching;
