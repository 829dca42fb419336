//! The rules of Hive, as plain values and pure functions.
//!
//! Nothing here waits, reads a clock, draws a random number or touches the outside world: time and ids are arguments.
//!
//! | word | meaning |
//! | --- | --- |
//! | plan | an approved DAG of tasks, as a decision carries it |
//! | ticket | the unit of work made from one task; what agents take, run and report on |
//! | flow | one plan on its way through the six steps of Flow C |
//! | agent | a registered executor; it takes the tickets allocated to it |
//! | lease | the time an agent stays selectable without a heartbeat |
//! | epoch | the incarnation of an agent; a higher one fences everything reported under a lower |
//!
//! Reading order: the shared kernel ([`ids`], [`time`], [`json`]), then [`tickets`], [`registry`], [`orchestration`].

pub mod ids;
pub mod json;
pub mod time;

pub mod tickets;

pub mod registry;

pub mod orchestration;
