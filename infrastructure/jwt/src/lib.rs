//! Signs tokens: scoped to one ticket, and those of the platform's own services.

mod hs256;
mod service;

pub use hs256::{EmptyKey, Hs256TokenIssuer};
pub use service::ServiceToken;
