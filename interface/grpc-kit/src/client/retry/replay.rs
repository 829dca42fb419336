//! A request body that can be sent again: what one attempt reads is kept, up to a bound, for the next.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tower::BoxError;

use crate::failure::Failure;

/// The body as it came, and what was read of it.
#[derive(Debug)]
struct Source<B> {
    inner: B,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    max_bytes: usize,
    /// Nothing is missing from what is kept.
    whole: bool,
    ended: bool,
    /// Why the caller's side of the request ended early.
    failed: Option<Failure>,
    /// The attempt that may read; earlier ones may be still on their way out.
    turn: u32,
}

/// The body of one attempt.
#[derive(Debug)]
pub(crate) struct ReplayBody<B> {
    source: Arc<Mutex<Source<B>>>,
    next: usize,
    turn: u32,
}

/// Makes the bodies of attempts.
#[derive(Debug)]
pub(super) struct Replay<B>(Arc<Mutex<Source<B>>>);

impl<B> Replay<B> {
    /// Keeps at most so many bytes; a body that is longer cannot be sent again.
    pub(super) fn new(inner: B, max_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Source {
            inner,
            kept: Vec::new(),
            kept_bytes: 0,
            max_bytes,
            whole: true,
            ended: false,
            failed: None,
            turn: 0,
        })))
    }

    /// Whether another attempt could send all of it.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.0).whole
    }

    /// Why the request could not be read to its end: HTTP/2 knows only that it was broken off.
    pub(super) fn failure(&self) -> Option<Failure> {
        lock(&self.0).failed.take()
    }

    /// The body of the next attempt. It takes the place of the one before, which fails if it is still read.
    pub(super) fn body(&self) -> ReplayBody<B> {
        let mut source = lock(&self.0);
        source.turn += 1;
        ReplayBody { source: Arc::clone(&self.0), next: 0, turn: source.turn }
    }
}

fn lock<B>(source: &Mutex<Source<B>>) -> MutexGuard<'_, Source<B>> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> Source<B> {
    fn keep(&mut self, chunk: &Bytes) {
        if !self.whole {
            return;
        }
        self.kept_bytes += chunk.len();
        if self.kept_bytes > self.max_bytes {
            self.give_up();
        } else {
            self.kept.push(chunk.clone());
        }
    }

    fn give_up(&mut self) {
        self.whole = false;
        self.kept = Vec::new();
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut source = lock(&this.source);
        if source.turn != this.turn {
            return Poll::Ready(Some(Err("another attempt has taken over".into())));
        }
        if let Some(chunk) = source.kept.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if source.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut source.inner).poll_frame(cx));
        Poll::Ready(match frame {
            None => {
                source.ended = true;
                None
            }
            Some(Ok(frame)) => {
                match frame.data_ref() {
                    Some(chunk) => source.keep(chunk),
                    // gRPC requests have no trailers; whoever sends some does without retries.
                    None => source.give_up(),
                }
                this.next = source.kept.len();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = error.into();
                source.give_up();
                source.failed = error.downcast_ref().map(Failure::of_status);
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        let source = lock(&self.source);
        self.next == source.kept.len() && (source.ended || source.inner.is_end_stream())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    type Chunks = stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>>;

    fn replay(chunks: &[&'static str], max_bytes: usize) -> Replay<StreamBody<Chunks>> {
        let frames: Vec<_> =
            chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))).collect();
        Replay::new(StreamBody::new(stream::iter(frames)), max_bytes)
    }

    fn all(body: ReplayBody<StreamBody<Chunks>>) -> Bytes {
        body.collect().now_or_never().expect("ready").expect("a body").to_bytes()
    }

    #[test]
    fn every_attempt_sends_the_same() {
        let replay = replay(&["a", "b", "c"], 10);
        let mut first = replay.body();
        first.frame().now_or_never().expect("ready").expect("a frame").expect("a");
        assert!(replay.is_whole());
        assert_eq!(all(replay.body()), "abc");
        assert_eq!(all(replay.body()), "abc");
        let late = first.frame().now_or_never().expect("ready").expect("a frame");
        assert!(late.is_err(), "the first attempt was superseded");
    }

    #[test]
    fn a_long_body_is_sent_once_and_not_kept() {
        let replay = replay(&["aaaa", "bbbb", "cccc"], 6);
        assert_eq!(all(replay.body()), "aaaabbbbcccc");
        assert!(!replay.is_whole());
        assert!(lock(&replay.0).kept.is_empty());
    }

    #[test]
    fn the_end_is_known_without_reading_on() {
        let replay = replay(&["a"], 10);
        assert_eq!(all(replay.body()), "a");
        let mut again = replay.body();
        assert!(!again.is_end_stream());
        again.frame().now_or_never().expect("ready").expect("a frame").expect("a");
        assert!(again.is_end_stream());
    }
}
