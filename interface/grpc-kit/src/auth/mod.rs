//! Who calls: the keys tokens are verified with, the verifier with its cache, the principal it finds, and the rules about
//! who may.

mod access;
mod failures;
mod fetch;
mod keys;
mod principal;
mod remote;
mod verifier;

pub(crate) use access::Access;
pub use access::AccessRules;
pub use keys::{KeyError, Keys};
pub use principal::{Principal, Source};
pub(crate) use verifier::Found;
pub use verifier::{Expectations, Rejected, Unverified, Verifier};
