//! JWT by HMAC with SHA-256.
//!
//! Byte for byte what the platform's existing ticket service signs: `alg` before `typ`, claims in their order, no spaces,
//! everything outside ASCII escaped.

use std::fmt::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hive_application::error::Error;
use hive_application::tickets::{TokenClaims, TokenIssuer};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde::Serialize;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Signs with one shared key.
pub struct Hs256TokenIssuer {
    key: EncodingKey,
    header: String,
}

/// A key that cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyKey;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: &'a str,
    ticket_id: &'a str,
    plan_id: &'a str,
    intent_id: &'a str,
    task_type: &'a str,
    security_level: &'a str,
    required_capabilities: &'a [String],
    scopes: &'a [String],
}

impl Hs256TokenIssuer {
    /// Signs with the bytes of `key`, which must not be empty.
    pub fn new(key: &[u8]) -> Result<Self, EmptyKey> {
        if key.is_empty() {
            return Err(EmptyKey);
        }
        let header = BASE64_URL_SAFE_NO_PAD.encode(HEADER);
        Ok(Hs256TokenIssuer { key: EncodingKey::from_secret(key), header })
    }
}

impl TokenIssuer for Hs256TokenIssuer {
    fn issue(&self, claims: &TokenClaims) -> Result<String, Error> {
        let payload = serde_json::to_string(&Claims {
            sub: &claims.sub,
            iss: &claims.iss,
            aud: &claims.aud,
            exp: claims.exp,
            iat: claims.iat,
            jti: &claims.jti,
            ticket_id: &claims.ticket_id,
            plan_id: &claims.plan_id,
            intent_id: &claims.intent_id,
            task_type: &claims.task_type,
            security_level: &claims.security_level,
            required_capabilities: &claims.required_capabilities,
            scopes: &claims.scopes,
        })
        .map_err(Error::internal)?;
        let mut token = format!("{}.{}", self.header, BASE64_URL_SAFE_NO_PAD.encode(ascii(&payload)));
        let signature =
            crypto::sign(token.as_bytes(), &self.key, Algorithm::HS256).map_err(Error::internal)?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}

/// JSON with everything outside ASCII escaped; such characters stand in texts only.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

impl fmt::Debug for Hs256TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hs256TokenIssuer").finish_non_exhaustive()
    }
}

impl fmt::Display for EmptyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key that signs tokens is empty")
    }
}

impl std::error::Error for EmptyKey {}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> TokenClaims {
        let text = str::to_owned;
        TokenClaims {
            sub: text("tk-abc123"),
            iss: text("neural-hive-mind"),
            aud: text("worker-agents"),
            exp: 1_700_003_600,
            iat: 1_700_000_000,
            jti: text("00000000-0000-4000-8000-000000000000"),
            ticket_id: text("tk-abc123"),
            plan_id: text("plan-xyz"),
            intent_id: text("intent-1"),
            task_type: text("BUILD"),
            security_level: text("CONFIDENTIAL"),
            required_capabilities: vec![text("python")],
            scopes: ["ticket:read", "ticket:update", "task:build", "security:elevated"].map(text).to_vec(),
        }
    }

    #[test]
    fn signs_what_the_existing_service_signs() {
        let token = Hs256TokenIssuer::new(b"your-secret-key").unwrap().issue(&claims()).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(parts[0], "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
        assert_eq!(parts[2], "sQVUNgKs1h93cSiBFknxeQlBCQrJDJ53SBiFpt1Egeo");
    }

    #[test]
    fn any_verifier_reads_the_claims_back() {
        let mut claims = claims();
        claims.required_capabilities = vec!["é \"🐝\"".to_owned()];
        let token = Hs256TokenIssuer::new(b"k").unwrap().issue(&claims).unwrap();
        assert!(token.is_ascii());
        let mut rules = jsonwebtoken::Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        rules.set_audience(&["worker-agents"]);
        rules.set_issuer(&["neural-hive-mind"]);
        let read = |key: &[u8]| {
            let key = jsonwebtoken::DecodingKey::from_secret(key);
            jsonwebtoken::decode::<serde_json::Value>(&token, &key, &rules)
        };
        let read_back = read(b"k").unwrap().claims;
        assert_eq!(read_back["required_capabilities"][0], "é \"🐝\"");
        assert_eq!(read_back["exp"], 1_700_003_600);
        assert!(read(b"another").is_err());
    }

    #[test]
    fn no_key_no_token_and_no_key_in_the_log() {
        assert_eq!(Hs256TokenIssuer::new(b"").err(), Some(EmptyKey));
        let shown = format!("{:?}", Hs256TokenIssuer::new(b"hush").unwrap());
        assert!(!shown.contains("hush"));
    }
}
