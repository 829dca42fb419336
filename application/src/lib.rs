//! Use cases, and the ports through which they reach the world.
//!
//! # To add a use case
//!
//! 1. One file named by the verb phrase under the context's folder: command, outcome, then a struct with one
//!    `execute(&self, &CallContext, Command) -> Result<Outcome, Error>`.
//! 2. It loads an aggregate, lets it decide, saves it. It never branches on the aggregate's state.
//! 3. Add it to the context's facade in `mod.rs`. A pure query may be a method of the facade.
//!
//! # To add a port
//!
//! 1. A `#[async_trait]` trait of at most seven methods in the context's `ports.rs`, in words of the domain.
//! 2. A suite in `tests/contract`, stamped for every adapter.
//! 3. An adapter crate under `infrastructure`; the composition root wires it.

pub mod backoff;
pub mod clock;
pub mod context;
pub mod error;
pub mod ids;
pub mod messages;

pub mod tickets;

pub mod registry;

pub mod orchestration;
