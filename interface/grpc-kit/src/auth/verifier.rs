//! Verifies tokens, and remembers the ones it verified: a signature costs more than the rest of the stack.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Validation, decode, decode_header};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use super::{Keys, Principal, failures::Failures, fetch::DocumentError, remote::Remote};
use crate::origin::Origin;

/// Verified tokens remembered at most.
const CACHED_TOKENS: usize = 10_000;

/// Longer tokens are refused unread: a header of that size is no token.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What a token must say, apart from being signed and not expired.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// The `iss` every token must have.
    pub issuer: Option<String>,
    /// The `aud` every token must contain.
    pub audience: Option<String>,
    /// How far clocks may differ, in seconds.
    pub leeway_seconds: u64,
}

/// The token is not valid. Deliberately says no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct Rejected;

/// Why a token does not say who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It is not valid.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The remote keys are not there, so nothing can be said.
    #[error("tokens cannot be verified at present")]
    NoKeys,
    /// Too many tokens from there were not valid, so it was not looked at.
    #[error("too many tokens were not valid")]
    TooManyFailures {
        /// Until one is looked at again.
        wait: Duration,
    },
}

/// What became of a token.
#[derive(Debug)]
pub(crate) enum Found {
    /// Who it speaks for.
    Valid(Principal),
    /// It is not valid, and will not be.
    Invalid,
    /// It names a key that is not there; it might be by now.
    UnknownKey,
    /// The remote keys were never there or are on their way, so nothing can be said.
    NoKeysYet {
        /// Whether keys that are here were tried: that costs as much as a token that is not valid.
        tried: bool,
    },
    /// Too many from its place were not valid; the next is looked at after this.
    TooManyFailures(Duration),
}

/// Why a token is not valid by the keys that are here.
enum Fault {
    /// No other key would change it.
    Token,
    /// None of them signed it.
    Keys {
        /// Whether any might have.
        tried: bool,
    },
}

/// Verifies JSON Web Tokens (RFC 7519). A token must have `exp`, and `sub` or `client_id`; `nbf`
/// counts when present.
#[derive(Debug)]
pub struct Verifier {
    held: Arc<Held>,
    remote: Option<Remote>,
    expected: Expectations,
    failures: Option<Failures>,
}

/// The keys, and what was verified with them.
#[derive(Debug)]
pub(super) struct Held {
    keys: RwLock<Keys>,
    /// Keyed by the whole token: a hash alone could be met by another token.
    verified: Cache<Box<str>, Principal>,
    /// How often the keys were replaced.
    generation: AtomicU64,
}

impl Held {
    pub(super) fn new(keys: Keys) -> Self {
        let (verified, generation) = (Cache::new(CACHED_TOKENS), AtomicU64::new(0));
        Self { keys: RwLock::new(keys), verified, generation }
    }

    /// Rotates the keys, and forgets what the old ones verified.
    pub(super) fn replace(&self, keys: Keys) {
        let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *held = keys;
        self.generation.fetch_add(1, Ordering::Release);
        // Under the lock: a verification with the old keys cannot fill the cache after this.
        self.verified.clear();
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).has_id(id)
    }
}

impl Verifier {
    /// A verifier with these keys.
    pub fn new(keys: Keys, expected: Expectations) -> Self {
        Self { held: Arc::new(Held::new(keys)), remote: None, expected, failures: None }
    }

    /// Looks at no further token from a place when this many in a minute were not valid: an IPv4 address, or a /64 of
    /// IPv6 addresses. What was verified before still counts. 0 for no limit, as without this.
    #[must_use]
    pub fn with_failures_per_minute(mut self, failures: u32) -> Self {
        self.failures = Failures::new(failures);
        self
    }

    /// Adds the keys of the key set at this URL. They are fetched while [`Verifier::keep_up_to_date`] runs, which the
    /// server does, and when a token names a key that is not there. `ca` names a file with the authorities to trust
    /// instead of the system's.
    pub(crate) fn with_remote(
        mut self,
        url: &str,
        ca: Option<PathBuf>,
        refresh: Duration,
    ) -> Result<Self, DocumentError> {
        let fixed = self.held.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.remote = Some(Remote::new(url, ca, refresh, fixed, Arc::clone(&self.held))?);
        Ok(self)
    }

    /// Fetches remote keys again and again, for as long as it is polled. Does nothing without any.
    pub async fn keep_up_to_date(&self) {
        match &self.remote {
            Some(remote) => remote.keep_up_to_date().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until remote keys were there once; `None` without any.
    pub(crate) fn first_keys(&self) -> Option<impl Future<Output = ()> + Send> {
        self.remote.as_ref().map(Remote::first)
    }

    /// Fetches remote keys for a token from there, unless that was done just now; waits for them, but not long.
    pub(crate) async fn refetch(&self, from: Option<Origin>) {
        if let Some(remote) = &self.remote {
            remote.asked(from).await;
        }
    }

    /// A token from there is refused as not valid.
    pub(crate) fn failed(&self, from: Option<Origin>) {
        if let (Some(failures), Some(origin)) = (&self.failures, from) {
            failures.count(origin);
        }
    }

    /// Rotates the keys. Tokens are verified anew, so those of removed keys are refused from now on.
    pub fn replace_keys(&self, keys: Keys) {
        self.held.replace(keys);
    }

    /// What a caller has to have read before it verifies a token, to ask later whether that [still
    /// counts](Self::still_counts).
    pub(crate) fn generation(&self) -> u64 {
        self.held.generation.load(Ordering::Acquire)
    }

    /// Whether a token that was verified at this generation of the keys would be again.
    pub(crate) fn still_counts(&self, generation: u64, principal: &Principal) -> bool {
        generation == self.generation() && self.is_current(principal, now())
    }

    fn is_current(&self, principal: &Principal, now: u64) -> bool {
        now <= principal.expires().saturating_add(self.expected.leeway_seconds)
    }

    /// Who the token speaks for, wherever it comes from.
    ///
    /// # Errors
    /// [`Rejected`] for every reason there is.
    pub fn verify(&self, token: &str) -> Result<Principal, Rejected> {
        self.remembered(token, now()).map_or_else(|| self.verify_anew(token).map_err(|_| Rejected), Ok)
    }

    /// As [`Verifier::verify`], for a token that comes from this address, if it comes from any; the remote keys are
    /// fetched first when it names one that is not there.
    ///
    /// # Errors
    /// [`Unverified::NoKeys`] while the remote keys were never there, or take too long to come again;
    /// [`Unverified::TooManyFailures`] when more tokens from there were not valid than may be;
    /// [`Unverified::Rejected`] for every other reason.
    pub async fn verify_fetching(&self, token: &str, from: Option<IpAddr>) -> Result<Principal, Unverified> {
        let from = from.map(Origin::from);
        let found = match self.find(token, from) {
            Found::UnknownKey | Found::NoKeysYet { .. } => {
                self.refetch(from).await;
                self.find(token, from)
            }
            found => found,
        };
        match found {
            Found::Valid(principal) => Ok(principal),
            Found::NoKeysYet { tried } => {
                if tried {
                    self.failed(from);
                }
                Err(Unverified::NoKeys)
            }
            Found::TooManyFailures(wait) => Err(Unverified::TooManyFailures { wait }),
            Found::Invalid | Found::UnknownKey => {
                self.failed(from);
                Err(Rejected.into())
            }
        }
    }

    /// As [`Verifier::verify`], but tells when [`Verifier::refetch`] could change the answer, and looks at no token from
    /// where too many [failed](Self::failed), unless it was verified before.
    pub(crate) fn find(&self, token: &str, from: Option<Origin>) -> Found {
        if let Some(principal) = self.remembered(token, now()) {
            return Found::Valid(principal);
        }
        let wait = self.failures.as_ref().zip(from).and_then(|(failures, origin)| failures.wait(origin));
        if let Some(wait) = wait {
            return Found::TooManyFailures(wait);
        }
        match self.verify_anew(token) {
            Ok(principal) => Found::Valid(principal),
            Err(Fault::Token) => Found::Invalid,
            Err(Fault::Keys { tried }) => match &self.remote {
                Some(remote) if !remote.was_fetched() => Found::NoKeysYet { tried },
                Some(remote) if self.names_unknown_key(token) => {
                    if remote.is_fetching() {
                        Found::NoKeysYet { tried }
                    } else {
                        Found::UnknownKey
                    }
                }
                _ => Found::Invalid,
            },
        }
    }

    fn names_unknown_key(&self, token: &str) -> bool {
        let header = Some(token).filter(|token| token.len() <= MAX_TOKEN_BYTES).map(decode_header);
        let id = header.and_then(|header| header.ok()?.kid);
        id.is_some_and(|id| !self.held.has_id(&id))
    }

    /// Who a token speaks for that was verified before.
    fn remembered(&self, token: &str, now: u64) -> Option<Principal> {
        let principal = self.held.verified.get(token)?;
        let current = self.is_current(&principal, now);
        if !current {
            self.held.verified.remove(token);
        }
        current.then_some(principal)
    }

    fn verify_anew(&self, token: &str) -> Result<Principal, Fault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Fault::Token);
        }
        let header = decode_header(token).map_err(|_| Fault::Token)?;
        let held = self.held.keys.read().unwrap_or_else(PoisonError::into_inner);
        let validation = self.validation(header.alg);
        let mut tried = false;
        let claims = held
            .candidates(&header)
            .inspect(|_| tried = true)
            .find_map(|key| decode::<Map<String, Value>>(token, &key.decoding, &validation).ok())
            .ok_or(Fault::Keys { tried })?
            .claims;
        let principal = Principal::from_claims(claims);
        if principal.subject().is_empty() {
            // It speaks for nobody, and all of its kind would be one caller.
            return Err(Fault::Token);
        }
        self.held.verified.insert(token.into(), principal.clone());
        Ok(principal)
    }

    fn validation(&self, algorithm: jsonwebtoken::Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.expected.leeway_seconds;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.expected.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match &self.expected.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            // A token may name audiences nobody here has an opinion on.
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

    fn verifier(expected: Expectations) -> Verifier {
        Verifier::new(Keys::default().with_secret(SECRET), expected)
    }

    fn token(algorithm: Algorithm, secret: &[u8], claims: &Value) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).expect("a token")
    }

    fn hs256(claims: &Value) -> String {
        token(Algorithm::HS256, SECRET, claims)
    }

    #[test]
    fn a_signed_token_names_its_subject() {
        let verifier = verifier(Expectations::default());
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = token(algorithm, SECRET, &json!({"sub": "alice", "exp": now() + 60, "aud": "any"}));
            assert_eq!(verifier.verify(&token).expect("valid").subject(), "alice");
        }
    }

    #[test]
    fn everything_else_is_rejected() {
        let expected =
            Expectations { issuer: Some("me".into()), audience: Some("us".into()), leeway_seconds: 0 };
        let verifier = verifier(expected);
        let soon = now() + 60;
        let good = json!({"sub": "a", "exp": soon, "iss": "me", "aud": ["us", "them"]});
        verifier.verify(&hs256(&good)).expect("valid");
        for claims in [
            json!({"sub": "a", "iss": "me", "aud": "us"}),
            json!({"sub": "a", "exp": now() - 5, "iss": "me", "aud": "us"}),
            json!({"sub": "a", "exp": soon, "nbf": soon, "iss": "me", "aud": "us"}),
            json!({"sub": "a", "exp": soon, "iss": "you", "aud": "us"}),
            json!({"sub": "a", "exp": soon, "aud": "us"}),
            json!({"sub": "a", "exp": soon, "iss": "me", "aud": "them"}),
            json!({"sub": "a", "exp": soon, "iss": "me"}),
            json!({"exp": soon, "iss": "me", "aud": "us"}),
            json!({"sub": "", "exp": soon, "iss": "me", "aud": "us"}),
        ] {
            assert_eq!(verifier.verify(&hs256(&claims)).expect_err("not valid"), Rejected, "{claims}");
        }
        let forged = token(Algorithm::HS256, b"another secret", &good);
        assert!(verifier.verify(&forged).is_err());
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.";
        assert!(verifier.verify(unsigned).is_err() && verifier.verify(&"x".repeat(9000)).is_err());
    }

    #[test]
    fn a_remembered_token_still_expires() {
        let verifier = verifier(Expectations { leeway_seconds: 10, ..Expectations::default() });
        let expires = now() + 60;
        let token = hs256(&json!({"sub": "a", "exp": expires}));
        verifier.verify(&token).expect("valid");
        verifier.remembered(&token, expires + 10).expect("within the leeway");
        assert!(verifier.remembered(&token, expires + 11).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn after_too_many_failures_only_tokens_verified_before_count() {
        let verifier = verifier(Expectations::default()).with_failures_per_minute(2);
        let valid = |subject: &str| hs256(&json!({"sub": subject, "exp": now() + 60}));
        let (here, there) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let (known, unknown) = (valid("known"), valid("unknown"));
        verifier.verify_fetching(&known, here).await.expect("valid");
        for _ in 0..2 {
            let failed = verifier.verify_fetching("x.y.z", here).await.expect_err("not valid");
            assert_eq!(failed, Rejected.into());
        }
        let wait = Duration::from_secs(30);
        for token in ["x.y.z", &unknown] {
            let refused = verifier.verify_fetching(token, here).await.expect_err("too many");
            assert_eq!(refused, Unverified::TooManyFailures { wait });
        }
        verifier.verify_fetching(&known, here).await.expect("verified before");
        verifier.verify_fetching(&unknown, there).await.expect("from elsewhere");
        tokio::time::advance(wait).await;
        verifier.verify_fetching(&valid("another"), here).await.expect("some time later");
    }

    #[tokio::test]
    async fn who_makes_tokens_up_while_remote_keys_are_missing_has_an_allowance_too() {
        let here = "192.0.2.1".parse().ok();
        let claims = json!({"sub": "a", "exp": now() + 60});
        let made_up = token(Algorithm::HS256, b"another secret", &claims);
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("unheard".to_owned());
        let private = include_bytes!("../../tests/keys/ed25519.private.pem");
        let key = EncodingKey::from_ed_pem(private).expect("a key");
        let of_remote = encode(&header, &claims, &key).expect("a token");
        for (token, expected) in [("x.y.z", Rejected.into()), (&*made_up, Unverified::NoKeys)] {
            // Nothing listens there.
            let verifier = verifier(Expectations::default())
                .with_failures_per_minute(1)
                .with_remote("http://127.0.0.1:1/keys", None, Duration::from_secs(300))
                .expect("a URL");
            for _ in 0..2 {
                let unknown = verifier.verify_fetching(&of_remote, here).await.expect_err("no key");
                assert_eq!(unknown, Unverified::NoKeys, "no key was tried, so it cost nothing");
            }
            assert_eq!(verifier.verify_fetching(token, here).await.expect_err("not valid"), expected);
            let refused = verifier.verify_fetching(token, here).await.expect_err("too many");
            assert!(matches!(refused, Unverified::TooManyFailures { .. }), "{token}: {refused:?}");
        }
    }

    #[test]
    fn replaced_keys_forget_what_they_verified() {
        let verifier = verifier(Expectations::default());
        let token = hs256(&json!({"sub": "a", "exp": now() + 60}));
        verifier.verify(&token).expect("valid");
        verifier.replace_keys(Keys::default().with_secret(b"another secret"));
        assert!(verifier.verify(&token).is_err());
    }

    #[test]
    fn a_public_key_verifies_only_its_own_algorithms() {
        let pem = include_str!("../../tests/keys/ed25519.public.pem");
        let private = include_bytes!("../../tests/keys/ed25519.private.pem");
        let verifier =
            Verifier::new(Keys::default().with_public_pem(pem).expect("a key"), Expectations::default());
        let claims = json!({"sub": "a", "exp": now() + 60});
        let key = EncodingKey::from_ed_pem(private).expect("a key");
        let signed = encode(&Header::new(Algorithm::EdDSA), &claims, &key).expect("a token");
        assert_eq!(verifier.verify(&signed).expect("valid").subject(), "a");
        // The classic confusion: the public key's text used as a shared secret.
        assert!(verifier.verify(&token(Algorithm::HS256, pem.as_bytes(), &claims)).is_err());
    }

    #[test]
    fn rsa_and_ec_tokens_verify() {
        let claims = json!({"sub": "a", "exp": now() + 60});
        let rsa =
            EncodingKey::from_rsa_pem(include_bytes!("../../tests/keys/rsa.private.pem")).expect("a key");
        let ec =
            EncodingKey::from_ec_pem(include_bytes!("../../tests/keys/p256.private.pem")).expect("a key");
        for (algorithm, key, public) in [
            (Algorithm::RS256, rsa, include_str!("../../tests/keys/rsa.public.pem")),
            (Algorithm::ES256, ec, include_str!("../../tests/keys/p256.public.pem")),
        ] {
            let keys = Keys::default().with_public_pem(public).expect("a key");
            let signed = encode(&Header::new(algorithm), &claims, &key).expect("a token");
            Verifier::new(keys, Expectations::default()).verify(&signed).expect("valid");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_rejected_without_panic(text in ".{0,80}") {
            prop_assert!(verifier(Expectations::default()).verify(&text).is_err());
        }
    }
}
