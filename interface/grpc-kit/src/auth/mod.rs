//! Who calls: the keys tokens are verified with, the verifier with its cache, and the principal it finds.

mod keys;
mod principal;
mod verifier;

pub use keys::{KeyError, Keys};
pub use principal::Principal;
pub use verifier::{Expectations, Rejected, Verifier};
