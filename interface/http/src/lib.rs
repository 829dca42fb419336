//! REST over axum: tickets, workflows, health and metrics; failures as problem documents.
//!
//! | module | owns |
//! | --- | --- |
//! | [`router`] | the application: routes of the roles, and what every request passes on its way |
//! | [`health`], [`metrics`] | `/health`, `/ready`, `/metrics`; how requests are measured |
//! | [`problem`] | failures as RFC 9457 documents, the one table of statuses |
//! | [`caller`] | who calls |
//! | `input`, `fields`, `request_id` | what a request brings |
//! | `tickets`, `workflows` | the routes of each context |
//!
//! # To add a route
//!
//! One file in the context's folder: a handler that reads its input, calls one use case and shows the outcome; one line
//! in the context's `mod.rs`. No handler decides anything.

pub mod caller;
mod fields;
pub mod health;
mod input;
pub mod metrics;
pub mod problem;
mod request_id;
pub mod router;
mod tickets;
mod workflows;

pub use tickets::convert::{value as json_value, whole as ticket_json};

#[cfg(test)]
mod testing;
