//! Keys that are fetched: again from time to time, and at once when a token names one that is not there, but not more
//! often than an attacker may make us. A fetch runs in a task of its own: whoever asked for it may go away, and a
//! caller that goes away soon could otherwise keep all others from new keys.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Keys,
    fetch::{Document, DocumentError},
    verifier::Held,
};
use crate::origin::Origin;

/// Between the end of a fetch and the next one that a token asks for.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a call waits for the keys: it holds its place among the running calls meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// Calls that wait for the keys at once. Nobody has been identified yet, so they must not fill the server.
const WAITING: usize = 16;

/// Of these, those that come from one place: whoever makes keys up does not keep all others from waiting.
const WAITING_FROM_ONE: usize = 4;

/// A key set somewhere else.
#[derive(Debug)]
pub(super) struct Remote {
    source: Arc<Source>,
    refresh: Duration,
    waiting: Waiting,
}

/// Where the calls come from that wait.
#[derive(Debug, Default)]
struct Waiting(Mutex<Vec<Option<Origin>>>);

/// A place among those that wait; given back on drop.
struct Place<'a> {
    waiting: &'a Waiting,
    from: Option<Origin>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Vec<Option<Origin>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, unless too many wait, or too many from there. Callers in memory come from nowhere, and are trusted.
    fn place(&self, from: Option<Origin>) -> Option<Place<'_>> {
        let mut waiting = self.lock();
        let from_there = waiting.iter().filter(|other| from.is_some() && **other == from).count();
        let free = waiting.len() < WAITING && from_there < WAITING_FROM_ONE;
        free.then(|| {
            waiting.push(from);
            Place { waiting: self, from }
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        if let Some(place) = waiting.iter().position(|from| *from == self.from) {
            waiting.swap_remove(place);
        }
    }
}

#[derive(Debug)]
struct Source {
    document: Document,
    /// Those of the configuration, which stay when the remote ones change.
    fixed: Keys,
    held: Arc<Held>,
    state: Mutex<State>,
    fetched: AtomicBool,
    /// Counts the fetches that ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    ended: Option<Instant>,
    succeeded: Option<Instant>,
    /// What was fetched last, to tell a change.
    text: String,
}

/// A fetch on its way; dropped at its end, however it ends.
struct Running(Arc<Source>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running = false;
        state.ended = Some(Instant::now());
        drop(state);
        self.0.ended.send_modify(|count| *count += 1);
    }
}

impl Source {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) {
        let text = match self.document.fetch().await {
            Ok(text) => text,
            Err(error) => return tracing::warn!(%error, "the key set could not be fetched"),
        };
        let keys = match self.fixed.clone().with_remote_jwks(&text) {
            Ok(keys) => keys,
            Err(error) => return tracing::warn!(%error, "the key set could not be used"),
        };
        let mut state = self.lock();
        state.succeeded = Some(Instant::now());
        if state.text != text {
            state.text = text;
            self.held.replace(keys);
            tracing::info!("the keys that verify tokens were replaced");
        }
        self.fetched.store(true, Ordering::Release);
    }
}

impl Remote {
    pub(super) fn new(
        url: &str,
        ca: Option<PathBuf>,
        refresh: Duration,
        fixed: Keys,
        held: Arc<Held>,
    ) -> Result<Self, DocumentError> {
        let source = Source {
            document: Document::new(url, ca)?,
            fixed,
            held,
            state: Mutex::default(),
            fetched: AtomicBool::new(false),
            ended: watch::Sender::new(0),
        };
        Ok(Self { source: Arc::new(source), refresh, waiting: Waiting::default() })
    }

    /// Whether the keys were there once.
    pub(super) fn was_fetched(&self) -> bool {
        self.source.fetched.load(Ordering::Acquire)
    }

    /// Whether they are on their way.
    pub(super) fn is_fetching(&self) -> bool {
        self.source.lock().running
    }

    /// Waits until the keys were there once.
    pub(super) async fn first(&self) {
        let mut ended = self.source.ended.subscribe();
        // It cannot fail: the sender is here.
        let _ = ended.wait_for(|_| self.was_fetched()).await;
    }

    /// The keys for a token from there that names one that is not here: fetched, unless that was done just now. Returns
    /// when they are here, or it takes too long, or too many wait already.
    pub(super) async fn asked(&self, from: Option<Origin>) {
        if let Some(_place) = self.waiting.place(from)
            && let Some(mut ended) = self.begin(|state| state.ended)
        {
            let _ = timeout(PATIENCE, ended.changed()).await;
        }
    }

    /// Fetches again and again, for as long as it is polled: soon, as long as there are no keys at all. A fetch that
    /// failed because of a token does not delay it.
    pub(super) async fn keep_up_to_date(&self) {
        loop {
            if let Some(mut ended) = self.begin(|state| state.succeeded) {
                let _ = ended.changed().await;
            }
            let pause = if self.was_fetched() { self.refresh.max(PAUSE) } else { PAUSE };
            tokio::time::sleep(pause).await;
        }
    }

    /// Begins a fetch, or joins the one on its way; `None` when `last` is just over.
    fn begin(&self, last: impl FnOnce(&State) -> Option<Instant>) -> Option<watch::Receiver<u64>> {
        let mut state = self.source.lock();
        if !state.running {
            if last(&state).is_some_and(|last| last.elapsed() < PAUSE) {
                return None;
            }
            state.running = true;
            let running = Running(Arc::clone(&self.source));
            tokio::spawn(async move { running.0.fetch().await });
        }
        // Under the lock, so that the end cannot come before.
        Some(self.source.ended.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;
    use crate::testing::key_set;

    /// Answers one client after the other with what it is told to.
    async fn publisher() -> (String, mpsc::Receiver<()>, mpsc::Sender<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let (asked, came) = mpsc::channel(8);
        let (answers, mut told) = mpsc::channel::<String>(8);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                asked.send(()).await.expect("a test");
                let Some(set) = told.recv().await else { return };
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{set}", set.len());
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
        });
        (url, came, answers)
    }

    fn remote(url: &str) -> Remote {
        let held = Arc::new(Held::new(Keys::default()));
        Remote::new(url, None, PAUSE, Keys::default(), held).expect("a URL")
    }

    /// As if the pause were over.
    fn forget(remote: &Remote) {
        let mut state = remote.source.lock();
        (state.ended, state.succeeded) = (None, None);
    }

    #[tokio::test]
    async fn only_what_is_a_key_set_replaces_the_keys_and_only_after_a_pause() {
        let (url, mut came, answers) = publisher().await;
        let remote = remote(&url);
        assert!(!remote.was_fetched());
        for (set, id) in [(key_set(&["a"]), "a"), (key_set(&["b"]), "b"), ("{}".to_owned(), "b")] {
            answers.send(set).await.expect("a publisher");
            while remote.source.lock().ended.is_none() {
                remote.asked(None).await;
            }
            came.recv().await.expect("asked");
            assert!(remote.was_fetched() && remote.source.held.has_id(id), "{id}");
            remote.asked(None).await;
            assert!(came.try_recv().is_err(), "too soon");
            forget(&remote);
        }
    }

    #[tokio::test]
    async fn who_goes_away_while_the_keys_are_fetched_keeps_nobody_from_them() {
        let (url, mut came, answers) = publisher().await;
        let remote = remote(&url);
        let first = remote.asked(None);
        tokio::select! {
            () = first => unreachable!("nothing was answered"),
            _ = came.recv() => {}
        }
        answers.send(key_set(&["a"])).await.expect("a publisher");
        timeout(Duration::from_secs(30), remote.first()).await.expect("fetched all the same");
        assert!(remote.source.held.has_id("a"));
    }

    #[tokio::test]
    async fn those_who_wait_are_few_and_do_not_wait_long() {
        let (url, _came, _answers) = publisher().await;
        let remote = Arc::new(remote(&url));
        let mut waiting = tokio::task::JoinSet::new();
        for place in 0..WAITING {
            let remote = Arc::clone(&remote);
            let from = Some(Origin::V4(place as u32));
            waiting.spawn(async move { remote.asked(from).await });
        }
        while remote.waiting.lock().len() < WAITING {
            tokio::task::yield_now().await;
        }
        // One too many: it does not wait at all.
        assert!(futures_util::FutureExt::now_or_never(remote.asked(None)).is_some());
        while waiting.join_next().await.is_some() {}
        assert!(remote.is_fetching(), "the fetch goes on without them");
        assert!(remote.waiting.lock().is_empty(), "the places are free again");
    }

    #[test]
    fn one_place_has_a_share_of_those_that_wait() {
        let waiting = Waiting::default();
        let (here, there) = (Some(Origin::V4(1)), Some(Origin::V4(2)));
        let mut places: Vec<_> = (0..WAITING).map_while(|_| waiting.place(here)).collect();
        assert_eq!(places.len(), WAITING_FROM_ONE);
        places.push(waiting.place(there).expect("somebody else"));
        places.remove(0);
        places.push(waiting.place(here).expect("one is free again"));
        assert!(waiting.place(here).is_none());
        places.extend((0..WAITING).map_while(|_| waiting.place(None)));
        assert_eq!(places.len(), WAITING);
        drop(places);
        assert!(waiting.lock().is_empty());
    }
}
