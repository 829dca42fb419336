//! One file a layer: its settings, `XLayer`, `X<S>`, its future and its tests.
//!
//! | layer | does |
//! | --- | --- |
//! | [`request_id`] | opens the call's record, answers with its id |
//! | [`error`] | renders refusals and completes failed statuses |
//! | [`metrics`] | counts and times calls |
//! | [`tracing`] | a span per call |
//! | [`logging`] | a line per call |
//! | [`observe`] | the three above at once, for the price of one |
//! | [`admission`] | bounds what runs at once, sheds the rest |
//! | [`deadline`] | ends what takes too long |
//! | [`auth`] | finds out who calls and whether they may |
//! | [`rate_limit`] | bounds how often one caller calls |
//! | [`catch_panic`] | turns a panic into INTERNAL |
//! | [`message_limit`] | bounds the size of a message, both ways |

pub mod admission;
pub mod auth;
pub mod catch_panic;
pub mod deadline;
pub mod error;
pub mod logging;
pub mod message_limit;
pub mod metrics;
pub mod observe;
pub mod rate_limit;
pub mod request_id;
pub mod tracing;
