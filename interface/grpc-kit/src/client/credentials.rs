//! The tokens calls are sent with: fetched from their source when first needed, and again before they expire.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use tokio::{sync::Mutex, time::Instant};

use crate::{failure::Failure, server::config::Secret};

/// A token, and until when it is good.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token, without `Bearer`.
    pub text: Secret,
    /// How long it is valid from now; `None` for ever.
    pub valid_for: Option<Duration>,
}

/// Where tokens come from: an identity provider, a file, a metadata service.
pub trait TokenSource: Send + Sync + 'static {
    /// A fresh token.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Token, Failure>> + Send + '_>>;
}

impl TokenSource for Secret {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Token, Failure>> + Send + '_>> {
        let token = Token { text: self.clone(), valid_for: None };
        Box::pin(std::future::ready(Ok(token)))
    }
}

/// The header value of a bearer token, which never shows in logs; `None` when no header may have that text.
pub(super) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A source with the token in use. Clones share it.
#[derive(Clone)]
pub struct Credentials(Arc<Shared>);

struct Shared {
    source: Box<dyn TokenSource>,
    held: RwLock<Option<Held>>,
    /// One fetch at a time, whoever waits for it.
    fetching: Mutex<()>,
    renewing: AtomicBool,
}

#[derive(Clone)]
struct Held {
    value: HeaderValue,
    /// From here on it is renewed while it is still used.
    renew: Option<Instant>,
    expires: Option<Instant>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Nothing is fetched before the first call.
    pub fn new(source: impl TokenSource) -> Self {
        Self(Arc::new(Shared {
            source: Box::new(source),
            held: RwLock::new(None),
            fetching: Mutex::new(()),
            renewing: AtomicBool::new(false),
        }))
    }

    /// The token in use, if it is valid. One that expires soon is renewed in the background meanwhile.
    pub(super) fn held(&self) -> Option<HeaderValue> {
        let held = self.read().clone()?;
        let now = Instant::now();
        if held.expires.is_some_and(|expires| now >= expires) {
            return None;
        }
        if held.renew.is_some_and(|renew| now >= renew) && !self.0.renewing.swap(true, Ordering::AcqRel) {
            let (this, old) = (self.clone(), held.value.clone());
            tokio::spawn(async move {
                if let Err(failure) = this.fetch(Some(&old)).await {
                    tracing::warn!(reason = failure.reason(), "a token could not be renewed");
                }
                this.0.renewing.store(false, Ordering::Release);
            });
        }
        Some(held.value)
    }

    /// A valid token, after waiting for one if need be.
    pub(super) async fn wait(&self) -> Result<HeaderValue, Failure> {
        match self.held() {
            Some(value) => Ok(value),
            None => self.fetch(None).await,
        }
    }

    /// The server refused this token: the next call fetches another.
    pub(super) fn refused(&self, value: &HeaderValue) {
        let mut held = self.0.held.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A source that has only the one token would be asked for it at every call.
        if held.as_ref().is_some_and(|held| held.value == value && held.expires.is_some()) {
            *held = None;
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Held>> {
        self.0.held.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Fetches, unless somebody else did in the meantime: `old` is the token that is not wanted any more.
    async fn fetch(&self, old: Option<&HeaderValue>) -> Result<HeaderValue, Failure> {
        let _one = self.0.fetching.lock().await;
        let valid = |held: &&Held| held.expires.is_none_or(|expires| Instant::now() < expires);
        if let Some(held) = self.read().as_ref().filter(valid)
            && old != Some(&held.value)
        {
            return Ok(held.value.clone());
        }
        let token = self.0.source.fetch().await?;
        let value = bearer(&token.text).ok_or_else(|| Failure::internal("a token is no header value"))?;
        let now = Instant::now();
        let after = |share: u32| now.checked_add(token.valid_for? / 10 * share);
        let held = Held { value: value.clone(), renew: after(8), expires: after(10) };
        *self.0.held.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(held);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    struct Numbered(Arc<AtomicU32>, Duration);

    impl TokenSource for Numbered {
        fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Token, Failure>> + Send + '_>> {
            Box::pin(async {
                tokio::task::yield_now().await;
                let number = self.0.fetch_add(1, Ordering::Relaxed);
                Ok(Token { text: Secret::new(format!("t{number}")), valid_for: Some(self.1) })
            })
        }
    }

    fn credentials() -> (Credentials, Arc<AtomicU32>) {
        let fetched = Arc::new(AtomicU32::new(0));
        (Credentials::new(Numbered(Arc::clone(&fetched), Duration::from_secs(100))), fetched)
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_wait_for_one_fetch() {
        let (credentials, fetched) = credentials();
        assert!(credentials.held().is_none());
        let all = futures_util::future::join_all((0..20).map(|_| credentials.wait())).await;
        assert!(all.iter().all(|token| token.as_ref().is_ok_and(|token| token == "Bearer t0")));
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_before_it_expires() {
        let (credentials, _) = credentials();
        credentials.wait().await.expect("a token");
        tokio::time::advance(Duration::from_secs(85)).await;
        assert_eq!(credentials.held().expect("still valid"), "Bearer t0");
        // The fetch is a task of its own.
        let renewed = async {
            while credentials.held().expect("valid") != "Bearer t1" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(1), renewed).await.expect("renewed");
        tokio::time::advance(Duration::from_secs(200)).await;
        assert!(credentials.held().is_none());
        assert_eq!(credentials.wait().await.expect("a token"), "Bearer t2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_replaced_once() {
        let (credentials, fetched) = credentials();
        let first = credentials.wait().await.expect("a token");
        credentials.refused(&first);
        assert!(credentials.held().is_none());
        let second = credentials.wait().await.expect("a token");
        credentials.refused(&first);
        assert_eq!(credentials.held(), Some(second));
        assert_eq!(fetched.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_token_is_never_shown() {
        let value = bearer(&Secret::new("hunter2")).expect("a header value");
        assert!(!format!("{value:?}").contains("hunter2"));
        assert!(bearer(&Secret::new("a\nb")).is_none());
    }
}
