//! The registration token: proof that a caller is the agent it says it is. Only its hash is kept.

use std::fmt;

use sha2::{Digest, Sha256};

use super::agent::TokenIssue;

/// The secret text an agent gets at registration and shows to register again. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrationToken(String);

impl RegistrationToken {
    /// Any text; an unusable one simply proves nothing.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret, for the one answer that hands it to its agent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RegistrationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistrationToken(…)")
    }
}

/// SHA-256 of a registration token: what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &RegistrationToken) -> Self {
        Self(Sha256::digest(token.0.as_bytes()).into())
    }

    /// A hash as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Why a caller may register an id that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It gives no reason.
    None,
    /// It shows the token of the registration it replaces.
    Token(RegistrationToken),
    /// It is the process that hosts the registry and the agent: its data folder is locked to it, so whoever held the
    /// id before is gone. Never built from a request.
    Host,
}

impl Claim {
    /// The token that is valid after a registration: the one shown, so that a caller who lost the answer can repeat the
    /// request, or `fresh`.
    pub fn token_or(&self, fresh: TokenHash) -> (TokenHash, TokenIssue) {
        match self {
            Claim::Token(shown) => (TokenHash::of(shown), TokenIssue::Kept),
            Claim::None | Claim::Host => (fresh, TokenIssue::Fresh),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_plain_sha_256() {
        let hash = TokenHash::of(&RegistrationToken::new("abc"));
        assert_eq!(hash.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(TokenHash::from_bytes(*hash.as_bytes()), hash);
        assert_ne!(hash, TokenHash::of(&RegistrationToken::new("abd")));
    }

    #[test]
    fn debug_hides_the_secret() {
        let claim = Claim::Token(RegistrationToken::new("s3cret"));
        assert!(!format!("{claim:?}").contains("s3cret"));
    }
}
