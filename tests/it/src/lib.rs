//! What the tests of the built binary share: building it, running it, reading what it leaves behind.
//!
//! | module | owns |
//! | --- | --- |
//! | [`process`] | the built binary, started, read line by line, waited for, killed |
//! | [`folder`] | a data folder, read in-process after its process ended |
//! | [`audit`] | what a finished folder must fulfil, whatever happened on the way |
//! | [`plan`] | plans that take time |
//! | [`certificates`] | an authority and what it signs |
//! | [`collector`] | takes spans as a collector of traces does |
//! | [`document`] | JSON whose order of keys counts |
//! | [`up`] | `hive up` on free ports, and its callers |
//! | [`roles`] | the platform as four processes |
//! | [`random`] | repeatable randomness |
//!
//! Nothing here sleeps: a test waits for a line, for the end of a process, or for a deadline on one of these.

pub mod audit;
pub mod certificates;
pub mod collector;
pub mod document;
pub mod folder;
pub mod plan;
pub mod process;
pub mod random;
pub mod roles;
pub mod up;

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A token with these claims that lives for an hour, signed with a secret.
pub fn token(secret: &str, claims: &serde_json::Value) -> String {
    let mut claims = claims.clone();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    claims["exp"] = serde_json::Value::from(now + 3_600);
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

/// An example plan by its name below `examples/plans`.
pub fn example(name: &str) -> PathBuf {
    root().join("examples/plans").join(name)
}
