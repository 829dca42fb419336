//! Who was found to be calling.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use serde_json::{Map, Value};

use crate::apart::Apart;

/// A verified caller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Principal(Apart<Inner>);

/// What a caller was identified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A verified token.
    Token,
    /// The verified certificate of its connection.
    Certificate,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    subject: String,
    key: u64,
    scopes: Vec<String>,
    claims: Map<String, Value>,
    expires: u64,
}

impl Principal {
    /// From verified claims: the subject is `sub`, or `client_id` of a service without one; scopes come from `scope`
    /// (a text with spaces, RFC 8693) or from a list named `scopes` or `scp`.
    pub(crate) fn from_claims(claims: Map<String, Value>) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let subject = [text("sub"), text("client_id")].into_iter().find(|text| !text.is_empty());
        let subject = subject.unwrap_or_default().to_owned();
        let mut hasher = DefaultHasher::new();
        let source = Source::Token;
        (source, text("iss"), &subject).hash(&mut hasher);
        let mut scopes: Vec<String> = text("scope").split_whitespace().map(str::to_owned).collect();
        for name in ["scopes", "scp"] {
            let listed = claims.get(name).and_then(Value::as_array).into_iter().flatten();
            scopes.extend(listed.filter_map(Value::as_str).map(str::to_owned));
        }
        let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default() as u64;
        Self::of(Inner { source, subject, key: hasher.finish(), scopes, claims, expires })
    }

    /// Who a verified client certificate names by its SPIFFE id. It has no scopes, and does not expire before its
    /// connection ends.
    pub(crate) fn of_certificate(spiffe_id: String) -> Self {
        let mut hasher = DefaultHasher::new();
        let source = Source::Certificate;
        (source, &spiffe_id).hash(&mut hasher);
        let key = hasher.finish();
        let (scopes, claims) = (Vec::new(), Map::new());
        Self::of(Inner { source, subject: spiffe_id, key, scopes, claims, expires: u64::MAX })
    }

    fn of(inner: Inner) -> Self {
        Self(Apart::new(Arc::new(inner)))
    }

    /// The same principal, counted apart: for the calls of one connection.
    pub(crate) fn apart(&self) -> Self {
        Self(self.0.apart())
    }

    /// A principal without claims, for tests of what is built on it.
    pub fn named(subject: &str) -> Self {
        Self::from_claims(Map::from_iter([("sub".to_owned(), Value::from(subject))]))
    }

    /// What says who it is. Ask before you believe a subject that looks like a SPIFFE id: a token may have any.
    pub fn source(&self) -> Source {
        self.0.source
    }

    /// The token's subject, or the certificate's SPIFFE id.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The same number for the same issuer and subject in this process: what calls are limited by.
    pub fn key(&self) -> u64 {
        self.0.key
    }

    /// Whether the token grants this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.scopes.iter().any(|granted| granted == scope)
    }

    /// All verified claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    /// The token's `exp`, in seconds since 1970.
    pub fn expires(&self) -> u64 {
        self.0.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(claims: &Value) -> Principal {
        Principal::from_claims(claims.as_object().expect("an object").clone())
    }

    #[test]
    fn scopes_come_in_three_spellings() {
        let principal = principal(&serde_json::json!({"scope": "a b", "scopes": ["c"], "scp": ["d", 5]}));
        for scope in ["a", "b", "c", "d"] {
            assert!(principal.has_scope(scope), "{scope}");
        }
        assert!(!principal.has_scope("a b") && !principal.has_scope("5"));
    }

    #[test]
    fn a_token_is_not_taken_for_a_certificate() {
        let id = "spiffe://hive/orchestrator";
        let (token, certificate) = (Principal::named(id), Principal::of_certificate(id.to_owned()));
        assert_eq!((token.source(), certificate.source()), (Source::Token, Source::Certificate));
        assert_eq!(token.subject(), certificate.subject());
        assert_ne!(token.key(), certificate.key());
    }

    #[test]
    fn the_key_tells_issuers_apart() {
        let key = |issuer: &str| principal(&serde_json::json!({"sub": "a", "iss": issuer})).key();
        assert_eq!(key("x"), key("x"));
        assert_ne!(key("x"), key("y"));
    }
}
