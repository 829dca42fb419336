//! The innermost service: sends an attempt over one of the target's connections, and watches its end for the circuit
//! breaker of the address.

mod connect;
mod endpoint;
mod pool;
pub(super) mod resolve;
mod sent;
pub(super) mod target;
mod timeout;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, uri};
use http_body::Frame;
use http_body_util::{
    BodyExt as _,
    combinators::{MapErr, MapFrame},
};
use hyper::body::Incoming;
use tonic::{Status, body::Body};
use tower::{BoxError, Service};

pub(super) use self::pool::PoolSettings;
use self::{
    pool::{Pool, Taken},
    sent::{Sent, Written},
};
use super::outgoing::Outgoing;
use crate::{
    failure::{Failure, Kind, render},
    methods::Methods,
    observe::{ObservedBody, ResponseFuture},
};

/// The reason of an attempt that was never written to a connection.
pub(super) const UNSENT: &str = "UNSENT";

/// The reason of an attempt that HTTP/2 says no servicer has seen.
pub(super) const REFUSED: &str = "REFUSED_BY_TRANSPORT";

/// What an attempt is answered with.
pub(super) type AnswerBody = ObservedBody<ReceivedBody, Sent>;

type ReceivedBody = MapFrame<MapErr<Incoming, fn(hyper::Error) -> Status>, fn(Frame<Bytes>) -> Frame<Bytes>>;

/// Sends attempts.
#[derive(Clone, Debug)]
pub(super) struct Balance {
    pool: Arc<Pool>,
    methods: Arc<Methods>,
    margin: Duration,
}

impl Balance {
    /// Connects to nothing before the first call. `margin` is how much earlier than the caller a server gives up, at
    /// most a tenth of the time left.
    pub(super) fn new(methods: Arc<Methods>, settings: PoolSettings, margin: Duration) -> Self {
        Self { pool: Arc::new(Pool::new(settings)), methods, margin }
    }
}

impl<B> Service<Request<B>> for Balance
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = Failure;
    /// Boxed: the future of hyper's connection has no name.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let outgoing = Outgoing::of(&request, &self.methods);
        Box::pin(send(Arc::clone(&self.pool), outgoing, self.margin, request))
    }
}

async fn send<B>(
    pool: Arc<Pool>,
    outgoing: Arc<Outgoing>,
    margin: Duration,
    mut request: Request<B>,
) -> Result<Response<AnswerBody>, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Taken { mut sender, permit, load } = pool.take().await?;
    address(&mut request, &pool)?;
    // After the wait for a connection, which took its part of the time.
    if let Some(deadline) = outgoing.deadline {
        timeout::write(deadline, margin, request.headers_mut())?;
    }
    // What belongs to this process stays in it.
    request.extensions_mut().clear();
    let streaming = outgoing.method().streaming.answers_with_stream();
    let (sent, written) = Sent::new(permit, load, streaming, outgoing.deadline);
    let request = request.map(|inner| Body::new(Written::new(inner, written)));
    let answer = async move {
        match sender.try_send_request(request).await {
            Ok(response) => Ok(received(response)),
            Err(mut error) => {
                let unsent = error.take_message().is_some();
                let failure = connect::failure(error.into_error());
                Err(if unsent { failure.untouched().with_reason(UNSENT) } else { failure })
            }
        }
    };
    let mut response = ResponseFuture::new(answer, sent).await?;
    let goes_on = render::code_of(response.headers()).is_none();
    if let Some(sent) = response.body_mut().observer_mut() {
        sent.answered();
        if streaming && goes_on {
            sent.began();
        }
    }
    Ok(response)
}

/// An answer whose status can be read, at its head and at its end.
fn received(mut response: Response<Incoming>) -> Response<ReceivedBody> {
    fn readable(mut frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Some(trailers) = frame.trailers_mut() {
            render::remove_broken_details(trailers);
        }
        frame
    }
    render::remove_broken_details(response.headers_mut());
    response.map(|body| {
        body.map_err(status as fn(hyper::Error) -> Status)
            .map_frame(readable as fn(Frame<Bytes>) -> Frame<Bytes>)
    })
}

fn status(error: hyper::Error) -> Status {
    Status::from(connect::failure(error))
}

/// HTTP/2 needs the whole URI.
fn address<B>(request: &mut Request<B>, pool: &Pool) -> Result<(), Failure> {
    let target = &pool.settings.target;
    let mut parts = uri::Parts::default();
    parts.scheme = Some(target.scheme.clone());
    parts.authority = target.hosts.first().map(|host| host.authority.clone());
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() =
        Uri::from_parts(parts).map_err(|_| Failure::new(Kind::Invalid, "a call without a path"))?;
    Ok(())
}
