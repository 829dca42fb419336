//! Flows supervised, followed and resumed, on a journal and tickets in memory.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod supervise;
mod watch;
mod world;
