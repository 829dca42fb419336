//! The innermost service: sends an attempt over one of the target's connections, and watches its end for the circuit
//! breaker of the address.

mod connect;
mod endpoint;
mod pool;
pub(super) mod resolve;
pub(super) mod target;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Uri, uri};
use http_body::Frame;
use http_body_util::{
    BodyExt as _,
    combinators::{MapErr, MapFrame},
};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::{BoxError, Service};

pub(super) use self::pool::PoolSettings;
use self::{
    endpoint::Load,
    pool::{Pool, Taken},
};
use super::{
    breaker::{Permit, Verdict, verdict},
    outgoing::Outgoing,
};
use crate::{
    failure::{Failure, Kind, render},
    methods::Methods,
    observe::{ObservedBody, Observer, ResponseFuture},
};

/// The reason of an attempt that was never written to a connection.
pub(super) const UNSENT: &str = "UNSENT";

/// What an attempt is answered with.
pub(super) type AnswerBody = ObservedBody<ReceivedBody, Sent>;

type ReceivedBody = MapFrame<MapErr<Incoming, fn(hyper::Error) -> Status>, fn(Frame<Bytes>) -> Frame<Bytes>>;

/// Sends attempts.
#[derive(Clone, Debug)]
pub(super) struct Balance {
    pool: Arc<Pool>,
    methods: Arc<Methods>,
}

impl Balance {
    /// Connects to nothing before the first call.
    pub(super) fn new(methods: Arc<Methods>, settings: PoolSettings) -> Self {
        Self { pool: Arc::new(Pool::new(settings)), methods }
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
        Box::pin(send(Arc::clone(&self.pool), outgoing, request.map(Body::new)))
    }
}

async fn send(
    pool: Arc<Pool>,
    outgoing: Arc<Outgoing>,
    mut request: Request<Body>,
) -> Result<Response<AnswerBody>, Failure> {
    let Taken { mut sender, permit, load } = pool.take().await?;
    address(&mut request, &pool)?;
    // What belongs to this process stays in it.
    request.extensions_mut().clear();
    let streaming = outgoing.method().streaming.answers_with_stream();
    let sent = Sent { permit: Some(permit), streaming, deadline: outgoing.deadline, _load: load };
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
    if streaming && render::code_of(response.headers()).is_none() {
        response.body_mut().observer_mut().map(Sent::began);
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
fn address(request: &mut Request<Body>, pool: &Pool) -> Result<(), Failure> {
    let target = &pool.settings.target;
    let mut parts = uri::Parts::default();
    parts.scheme = Some(target.scheme.clone());
    parts.authority = target.hosts.first().map(|host| host.authority.clone());
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() =
        Uri::from_parts(parts).map_err(|_| Failure::new(Kind::Invalid, "a call without a path"))?;
    Ok(())
}

/// An attempt on its way: ends with a verdict on the address it went to.
#[derive(Debug)]
pub(super) struct Sent {
    permit: Option<Permit>,
    streaming: bool,
    deadline: Option<Instant>,
    _load: Load,
}

impl Sent {
    /// A stream has begun, and may last: that is enough to say that the address works.
    fn began(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.end(Verdict::Well);
        }
    }
}

impl Observer for Sent {
    fn ended(&mut self, code: Code) {
        let Some(permit) = self.permit.take() else { return };
        // A caller whose time is up drops its call like one that went away, but there it was the server's doing.
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        permit.end(match code {
            Code::Cancelled if late && !self.streaming => Verdict::Ill,
            code => verdict(code),
        });
    }
}
