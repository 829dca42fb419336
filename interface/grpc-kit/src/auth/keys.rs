//! The keys that tokens are verified with, each with the algorithms it may be used for: a public key can never verify
//! a token that claims to be signed with a shared secret.

use std::fmt;

use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse},
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
    /// A shared secret shorter than the hash it keys (RFC 7518, section 3.2): it can be guessed.
    #[error("a shared secret in it has fewer than 32 bytes")]
    ShortSecret,
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

/// Of a shared secret: the output of the weakest hash it keys (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Keys that a token which does not say which one signed it is tried with: each costs a signature. A key set has a few.
const MAX_TRIED: usize = 8;

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
    /// When it is none, no key is left, or a shared secret in it is too short.
    pub fn with_jwks(self, json: &str) -> Result<Self, KeyError> {
        let set: JwkSet = serde_json::from_str(json).map_err(|_| KeyError::Jwks)?;
        if set.keys.iter().any(|jwk| secret_bytes(jwk).is_some_and(|bytes| bytes < MIN_SECRET_BYTES)) {
            return Err(KeyError::ShortSecret);
        }
        self.with_set(&set.keys)
    }

    /// As [`Keys::with_jwks`], of a set that was fetched: what is published is no secret, so such keys are left out.
    pub(super) fn with_remote_jwks(self, json: &str) -> Result<Self, KeyError> {
        let mut set: JwkSet = serde_json::from_str(json).map_err(|_| KeyError::Jwks)?;
        set.keys.retain(|jwk| secret_bytes(jwk).is_none());
        self.with_set(&set.keys)
    }

    fn with_set(mut self, set: &[Jwk]) -> Result<Self, KeyError> {
        let before = self.0.len();
        self.0.extend(set.iter().filter_map(from_jwk));
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

    /// The keys that may have signed a token with this header, the likeliest first: those of its `kid`, then those
    /// without an id; for a token without a `kid`, all of its algorithm. No more than [`MAX_TRIED`].
    pub(super) fn candidates(&self, header: &Header) -> impl Iterator<Item = &Key> {
        let wanted = header.kid.as_deref();
        let named = self.0.iter().filter(move |key| wanted.is_some() && key.id.as_deref() == wanted);
        let unnamed = self.0.iter().filter(move |key| wanted.is_none() || key.id.is_none());
        named.chain(unnamed).filter(|key| key.algorithms.contains(&header.alg)).take(MAX_TRIED)
    }
}

/// About how many bytes a shared secret has; `None` for keys of other kinds.
fn secret_bytes(jwk: &Jwk) -> Option<usize> {
    let AlgorithmParameters::OctetKey(secret) = &jwk.algorithm else { return None };
    Some(secret.value.trim_end_matches('=').len() * 3 / 4)
}

fn from_jwk(jwk: &Jwk) -> Option<Key> {
    if !matches!(&jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    if jwk.common.key_operations.as_ref().is_some_and(|uses| !uses.contains(&KeyOperations::Verify)) {
        return None;
    }
    let family = match &jwk.algorithm {
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
    let algorithms = match jwk.common.key_algorithm {
        Some(only) => {
            let only = Algorithm::try_from(only).ok()?;
            family.iter().position(|algorithm| *algorithm == only).map(|at| &family[at..=at])?
        }
        None => family,
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

    const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";

    #[test]
    fn keys_for_encryption_are_left_out() {
        let jwks = format!(
            r#"{{"keys":[{{"kty":"oct","use":"enc","k":"{SECRET}"}},{{"kty":"oct","key_ops":["sign"],"k":"{SECRET}"}},
            {{"kty":"oct","kid":"a","key_ops":["verify"],"k":"{SECRET}"}}]}}"#
        );
        let keys = Keys::default().with_jwks(&jwks).expect("one key");
        let mut header = Header::new(Algorithm::HS256);
        assert_eq!(keys.candidates(&header).count(), 1);
        header.kid = Some("b".to_owned());
        assert_eq!(keys.candidates(&header).count(), 0);
    }

    #[test]
    fn a_token_that_names_no_key_is_tried_with_a_few() {
        let key = |id: usize| format!(r#"{{"kty":"oct","kid":"{id}","k":"{SECRET}"}}"#);
        let many: Vec<String> = (0..100).map(key).collect();
        let keys = Keys::default().with_jwks(&format!(r#"{{"keys":[{}]}}"#, many.join(","))).expect("keys");
        let mut header = Header::new(Algorithm::HS256);
        assert_eq!(keys.candidates(&header).count(), MAX_TRIED);
        header.kid = Some("99".to_owned());
        let keys = (0..100).fold(keys, |keys, _| keys.with_secret(b"a secret without an id"));
        let found: Vec<Option<&str>> = keys.candidates(&header).map(|key| key.id.as_deref()).collect();
        assert_eq!((found[0], found.len()), (Some("99"), MAX_TRIED));
    }

    #[test]
    fn a_key_for_one_algorithm_verifies_no_other() {
        let jwks = |alg: &str| format!(r#"{{"keys":[{{"kty":"oct","alg":"{alg}","k":"{SECRET}"}}]}}"#);
        let keys = Keys::default().with_jwks(&jwks("HS512")).expect("one key");
        assert_eq!(keys.candidates(&Header::new(Algorithm::HS512)).count(), 1);
        assert_eq!(keys.candidates(&Header::new(Algorithm::HS256)).count(), 0);
        // Of another kind than the key is, or for something else than signatures.
        for alg in ["RS256", "RSA-OAEP", "unheard"] {
            assert_eq!(Keys::default().with_jwks(&jwks(alg)).expect_err(alg), KeyError::NoUsableKey);
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_or_is_published_is_none() {
        for short in ["", "c2VjcmV0", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0YQ"] {
            let jwks = format!(r#"{{"keys":[{{"kty":"oct","k":"{short}"}}]}}"#);
            assert_eq!(Keys::default().with_jwks(&jwks).expect_err(short), KeyError::ShortSecret);
        }
        let published = format!(r#"{{"keys":[{{"kty":"oct","k":"{SECRET}"}}]}}"#);
        let error = Keys::default().with_remote_jwks(&published).expect_err("no secret");
        assert_eq!(error, KeyError::NoUsableKey);
    }
}
