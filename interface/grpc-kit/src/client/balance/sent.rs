//! An attempt on its way, to its end: what that says about the address it went to.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::Code;

use super::endpoint::Load;
use crate::{
    client::breaker::{Permit, Verdict, verdict},
    failure::{Effect, Failure, codes},
    observe::Observer,
};

/// An address that had less time than this to answer is not to blame for a late answer: the breaker is everybody's, and
/// a caller may set any deadline.
const FAIR_TIME: Duration = Duration::from_millis(250);

/// Ends with a verdict on the address.
#[derive(Debug)]
pub(crate) struct Sent {
    permit: Option<Permit>,
    streaming: bool,
    deadline: Option<Instant>,
    since: Instant,
    written: Arc<AtomicBool>,
    load: Load,
}

impl Sent {
    /// One that is sent now, and what notices that its request was written.
    pub(super) fn new(
        permit: Permit,
        load: Load,
        streaming: bool,
        deadline: Option<Instant>,
    ) -> (Self, Arc<AtomicBool>) {
        let written = Arc::new(AtomicBool::new(false));
        let noticed = Arc::clone(&written);
        (Self { permit: Some(permit), streaming, deadline, since: Instant::now(), written, load }, noticed)
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self) {
        self.load.heard();
    }

    /// A stream has begun, and may last: that is enough to say that the address works.
    pub(super) fn began(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.end(Verdict::Well);
        }
    }

    /// Nobody answered, who could have.
    fn late(&self) -> Verdict {
        if self.since.elapsed() < FAIR_TIME || !self.written.load(Ordering::Relaxed) {
            return Verdict::Neither;
        }
        // Not one answer to anybody: the connection may lead nowhere, and nothing else would tell.
        self.load.retire_if_silent();
        Verdict::Ill
    }
}

impl Observer for Sent {
    fn refused(&mut self, failure: &Failure) {
        // Turned away in good order, by a server that leaves or is full, or never sent.
        if failure.effect() == Effect::None {
            self.permit = None;
        }
        self.ended(codes::code(failure.kind()));
    }

    fn ended(&mut self, code: Code) {
        let Some(permit) = self.permit.take() else { return };
        // A caller whose time is up drops its call like one that went away, but there it was the server's doing.
        let up = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        permit.end(match code {
            Code::Cancelled if up && !self.streaming => self.late(),
            Code::DeadlineExceeded => self.late(),
            code => verdict(code),
        });
    }
}

pin_project! {
    /// A request body that notices when all of it was handed to the connection.
    #[derive(Debug)]
    pub(super) struct Written<B> {
        #[pin]
        inner: B,
        written: Arc<AtomicBool>,
    }
}

impl<B: Body> Written<B> {
    pub(super) fn new(inner: B, written: Arc<AtomicBool>) -> Self {
        written.store(inner.is_end_stream(), Ordering::Relaxed);
        Self { inner, written }
    }
}

impl<B: Body<Data = Bytes>> Body for Written<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        // The connection asks for no more once this is the last one.
        if frame.is_none() || this.inner.is_end_stream() {
            this.written.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
