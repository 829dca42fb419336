//! Consumers: decode a message, hand it to a use case. They know no broker.

mod plans;

pub use plans::PlanIntake;
