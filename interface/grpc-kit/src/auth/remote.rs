//! Keys that are fetched: again from time to time, and at once when a token names one that is not there, but not more
//! often than an attacker may make us.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Keys,
    fetch::{Document, DocumentError},
};

/// Between two fetches at least, whoever asks.
const PAUSE: Duration = Duration::from_secs(10);

/// A key set somewhere else.
#[derive(Debug)]
pub(super) struct Remote {
    document: Document,
    refresh: Duration,
    /// Fetches are one at a time; when the last one began.
    fetching: tokio::sync::Mutex<Option<Instant>>,
    /// What was fetched last, to tell a change.
    text: Mutex<String>,
    fetched: AtomicBool,
}

impl Remote {
    pub(super) fn new(url: &str, ca: Option<PathBuf>, refresh: Duration) -> Result<Self, DocumentError> {
        Ok(Self {
            document: Document::new(url, ca)?,
            refresh,
            fetching: tokio::sync::Mutex::new(None),
            text: Mutex::default(),
            fetched: AtomicBool::new(false),
        })
    }

    /// Whether the keys were there once.
    pub(super) fn was_fetched(&self) -> bool {
        self.fetched.load(Ordering::Acquire)
    }

    /// The keys, if they changed; `None` too when they cannot be fetched, were fetched just now, or are no keys. Who
    /// comes while they are fetched waits for that.
    pub(super) async fn changed(&self, fixed: &Keys) -> Option<Keys> {
        let mut began = self.fetching.lock().await;
        if began.is_some_and(|began| began.elapsed() < PAUSE) {
            return None;
        }
        *began = Some(Instant::now());
        let text = match self.document.fetch().await {
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(%error, "the key set could not be fetched");
                return None;
            }
        };
        let keys = match fixed.clone().with_jwks(&text) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(%error, "the key set could not be used");
                return None;
            }
        };
        self.fetched.store(true, Ordering::Release);
        let mut held = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if *held == text {
            return None;
        }
        *held = text;
        Some(keys)
    }

    /// Until the next fetch that nobody asks for: soon, as long as there are no keys at all.
    pub(super) async fn pause(&self) {
        tokio::time::sleep(if self.was_fetched() { self.refresh.max(PAUSE) } else { PAUSE }).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const FIRST: &str = r#"{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}"#;
    const SECOND: &str = r#"{"keys":[{"kty":"oct","kid":"b","k":"c2VjcmV0"}]}"#;

    /// Answers one client after the other with these.
    async fn publish(listener: TcpListener, sets: Vec<&'static str>) {
        for set in sets {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let _ = stream.read(&mut [0; 1024]).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{set}", set.len());
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    }

    #[tokio::test]
    async fn only_a_change_is_one_and_only_after_a_pause() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let publisher = tokio::spawn(publish(listener, vec![FIRST, FIRST, SECOND, "{}"]));
        let remote = Remote::new(&url, None, PAUSE).expect("a URL");
        let fixed = Keys::default();
        assert!(!remote.was_fetched());
        assert!(remote.changed(&fixed).await.expect("the first").has_id("a"));
        assert!(remote.was_fetched());
        for id in [None, Some("b"), None] {
            assert!(remote.changed(&fixed).await.is_none(), "too soon");
            // As if the pause were over.
            *remote.fetching.lock().await = None;
            let changed = remote.changed(&fixed).await;
            assert_eq!(changed.is_some_and(|keys| keys.has_id(id.unwrap_or_default())), id.is_some());
        }
        publisher.await.expect("no panic");
    }
}
