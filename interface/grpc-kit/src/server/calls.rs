//! The tasks that calls run in: each ends soon after its call's deadline, also while the client does not read what is
//! sent to it.

use std::{
    cell::Cell,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};
use tonic::Code;

use crate::observe::drop_as;

/// What an answer has after its deadline for trailers that say so, if its client reads.
const LAST_WORDS: Duration = Duration::from_millis(100);

thread_local! {
    /// When the call has to end whose answer began in the present poll.
    static ENDS: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// To be told while a call is polled: its answer begins, and has to be over by then. HTTP/2 takes one
/// [piece](super::pieces) ahead and asks the body for more only when the client had room for it, so that the body's own
/// timer may never be looked at.
pub(super) fn answer_begins(deadline: Option<Instant>) {
    ENDS.set(deadline);
}

/// What is known of a connection's calls: each runs in a task of its own, which holds this.
#[derive(Debug)]
pub(super) struct Activity {
    running: AtomicUsize,
    begun: AtomicUsize,
    /// Tells the server, when it ends, that no call is left.
    _alive: Alive,
}

/// Held by all that must be gone before a server has ended.
pub(super) type Alive = mpsc::Sender<Infallible>;

impl Activity {
    pub(super) fn new(alive: Alive) -> Self {
        Self { running: AtomicUsize::new(0), begun: AtomicUsize::new(0), _alive: alive }
    }

    /// Waits until no call has run for this long; up to twice as long, since calls write no time down.
    pub(super) async fn idle(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        let mut before = 0;
        loop {
            tokio::time::sleep(limit).await;
            let begun = self.begun.load(Ordering::Relaxed);
            if begun == before && self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
            before = begun;
        }
    }
}

/// Runs the calls of one connection.
#[derive(Clone)]
pub(super) struct Calls(pub(super) Arc<Activity>);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(Running { call: Some(call), end: None, _ends: Ends(Arc::clone(&self.0)) });
    }
}

struct Ends(Arc<Activity>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// One call; the order of the fields is that of their end.
    struct Running<F> {
        #[pin]
        call: Option<F>,
        // Armed for an answer that takes more than one poll.
        end: Option<Pin<Box<Sleep>>>,
        _ends: Ends,
    }
}

impl<F: Future> Future for Running<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(call) = this.call.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        ENDS.set(None);
        if call.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(end) = ENDS.take().and_then(|end| end.checked_add(LAST_WORDS)) {
            *this.end = Some(Box::pin(sleep_until(end)));
        }
        let Some(end) = this.end else { return Poll::Pending };
        ready!(end.as_mut().poll(cx));
        // HTTP/2 resets the stream of a call that is dropped.
        drop_as(Code::DeadlineExceeded, || this.call.set(None));
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use futures_util::FutureExt as _;

    use super::*;

    fn running<F: Future>(call: F) -> Pin<Box<Running<F>>> {
        let (alive, _gone) = mpsc::channel(1);
        let activity = Arc::new(Activity::new(alive));
        activity.running.fetch_add(1, Ordering::Relaxed);
        Box::pin(Running { call: Some(call), end: None, _ends: Ends(activity) })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stands_still_ends_after_its_deadline() {
        let begin = Instant::now();
        let mut told = false;
        let call = running(poll_fn(move |_| {
            if !std::mem::replace(&mut told, true) {
                answer_begins(Some(begin + Duration::from_secs(3)));
            }
            Poll::<()>::Pending
        }));
        tokio::time::timeout(Duration::from_secs(3_600), call).await.expect("it ends");
        assert!(begin.elapsed() >= Duration::from_secs(3) && begin.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_one_call_is_not_that_of_the_next() {
        running(poll_fn(|_| {
            answer_begins(Some(Instant::now()));
            Poll::Ready(())
        }))
        .await;
        let mut other = running(pending::<()>());
        assert!((&mut other).now_or_never().is_none());
        assert!(other.end.is_none());
    }
}
