//! The end of a server, in two stages: draining, then stopped. Whoever ends it holds the [`Shutdown`]; connections and
//! endless streams hold the [`Draining`] side.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio::sync::watch;

use crate::failure::{Failure, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Stopped,
}

/// Ends a server: [`Shutdown::drain`] lets what runs finish within the configured time, [`Shutdown::stop`] does not.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stage: Arc<watch::Sender<Stage>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { stage: Arc::new(watch::Sender::new(Stage::Running)) }
    }
}

impl Shutdown {
    /// A server that is to run.
    pub fn new() -> Self {
        Self::default()
    }

    /// First stage: health NOT_SERVING, no new connections, GOAWAY, and what runs may finish.
    pub fn drain(&self) {
        self.reach(Stage::Draining);
    }

    /// Second stage: what still runs is cut off.
    pub fn stop(&self) {
        self.reach(Stage::Stopped);
    }

    /// One step further: drain, and stop if draining already. What a signal does.
    pub fn advance(&self) {
        let draining = *self.stage.borrow() >= Stage::Draining;
        self.reach(if draining { Stage::Stopped } else { Stage::Draining });
    }

    /// The side that waits.
    pub fn draining(&self) -> Draining {
        Draining { stage: Some(self.stage.subscribe()) }
    }

    /// Advances at every SIGTERM and SIGINT: the first drains, the second stops. Ends after the second.
    ///
    /// # Errors
    /// When the process may not install signal handlers.
    #[cfg(unix)]
    pub async fn advance_on_signals(self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            self.advance();
        }
        Ok(())
    }

    fn reach(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let further = stage > *now;
            *now = stage.max(*now);
            further
        });
    }
}

/// Tells when a server drains. The default never does.
#[derive(Clone, Debug, Default)]
pub struct Draining {
    stage: Option<watch::Receiver<Stage>>,
}

impl Draining {
    /// Whether it drains now.
    pub fn is_draining(&self) -> bool {
        self.stage.as_ref().is_some_and(|stage| *stage.borrow() >= Stage::Draining)
    }

    /// Waits until it drains.
    pub async fn draining(&mut self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until what runs is to be cut off.
    pub async fn stopped(&mut self) {
        self.reached(Stage::Stopped).await;
    }

    async fn reached(&mut self, wanted: Stage) {
        let reached = match &mut self.stage {
            Some(stage) => stage.wait_for(|now| *now >= wanted).await.is_ok(),
            None => false,
        };
        if !reached {
            // Nobody is left who could end the server.
            std::future::pending::<()>().await;
        }
    }

    /// Ends a stream without a natural end when the server drains: with UNAVAILABLE, which tells the client to go
    /// on from where it is, on another server. What is there already goes out first, but not many items: a stream
    /// that always has one would never end.
    pub fn end<S>(self, stream: S) -> UntilDrained<S> {
        let mut waiting = self.clone();
        let drained: Drained = Box::pin(async move { waiting.draining().await });
        UntilDrained { inner: stream, stage: self, drained: Some(drained), items: 0, last: false }
    }
}

/// After so many items that follow each other without a pause, a stream looks whether it is to end.
const LOOK_EVERY: u32 = 16;

type Drained = Pin<Box<dyn Future<Output = ()> + Send>>;

pin_project! {
    /// A stream that ends when its server drains.
    pub struct UntilDrained<S> {
        #[pin]
        inner: S,
        stage: Draining,
        drained: Option<Drained>,
        items: u32,
        last: bool,
    }
}

impl<S> std::fmt::Debug for UntilDrained<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UntilDrained").field("ended", &self.drained.is_none()).finish_non_exhaustive()
    }
}

impl<S, T> Stream for UntilDrained<S>
where
    S: Stream<Item = Result<T, tonic::Status>>,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let Some(drained) = this.drained else { return Poll::Ready(None) };
        if !*this.last {
            if let Poll::Ready(item) = this.inner.poll_next(cx) {
                *this.items = this.items.wrapping_add(1);
                *this.last = this.items.is_multiple_of(LOOK_EVERY) && this.stage.is_draining();
                return Poll::Ready(item);
            }
            ready!(drained.as_mut().poll(cx));
        }
        *this.drained = None;
        // Whether anything happened is not known here: a servicer was at work.
        let failure = Failure::new(Kind::Unavailable, "the server is shutting down").with_reason("DRAINING");
        Poll::Ready(Some(Err(failure.into())))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn the_first_step_drains_and_the_second_stops() {
        let shutdown = Shutdown::new();
        let mut seen = shutdown.draining();
        assert!(!seen.is_draining() && seen.draining().now_or_never().is_none());
        shutdown.advance();
        seen.draining().await;
        assert!(seen.stopped().now_or_never().is_none());
        shutdown.advance();
        seen.stopped().await;
    }

    #[tokio::test]
    async fn stages_never_go_back() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        shutdown.drain();
        shutdown.draining().stopped().await;
    }

    #[test]
    fn the_default_never_drains() {
        assert!(Draining::default().draining().now_or_never().is_none());
    }

    #[tokio::test]
    async fn an_endless_stream_ends_with_unavailable() {
        let shutdown = Shutdown::new();
        let items = stream::iter([Ok(1), Ok(2)]).chain(stream::pending());
        let mut stream = shutdown.draining().end(items);
        shutdown.drain();
        assert_eq!(stream.next().await.expect("an item").expect("1"), 1);
        assert_eq!(stream.next().await.expect("an item").expect("2"), 2);
        let status = stream.next().await.expect("an item").expect_err("the end");
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_always_has_an_item_ends_too() {
        let shutdown = Shutdown::new();
        let mut stream = shutdown.draining().end(stream::repeat_with(|| Ok(1)));
        for _ in 0..5 {
            stream.next().await.expect("an item").expect("1");
        }
        shutdown.drain();
        let more = stream.by_ref().take_while(|item| std::future::ready(item.is_ok())).count().await;
        assert!(more < LOOK_EVERY as usize, "{more}");
        assert!(stream.next().await.is_none());
    }
}
