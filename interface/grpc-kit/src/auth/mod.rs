//! Who calls: the keys tokens are verified with, the verifier with its cache, and the principal it finds.

mod failures;
mod fetch;
mod keys;
mod principal;
mod remote;
mod verifier;

pub use keys::{KeyError, Keys};
pub use principal::{Principal, Source};
pub(crate) use verifier::Found;
pub use verifier::{Expectations, Rejected, Unverified, Verifier};
