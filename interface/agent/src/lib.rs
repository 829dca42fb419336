//! The reference agent: takes the tickets allocated to it, does what they ask for, and reports.
//!
//! It shows what any agent has to do:
//!
//! 1. register, and keep the epoch it was given;
//! 2. follow the ticket log from where it left off, and take each ticket dispatched to it by reporting RUNNING under its
//!    epoch: the first report wins, a refused one means that the ticket is not its own any more;
//! 3. remember the place in the log only once everything before it was taken;
//! 4. report COMPLETED or FAILED, and never try again on its own: that is for orchestration to order;
//! 5. send heartbeats, or lose its lease and its tickets.
//!
//! Its work is simulated: it answers at once, unless a ticket's parameters say otherwise, see [`Simulation`].

mod agent;
mod announcement;
mod offsets;
mod simulation;
mod telemetry;

pub use agent::{Agent, AgentConfig};
pub use announcement::{BUILT_IN_CAPABILITIES, announcement};
pub use simulation::Simulation;
