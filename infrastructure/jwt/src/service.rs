//! The token that processes of the platform show each other.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use hive_domain::time::Timestamp;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

/// Seconds that a token lives; half of that it is shown.
const LIFETIME_SECONDS: i64 = 3_600;

/// Signs tokens for one service, each for an hour, and shows the same one for half of that.
pub struct ServiceToken {
    key: EncodingKey,
    subject: String,
    issuer: Option<String>,
    audience: Option<String>,
    shown: Mutex<Option<(i64, HeaderValue)>>,
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
    /// Tokens of `subject`, signed with the secret that all processes share.
    pub fn new(key: &[u8], subject: &str, issuer: &Option<String>, audience: &Option<String>) -> Self {
        ServiceToken {
            key: EncodingKey::from_secret(key),
            subject: subject.to_owned(),
            issuer: issuer.clone(),
            audience: audience.clone(),
            shown: Mutex::new(None),
        }
    }

    /// The value of the header `authorization`. None when it cannot be signed, which the server then answers.
    pub fn header(&self, now: Timestamp) -> Option<HeaderValue> {
        let now = now.millis().div_euclid(1_000);
        // A value is replaced as a whole.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, header)) = &*shown
            && (0..LIFETIME_SECONDS / 2).contains(&(now - made_at))
        {
            return Some(header.clone());
        }
        let claims = Claims {
            sub: &self.subject,
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
            exp: now + LIFETIME_SECONDS,
            iat: now,
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.key).ok()?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        header.set_sensitive(true);
        *shown = Some((now, header.clone()));
        Some(header)
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken").field("subject", &self.subject).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_for_half_of_its_life() {
        let tokens = ServiceToken::new(b"key", "hive", &None, &Some("platform".to_owned()));
        let at = |second: i64| tokens.header(Timestamp::from_millis(second * 1_000)).unwrap();
        let first = at(1_000);
        assert!(first.is_sensitive() && first.to_str().unwrap().starts_with("Bearer "));
        assert_eq!(at(1_000 + LIFETIME_SECONDS / 2 - 1), first);
        let second = at(1_000 + LIFETIME_SECONDS / 2);
        assert_ne!(second, first);
        assert_ne!(at(500), second, "the clock went back");
        assert!(!format!("{tokens:?}").contains("key"));
    }
}
