//! A request body that can be sent again: what one attempt reads is kept, up to a bound, for the next. It ends with the
//! answer, whoever still writes to it.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

use crate::failure::Failure;

/// What a kept piece costs beside its bytes: its handle, and the allocation behind it.
const PIECE_BYTES: usize = 64;

/// Bytes that all requests of a target may keep together.
#[derive(Debug)]
pub(crate) struct Shared(AtomicUsize);

impl Shared {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }
}

/// What one request may keep, and has taken of the target's share.
#[derive(Debug)]
pub(super) struct Room {
    shared: Arc<Shared>,
    left: usize,
    taken: usize,
}

impl Room {
    pub(super) fn new(shared: &Arc<Shared>, bytes: usize) -> Self {
        Self { shared: Arc::clone(shared), left: bytes, taken: 0 }
    }

    fn take(&mut self, bytes: usize) -> bool {
        let Some(left) = self.left.checked_sub(bytes) else { return false };
        let fits = |free: usize| free.checked_sub(bytes);
        let taken = self.shared.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.left = left;
            self.taken += bytes;
        }
        taken
    }

    fn leave(&mut self) {
        self.shared.0.fetch_add(std::mem::take(&mut self.taken), Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The body as it came, and what was read of it.
#[derive(Debug)]
struct Source<B> {
    inner: B,
    kept: Vec<Bytes>,
    /// How many of them the present attempt has read.
    next: usize,
    room: Room,
    /// Nothing is missing from what is kept, and it may be needed.
    whole: bool,
    ended: bool,
    /// Why the caller's side of the request ended early.
    failed: Option<Failure>,
    /// The attempt that may read; earlier ones may be still on their way out.
    turn: u32,
    /// Whoever reads now, to be told when it may not any more.
    reader: Option<Waker>,
}

/// The body of one attempt.
#[derive(Debug)]
pub(crate) struct ReplayBody<B> {
    source: Arc<Mutex<Source<B>>>,
    turn: u32,
}

/// Makes the bodies of attempts.
#[derive(Debug)]
pub(super) struct Replay<B>(Arc<Mutex<Source<B>>>);

impl<B> Replay<B> {
    /// A body that does not fit into the room cannot be sent again.
    pub(super) fn new(inner: B, room: Room) -> Self {
        Self(Arc::new(Mutex::new(Source {
            inner,
            kept: Vec::new(),
            next: 0,
            room,
            whole: true,
            ended: false,
            failed: None,
            turn: 0,
            reader: None,
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

    /// Begins again, unless something is missing. In one step with the look at what is kept: from here on the attempt
    /// before cannot read what the next would not see.
    pub(super) fn rewind(&self) -> bool {
        let source = lock(&self.0);
        let whole = source.whole;
        if whole {
            supersede(source);
        }
        whole
    }

    /// The body of an attempt, from the beginning.
    pub(super) fn body(&self) -> ReplayBody<B> {
        ReplayBody { source: Arc::clone(&self.0), turn: lock(&self.0).turn }
    }

    /// There is an answer, so there will be no other attempt and nothing more is kept. The request ends when the answer
    /// is dropped.
    pub(super) fn commit(self) -> Over
    where
        B: Send + 'static,
    {
        lock(&self.0).commit();
        Over(self.0)
    }
}

/// The present reader has to stop.
fn supersede<B>(mut source: MutexGuard<'_, Source<B>>) {
    source.turn += 1;
    source.next = 0;
    let reader = source.reader.take();
    drop(source);
    if let Some(reader) = reader {
        reader.wake();
    }
}

trait End: Send + Sync {
    fn end(&self);
}

impl<B: Send> End for Mutex<Source<B>> {
    fn end(&self) {
        let mut source = lock(self);
        source.give_up();
        supersede(source);
    }
}

/// Ends the request on drop: a server must not wait for the rest of it after the caller has lost interest.
pub(super) struct Over(Arc<dyn End>);

impl fmt::Debug for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Over")
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.0.end();
    }
}

pin_project! {
    /// The body of an answer, with the request it answers.
    #[derive(Debug)]
    pub(crate) struct Answered<B> {
        #[pin]
        inner: B,
        over: Over,
    }
}

impl<B> Answered<B> {
    pub(super) fn new(inner: B, over: Over) -> Self {
        Self { inner, over }
    }
}

impl<B: Body> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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
        if self.room.take(chunk.len() + PIECE_BYTES) {
            self.kept.push(chunk.clone());
            self.next = self.kept.len();
        } else {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.whole = false;
        self.kept = Vec::new();
        self.next = 0;
        self.room.leave();
    }

    /// Nothing is needed for another attempt; the present one may still have to read of it.
    fn commit(&mut self) {
        self.whole = false;
        if self.next >= self.kept.len() {
            self.give_up();
        }
    }

    fn again(&mut self) -> Option<Bytes> {
        let chunk = self.kept.get(self.next)?.clone();
        self.next += 1;
        if !self.whole {
            self.commit();
        }
        Some(chunk)
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
            // The connection resets the stream with the reason it finds here.
            return Poll::Ready(Some(Err(h2::Error::from(h2::Reason::CANCEL).into())));
        }
        if let Some(chunk) = source.again() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if source.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut source.inner).poll_frame(cx) else {
            source.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
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
        source.turn == self.turn
            && source.next == source.kept.len()
            && (source.ended || source.inner.is_end_stream())
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
        Replay::new(StreamBody::new(stream::iter(frames)), alone(max_bytes))
    }

    /// So many bytes, shared with nobody.
    fn alone(bytes: usize) -> Room {
        Room::new(&Shared::new(bytes), bytes)
    }

    fn all(body: ReplayBody<StreamBody<Chunks>>) -> Bytes {
        body.collect().now_or_never().expect("ready").expect("a body").to_bytes()
    }

    /// Room for so many bytes in so many pieces.
    fn room(bytes: usize, pieces: usize) -> usize {
        bytes + pieces * PIECE_BYTES
    }

    #[test]
    fn every_attempt_sends_the_same() {
        let replay = replay(&["a", "b", "c"], room(10, 3));
        let mut first = replay.body();
        first.frame().now_or_never().expect("ready").expect("a frame").expect("a");
        assert!(replay.rewind());
        let late = first.frame().now_or_never().expect("ready").expect("a frame");
        assert!(late.is_err(), "the first attempt was superseded");
        assert_eq!(all(replay.body()), "abc");
        assert!(replay.rewind());
        assert_eq!(all(replay.body()), "abc");
    }

    #[test]
    fn what_the_attempt_before_still_reads_is_not_lost() {
        let replay = replay(&["aaaa", "bbbb", "cccc"], room(6, 1));
        let mut first = replay.body();
        first.frame().now_or_never().expect("ready").expect("a frame").expect("a");
        // Decided: the first attempt goes on for a while, and would read beyond what is kept.
        assert!(replay.rewind());
        assert!(first.frame().now_or_never().expect("ready").expect("a frame").is_err());
        assert_eq!(all(replay.body()), "aaaabbbbcccc");
        assert!(!replay.rewind(), "something is missing now");
    }

    #[test]
    fn the_end_of_the_answer_wakes_and_ends_the_request() {
        let endless = stream::pending::<Result<Frame<Bytes>, BoxError>>();
        let replay = Replay::new(StreamBody::new(endless), alone(10));
        let mut body = replay.body();
        let (waker, woken) = counting_waker();
        assert!(Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker)).is_pending());
        drop(Answered::new((), replay.commit()));
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let Some(Some(Err(error))) = body.frame().now_or_never() else { panic!("it goes on") };
        let reason = error.downcast_ref::<h2::Error>().and_then(h2::Error::reason);
        assert_eq!(reason, Some(h2::Reason::CANCEL));
    }

    struct Counting(Arc<AtomicUsize>);

    impl std::task::Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counting_waker() -> (Waker, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        (Waker::from(Arc::new(Counting(Arc::clone(&woken)))), woken)
    }

    #[test]
    fn nothing_is_kept_once_there_is_an_answer() {
        let replay = replay(&["a", "b", "c"], room(10, 3));
        let mut first = replay.body();
        first.frame().now_or_never().expect("ready").expect("a frame").expect("a");
        assert!(replay.rewind());
        let again = replay.body();
        let source = Arc::clone(&replay.0);
        let _over = replay.commit();
        assert_eq!(all(again), "abc");
        assert!(lock(&source).kept.is_empty());
    }

    #[test]
    fn requests_share_what_the_target_may_keep() {
        let shared = Shared::new(room(1, 1));
        let of = |text: &'static str| {
            let frame = Ok::<_, BoxError>(Frame::data(Bytes::from_static(text.as_bytes())));
            Replay::new(StreamBody::new(stream::iter([frame])), Room::new(&shared, 1000))
        };
        let (first, second) = (of("a"), of("b"));
        for replay in [&first, &second] {
            replay.body().collect().now_or_never().expect("ready").expect("a body");
        }
        assert_eq!((first.is_whole(), second.is_whole()), (true, false));
        drop(first.commit());
        let third = of("c");
        third.body().collect().now_or_never().expect("ready").expect("a body");
        assert!(third.is_whole(), "the first left its room");
    }

    #[test]
    fn a_long_body_is_sent_once_and_not_kept() {
        let replay = replay(&["aaaa", "bbbb", "cccc"], room(6, 2));
        assert_eq!(all(replay.body()), "aaaabbbbcccc");
        assert!(!replay.is_whole());
        assert!(lock(&replay.0).kept.is_empty());
    }

    #[test]
    fn the_end_is_known_without_reading_on() {
        let replay = replay(&["a"], room(10, 1));
        assert_eq!(all(replay.body()), "a");
        assert!(replay.rewind());
        let mut again = replay.body();
        assert!(!again.is_end_stream());
        again.frame().now_or_never().expect("ready").expect("a frame").expect("a");
        assert!(again.is_end_stream());
    }
}
