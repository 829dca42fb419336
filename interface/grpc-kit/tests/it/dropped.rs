//! Calls that are dropped: before the answer, in the middle of it. Each layer lets go of everything below it at once, and
//! those that look have seen one call end, cancelled.

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hive_grpc_kit::{
    access_log::AccessLog,
    auth::{Expectations, Keys, Verifier},
    failure::Failure,
    layer::{
        admission::{AdmissionLayer, Limits},
        auth::{AccessRules, AuthLayer},
        catch_panic::CatchPanicLayer,
        deadline::DeadlineLayer,
        error::ErrorLayer,
        logging::LoggingLayer,
        message_limit::MessageLimitLayer,
        metrics::{self, MetricsLayer},
        observe::ObserveLayer,
        rate_limit::RateLimitLayer,
        request_id::RequestIdLayer,
        tracing::TracingLayer,
    },
    methods::Methods,
    server::config::AuthMode,
    testing::{Recorded, SharedBuffer, TEST_SECRET, token},
};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use tokio::time::Duration;
use tonic::Status;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use crate::servicer::DESCRIPTOR;

const METHOD: &str = "/kit.test.v1.Echo/ServerStream";

fn methods() -> Arc<Methods> {
    let mut methods = Methods::empty();
    methods.add("kit.test.v1.Echo", DESCRIPTOR).expect("the service");
    Arc::new(methods)
}

fn request() -> Request<Full<Bytes>> {
    Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "1H")
        .header("authorization", format!("Bearer {}", token("alice", &[])))
        .body(Full::default())
        .expect("a request")
}

/// Held by what a call runs in; how many hold it is how many calls run.
type Held = Arc<()>;

/// One message, and then nothing for ever.
struct Endless {
    said: bool,
    _held: Held,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if std::mem::replace(&mut self.said, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 1, 7])))))
    }
}

/// Drops a call through the layer before its answer, and another after the first message of it.
async fn lets_go<L, S, B>(name: &str, layer: &L, held: &Held)
where
    L: Layer<Below, Service = S>,
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: Body,
    B::Error: std::fmt::Debug,
{
    let mut call = Box::pin(layer.layer(Below { answers: false, held: Arc::clone(held) }).oneshot(request()));
    assert!((&mut call).now_or_never().is_none(), "{name}");
    assert!(Arc::strong_count(held) > 1, "{name}: it runs");
    drop(call);
    assert_eq!(Arc::strong_count(held), 1, "{name}: dropped before its answer");

    let below = Below { answers: true, held: Arc::clone(held) };
    let mut body = Box::pin(layer.layer(below).oneshot(request()).await.expect("an answer").into_body());
    body.frame().await.expect("a frame").expect("a message");
    assert!(body.frame().now_or_never().is_none(), "{name}");
    assert!(Arc::strong_count(held) > 1, "{name}: it runs");
    drop(body);
    assert_eq!(Arc::strong_count(held), 1, "{name}: dropped in the middle of its answer");
}

/// A service that never answers, or never ends.
#[derive(Clone)]
struct Below {
    answers: bool,
    held: Held,
}

impl<B> Service<Request<B>> for Below {
    type Response = Response<Endless>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Endless>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let (answers, held) = (self.answers, Arc::clone(&self.held));
        Box::pin(async move {
            if answers { Ok(Response::new(Endless { said: false, _held: held })) } else { pending().await }
        })
    }
}

#[tokio::test]
async fn layers_that_refuse_or_render_let_go() {
    let held = Held::default();
    let admission = AdmissionLayer::new(methods(), Limits { calls: 1, streams: 1, low_share: 100 }, &[]);
    lets_go("request id", &RequestIdLayer::new(methods()), &held).await;
    lets_go("admission", &admission, &held).await;
    assert_eq!(admission.running(), 0);
    lets_go("deadline", &DeadlineLayer::new(methods(), Some(Duration::from_secs(3600)), None), &held).await;
    let verifier = Verifier::new(Keys::default().with_secret(TEST_SECRET), Expectations::default());
    let rules = AccessRules::default();
    let auth = AuthLayer::new(methods(), AuthMode::Required, Some(Arc::new(verifier)), &rules);
    lets_go("auth", &auth, &held).await;
    lets_go("rate limit", &RateLimitLayer::new(methods(), 9.try_into().ok(), None), &held).await;
    lets_go("catch panic", &CatchPanicLayer, &held).await;
    lets_go("message limit", &MessageLimitLayer::new(1024), &held).await;
}

#[tokio::test]
async fn layers_that_look_let_go_and_have_seen_each_call_end_once() {
    let held = Held::default();
    let recorded = Recorded::default();
    let counted = recorded.install(|| MetricsLayer::new(methods()));
    lets_go("metrics", &counted, &held).await;
    let method = ("grpc_method", "ServerStream");
    let cancelled = recorded.value(metrics::HANDLED, &[method, ("grpc_code", "CANCELLED")]);
    assert_eq!((cancelled, recorded.value(metrics::HANDLED, &[])), (Some(2.0), Some(2.0)));
    assert_eq!(recorded.value(metrics::IN_FLIGHT, &[]), Some(0.0));
    assert_eq!(recorded.value(metrics::SENT, &[method]), Some(1.0));
    assert_eq!(recorded.value(metrics::HANDLING_SECONDS, &[method]), Some(2.0));

    let recorded = Recorded::default();
    let counted = recorded.install(|| MetricsLayer::new(methods()));
    let lines = SharedBuffer::default();
    let log = AccessLog::to(lines.clone()).expect("a thread");
    let all =
        (counted, TracingLayer::new(methods(), None), LoggingLayer::new(methods(), Some(log.clone()), 1));
    lets_go("the three at once", &ObserveLayer::new(methods(), all), &held).await;
    log.flush();
    let cancelled = recorded.value(metrics::HANDLED, &[method, ("grpc_code", "CANCELLED")]);
    assert_eq!((cancelled, recorded.value(metrics::IN_FLIGHT, &[])), (Some(2.0), Some(0.0)));
    assert_eq!(lines.text().matches("\"status\":\"CANCELLED\"").count(), 2);

    let lines = SharedBuffer::default();
    let log = AccessLog::to(lines.clone()).expect("a thread");
    // One success of a thousand is logged; what is cancelled is no success.
    lets_go("logging", &LoggingLayer::new(methods(), Some(log.clone()), 1000), &held).await;
    log.flush();
    let written = lines.text();
    assert_eq!(written.matches("\"status\":\"CANCELLED\"").count(), 2, "{written}");
    assert_eq!(written.lines().count(), 2);

    let events = SharedBuffer::default();
    let writer = events.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    lets_go("tracing", &TracingLayer::new(methods(), None), &held).await;
    drop(guard);
    let closed: Vec<_> = events.text().lines().map(str::to_owned).collect();
    assert_eq!(closed.len(), 2, "{closed:?}");
    assert!(closed.iter().all(|line| line.contains("rpc.grpc.status_code=1")), "{closed:?}");
}

/// A call whose time is up is let go of as if its caller had dropped it.
#[tokio::test(start_paused = true)]
async fn what_has_no_time_left_is_let_go_of() {
    let held = Held::default();
    let layer = DeadlineLayer::new(methods(), None, None);
    let mut call =
        Box::pin(layer.layer(Below { answers: false, held: Arc::clone(&held) }).oneshot(request()));
    let late = (&mut call).await.map(|_| ()).expect_err("an hour later");
    assert_eq!(late.kind(), hive_grpc_kit::failure::Kind::DeadlineExceeded);
    drop(call);
    assert_eq!(Arc::strong_count(&held), 1);

    let below = Below { answers: true, held: Arc::clone(&held) };
    let mut body = Box::pin(layer.layer(below).oneshot(request()).await.expect("an answer").into_body());
    body.frame().await.expect("a frame").expect("a message");
    let last = body.frame().await.expect("a frame").expect("trailers");
    assert_eq!(last.trailers_ref().expect("trailers")["grpc-status"], "4");
    assert_eq!(Arc::strong_count(&held), 1, "before anybody drops the body");
}

/// The error layer has rendered nothing yet, so it is only seen to let go.
#[tokio::test]
async fn the_outermost_layer_lets_go_of_a_refusal() {
    let service = service_fn(|_: Request<Full<Bytes>>| pending::<Result<Response<Full<Bytes>>, Failure>>());
    let mut call = Box::pin(ErrorLayer::new(methods()).layer(service).oneshot(request()));
    assert!((&mut call).now_or_never().is_none());
}
