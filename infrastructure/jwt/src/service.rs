//! The token that processes of the platform show each other.

use std::fmt;
use std::time::Duration;

use hive_domain::time::Timestamp;
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// Seconds that a token lives.
const LIFETIME_SECONDS: i64 = 3_600;

/// Signs tokens for one service, each for an hour.
pub struct ServiceToken {
    key: EncodingKey,
    subject: String,
    issuer: Option<String>,
    audience: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    exp: i64,
    iat: i64,
}

impl ServiceToken {
    /// How long a token is shown: half of its life, since clocks differ.
    pub const SHOWN_FOR: Duration = Duration::from_secs(LIFETIME_SECONDS.unsigned_abs() / 2);

    /// Tokens of `subject`, signed with the secret that all processes share.
    pub fn new(key: &[u8], subject: &str, issuer: &Option<String>, audience: &Option<String>) -> Self {
        ServiceToken {
            key: EncodingKey::from_secret(key),
            subject: subject.to_owned(),
            issuer: issuer.clone(),
            audience: audience.clone(),
        }
    }

    /// A token from `now` on.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, now: Timestamp) -> Result<String, Error> {
        let now = now.millis().div_euclid(1_000);
        let claims = Claims {
            sub: &self.subject,
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
            exp: now + LIFETIME_SECONDS,
            iat: now,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.key)
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken").field("subject", &self.subject).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_token_says_who_and_for_how_long() {
        let tokens = ServiceToken::new(b"key", "hive", &None, &Some("platform".to_owned()));
        let token = tokens.sign(Timestamp::from_millis(1_000_999)).unwrap();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.set_audience(&["platform"]);
        let claims = decode::<serde_json::Value>(&token, &DecodingKey::from_secret(b"key"), &validation)
            .unwrap()
            .claims;
        assert_eq!(
            (&claims["sub"], &claims["iat"], &claims["exp"]),
            (&"hive".into(), &1_000.into(), &4_600.into())
        );
        assert!(claims.get("iss").is_none());
        assert!(ServiceToken::SHOWN_FOR < Duration::from_secs(3_600));
        assert!(!format!("{tokens:?}").contains("key"));
    }
}
