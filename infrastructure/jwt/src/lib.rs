//! Signs tokens scoped to one ticket.

mod hs256;

pub use hs256::{EmptyKey, Hs256TokenIssuer};
