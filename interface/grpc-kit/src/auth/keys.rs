//! The keys that tokens are verified with, each with the algorithms it may be used for: a public key can never verify
//! a token that claims to be signed with a shared secret.

use std::fmt;

use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};

/// Why key material was not usable. Says nothing about its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither an RSA, nor an EC, nor an Ed25519 public key.
    #[error("it is no PEM of an RSA, EC or Ed25519 public key")]
    Pem,
    /// No JSON Web Key Set.
    #[error("it is no JSON Web Key Set")]
    Jwks,
    /// A key set in which no key can verify signatures.
    #[error("no key in it can verify signatures")]
    NoUsableKey,
}

/// A set of keys. Several at once allow to rotate them.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    pub(super) decoding: DecodingKey,
}

const SHARED_SECRET: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const EC: &[Algorithm] = &[Algorithm::ES256, Algorithm::ES384];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

impl Keys {
    /// A shared secret, for HS256, HS384 and HS512.
    #[must_use]
    pub fn with_secret(mut self, secret: &[u8]) -> Self {
        self.0.push(Key { id: None, algorithms: SHARED_SECRET, decoding: DecodingKey::from_secret(secret) });
        self
    }

    /// A public key in PEM, for the algorithms of its family.
    ///
    /// # Errors
    /// When it is none.
    pub fn with_public_pem(mut self, pem: &str) -> Result<Self, KeyError> {
        let pem = pem.as_bytes();
        let (algorithms, decoding) = DecodingKey::from_rsa_pem(pem)
            .map(|key| (RSA, key))
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (EC, key)))
            .or_else(|_| DecodingKey::from_ed_pem(pem).map(|key| (ED25519, key)))
            .map_err(|_| KeyError::Pem)?;
        self.0.push(Key { id: None, algorithms, decoding });
        Ok(self)
    }

    /// The signature keys of a JSON Web Key Set (RFC 7517); keys for other uses and of unknown kinds are left out.
    ///
    /// # Errors
    /// When it is none, or no key is left.
    pub fn with_jwks(mut self, json: &str) -> Result<Self, KeyError> {
        let set: JwkSet = serde_json::from_str(json).map_err(|_| KeyError::Jwks)?;
        let before = self.0.len();
        self.0.extend(set.keys.iter().filter_map(from_jwk));
        if self.0.len() == before { Err(KeyError::NoUsableKey) } else { Ok(self) }
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key has this id.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The keys that may have signed a token with this header: those of its `kid`, or without one, all of its algorithm.
    pub(super) fn candidates(&self, header: &Header) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| {
            let same_id = match (&header.kid, &key.id) {
                (Some(wanted), Some(id)) => wanted == id,
                _ => true,
            };
            same_id && key.algorithms.contains(&header.alg)
        })
    }
}

fn from_jwk(jwk: &Jwk) -> Option<Key> {
    if !matches!(&jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => P256,
            EllipticCurve::P384 => P384,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => ED25519,
        AlgorithmParameters::OctetKey(_) => SHARED_SECRET,
        _ => return None,
    };
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { id: jwk.common.key_id.clone(), algorithms, decoding })
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|key| (key.id.as_deref().unwrap_or("-"), key.algorithms));
        f.debug_map().entries(ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_says_so_without_its_content() {
        let error = Keys::default().with_public_pem("hunter2").expect_err("no key");
        assert_eq!(error, KeyError::Pem);
        assert_eq!(Keys::default().with_jwks("[]").expect_err("no set"), KeyError::Jwks);
        assert_eq!(Keys::default().with_jwks(r#"{"keys":[]}"#).expect_err("empty"), KeyError::NoUsableKey);
        assert!(!format!("{:?}", Keys::default().with_secret(b"hunter2")).contains("hunter2"));
    }

    #[test]
    fn keys_for_encryption_are_left_out() {
        let jwks =
            r#"{"keys":[{"kty":"oct","use":"enc","k":"c2VjcmV0"},{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}"#;
        let keys = Keys::default().with_jwks(jwks).expect("one key");
        let mut header = Header::new(Algorithm::HS256);
        assert_eq!(keys.candidates(&header).count(), 1);
        header.kid = Some("b".to_owned());
        assert_eq!(keys.candidates(&header).count(), 0);
    }
}
