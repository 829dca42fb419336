//! The stack of one target, and what generated clients take.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Status, body::Body};
use tower::{Layer as _, Service};

use super::{
    balance::{AnswerBody, Balance},
    config::ClientConfig,
    deadline::{Deadline, DeadlineLayer},
    handed,
    inject::{Inject, InjectLayer},
    metrics::{Attempt, Metrics, MetricsLayer},
    retry::{Retry, RetryLayer, replay::Answered},
};
use crate::{
    compression::Compression,
    layer::{
        deadline::DeadlineBody,
        message_limit::{LimitedResponse, MessageLimit, MessageLimitLayer},
    },
    observe::ObservedBody,
};

/// The layers, outermost first.
pub(super) type Stack = Deadline<MessageLimit<Retry<Metrics<Inject<Balance>>>>>;

type StackBody = DeadlineBody<LimitedResponse<Answered<ObservedBody<AnswerBody, Attempt>>>>;

pin_project! {
    /// What a call is answered with. Dropping it before its end cancels the call at the server.
    pub struct ResponseBody {
        #[pin]
        inner: StackBody,
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseBody")
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut frame = ready!(self.project().inner.poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            handed::strip(trailers);
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

/// The layers of one target.
pub(super) struct Layers {
    pub(super) deadline: DeadlineLayer,
    pub(super) limit: MessageLimitLayer,
    pub(super) retry: RetryLayer,
    pub(super) metrics: MetricsLayer,
    pub(super) inject: InjectLayer,
}

/// One target. Cheap to clone; clones share its connections.
#[derive(Clone)]
pub struct Channel {
    stack: Stack,
    max_message_size: usize,
    compression: Compression,
}

impl Channel {
    pub(super) fn new(layers: &Layers, balance: Balance, config: &ClientConfig) -> Self {
        // Innermost: a token fetched before an attempt has to show in its headers.
        let attempt = layers.inject.layer(balance);
        // An attempt is what a server sees of a call, so that is what is counted.
        let attempt = layers.metrics.layer(attempt);
        let call = layers.retry.layer(attempt);
        // Above retries: a message too large is so every time.
        let call = layers.limit.layer(call);
        // Outermost: the time of a call is the time of all of it.
        let stack = layers.deadline.layer(call);
        Self { stack, max_message_size: config.max_message_size, compression: config.compression }
    }

    /// How messages are sent.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The bytes of one message, in both directions.
    pub fn max_message_size(&self) -> usize {
        self.max_message_size
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<ResponseBody>;
    type Error = Status;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Every layer is ready at all times: what cannot be sent fails.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        ResponseFuture { inner: self.stack.call(request) }
    }
}

pin_project! {
    /// A call on its way. Dropping it cancels the call at the server.
    pub struct ResponseFuture {
        #[pin]
        inner: <Stack as Service<Request<Body>>>::Future,
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().inner.poll(cx));
        Poll::Ready(match answer {
            Ok(mut response) => {
                handed::strip(response.headers_mut());
                Ok(response.map(|inner| ResponseBody { inner }))
            }
            Err(failure) => Err(handed::status(&failure)),
        })
    }
}
