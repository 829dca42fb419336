//! gRPC servicers: decode, call a use case, encode. No rules here.
//!
//! | module | owns |
//! | --- | --- |
//! | [`caller`] | who calls, from what the layers above and the metadata say |
//! | [`orchestration`] | the plans and flows of orchestration |
//! | [`registry`] | the agents of the registry |
//! | [`tickets`] | the two ticket services |

pub mod caller;
pub mod orchestration;
pub mod registry;
pub mod tickets;

pub use hive_mapping::status;
