//! Wire shapes of the contracts and their JSON codecs.
//!
//! | module | owns |
//! | --- | --- |
//! | [`ticket`] | the ticket as every JSON interface shows it |
//! | [`grpc`] | the gRPC contracts |
//! | [`result`] | what became of a plan, or why it does not run |
//!
//! Shapes only: nothing here knows a rule. The field order of a struct is the key order on the wire.

pub mod grpc;
pub mod result;
pub mod ticket;
