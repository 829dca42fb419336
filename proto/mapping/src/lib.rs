//! The platform's values and errors as gRPC messages, and back. Servicers and the adapters that call them share it, so
//! what one side writes the other reads.
//!
//! | module | owns |
//! | --- | --- |
//! | [`status`] | the one table between errors and codes |
//! | [`ticket`] | tickets and their changes |
//! | [`order`] | orders to tickets |
//! | [`agent`] | agents and their changes |

pub mod agent;
pub mod order;
pub mod status;
pub mod ticket;
