//! What is measured and told of a running system.
//!
//! | file | owns |
//! | --- | --- |
//! | `families` | every metric family, in tables |
//! | `series` | handles to record with |
//! | `flows` | measures flows as they go |
//! | `orchestration`, `tickets`, `registry` | measure what a context asks of its ports, by standing before them |

pub(crate) mod families;
pub(crate) mod flows;
pub(crate) mod orchestration;
pub(crate) mod registry;
pub(crate) mod series;
pub(crate) mod tickets;
