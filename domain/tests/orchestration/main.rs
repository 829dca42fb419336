//! The orchestration rules as their users see them, played against real tickets.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod allocation;
mod flow;
mod generation;
mod plans;
