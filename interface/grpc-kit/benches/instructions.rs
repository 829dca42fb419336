//! What each layer of the server stack costs in instructions: the same calls through one layer more at a time, with no
//! network, no runtime and no second thread, so that the count is the same on every run.
//!
//! `cargo xtask bench instructions` runs it under callgrind and writes the counts into
//! `docs/reference/grpc-kit-costs.md`; `cargo xtask test` holds them against that page. Each stack prints a line, in the
//! order in which they are counted.
#![expect(clippy::print_stdout, reason = "the rows are for the command that counts")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made is worth nothing")]

use std::{fmt::Debug, hint::black_box, num::NonZeroU32, pin::Pin, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use hive_grpc_kit::{
    access_log::AccessLog,
    auth::{Expectations, Keys, Verifier},
    call::Connection,
    layer::{
        admission::{AdmissionLayer, Limits},
        auth::{AccessRules, AuthLayer},
        catch_panic::CatchPanicLayer,
        deadline::DeadlineLayer,
        error::ErrorLayer,
        logging::LoggingLayer,
        message_limit::MessageLimitLayer,
        metrics::MetricsLayer,
        observe::ObserveLayer,
        rate_limit::RateLimitLayer,
        request_id::RequestIdLayer,
        tracing::TracingLayer,
    },
    methods::Methods,
    server::config::AuthMode,
    testing::{TEST_SECRET, token},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use metrics_exporter_prometheus::PrometheusBuilder;
use mimalloc::MiMalloc;
use prost::Message as _;
use tonic::{Status, Streaming};
use tower::{Service, ServiceBuilder};

mod proto {
    #![expect(
        unused_qualifications,
        unreachable_pub,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        reason = "generated"
    )]
    tonic::include_proto!("kit.test.v1");
}

use proto::{
    EchoReply, EchoRequest,
    echo_server::{Echo, EchoServer},
};

/// The system's allocator takes a different path now and then, by what was allocated before.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.bin"));

/// Calls that are counted, of each stack and kind.
const CALLS: usize = 200;
/// Calls before that: they fill caches and grow buffers.
const WARM_UP: usize = 50;
/// Messages of one streaming call.
const MESSAGES: u32 = 100;

#[derive(Clone)]
struct Servicer;

type Replies = Pin<Box<dyn Stream<Item = Result<EchoReply, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Servicer {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(
        &self,
        request: tonic::Request<EchoRequest>,
    ) -> Result<tonic::Response<EchoReply>, Status> {
        Ok(tonic::Response::new(EchoReply { text: request.into_inner().text, principal: String::new() }))
    }

    async fn server_stream(
        &self,
        request: tonic::Request<EchoRequest>,
    ) -> Result<tonic::Response<Replies>, Status> {
        let EchoRequest { text, count } = request.into_inner();
        let reply = move |_| Ok(EchoReply { text: text.clone(), principal: String::new() });
        Ok(tonic::Response::new(Box::pin(stream::iter(0..count).map(reply))))
    }

    async fn client_stream(
        &self,
        _: tonic::Request<Streaming<EchoRequest>>,
    ) -> Result<tonic::Response<EchoReply>, Status> {
        Ok(tonic::Response::new(EchoReply::default()))
    }

    async fn bidi(
        &self,
        _: tonic::Request<Streaming<EchoRequest>>,
    ) -> Result<tonic::Response<Replies>, Status> {
        Ok(tonic::Response::new(Box::pin(stream::empty())))
    }
}

const SERVICER: &str = "the servicer, and making the request";

/// The same call again and again.
struct Calls {
    kind: &'static str,
    path: &'static str,
    headers: HeaderMap,
    body: Bytes,
    connection: Arc<Connection>,
}

impl Calls {
    fn new(
        (kind, path): (&'static str, &'static str),
        count: u32,
        bearer: &str,
        methods: &Arc<Methods>,
    ) -> Self {
        let message = EchoRequest { text: "hello".to_owned(), count }.encode_to_vec();
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.extend_from_slice(&message);
        let headers = [
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("authorization", bearer),
            ("x-correlation-id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"),
            ("user-agent", "bench/1.0"),
        ];
        let headers = headers
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let peer = Some(([127, 0, 0, 1], 50_000).into());
        let connection = Connection { peer, ..Connection::new(Arc::clone(methods)) };
        Self { kind, path, headers: headers.collect(), body: body.freeze(), connection: Arc::new(connection) }
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static(self.path);
        *request.headers_mut() = self.headers.clone();
        request.extensions_mut().insert(Arc::clone(&self.connection));
        request
    }

    /// Counts the calls through one stack, whose cost is what it takes over another one that was counted before.
    fn count<S, B>(&self, stack: &str, over: &str, mut service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Debug>,
        B: Body<Data = Bytes, Error: Debug>,
    {
        self.make(WARM_UP, &mut service);
        self.counted_calls(&mut service);
        end_of_count();
        println!("{}\t{stack}\t{over}\t{CALLS}", self.kind);
    }

    /// What callgrind counts, found by this name.
    #[inline(never)]
    fn counted_calls<S, B>(&self, service: &mut S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Debug>,
        B: Body<Data = Bytes, Error: Debug>,
    {
        self.make(CALLS, service);
    }

    /// Makes so many calls one after the other: what one frees the next allocates again, so that each costs the same.
    fn make<S, B>(&self, calls: usize, service: &mut S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Debug>,
        B: Body<Data = Bytes, Error: Debug>,
    {
        for _ in 0..calls {
            let response = service.call(self.request()).now_or_never().unwrap().unwrap();
            let mut body = std::pin::pin!(response.into_body());
            while let Some(frame) = body.frame().now_or_never().unwrap() {
                black_box(frame.unwrap());
            }
        }
    }
}

/// Ends what callgrind counts: it writes a profile whenever a function of either name is entered.
#[inline(never)]
fn end_of_count() {
    black_box(());
}

fn main() {
    metrics::set_global_recorder(PrometheusBuilder::new().build_recorder()).unwrap();
    let mut methods = Methods::empty();
    methods.add("kit.test.v1.Echo", DESCRIPTOR).unwrap();
    let methods = Arc::new(methods);
    let log = AccessLog::to(std::io::sink()).unwrap();
    let bearer = format!("Bearer {}", token("bench", &[]));
    for (method, count) in [
        (("unary", "/kit.test.v1.Echo/Unary"), 0),
        (("stream of 100", "/kit.test.v1.Echo/ServerStream"), MESSAGES),
    ] {
        one_layer_more(&Calls::new(method, count, &bearer, &methods), &methods, &log);
    }
}

/// The stacks, from the servicer alone to all layers; outermost first, as in a server.
fn one_layer_more(calls: &Calls, all: &Arc<Methods>, log: &AccessLog) {
    let methods = || Arc::clone(all);
    let servicer = || EchoServer::new(Servicer);
    let stack = ServiceBuilder::new();
    calls.count(SERVICER, "", stack.service(servicer()));
    let stack = stack.layer(RequestIdLayer::new(methods()));
    calls.count("request id", SERVICER, stack.service(servicer()));
    let stack = stack.layer(ErrorLayer::new(methods()));
    calls.count("error", "request id", stack.service(servicer()));
    let metrics = MetricsLayer::new(methods());
    let tracing = TracingLayer::new(methods(), None);
    let logging = LoggingLayer::new(methods(), Some(log.clone()), 1);
    // Alone, beside what the stack has instead of the three.
    calls.count("metrics, alone", "error", stack.clone().layer(metrics.clone()).service(servicer()));
    calls.count("tracing, alone", "error", stack.clone().layer(tracing.clone()).service(servicer()));
    calls.count("logging, alone", "error", stack.clone().layer(logging.clone()).service(servicer()));
    let stack = stack.layer(ObserveLayer::new(methods(), (metrics, tracing, logging)));
    calls.count("metrics, tracing, logging", "error", stack.service(servicer()));
    let stack = stack.layer(AdmissionLayer::new(
        methods(),
        Limits { calls: 100, streams: 4_096, low_share: 75 },
        &[],
    ));
    calls.count("admission", "metrics, tracing, logging", stack.service(servicer()));
    let stack = stack.layer(DeadlineLayer::new(methods(), None, None));
    calls.count("deadline", "admission", stack.service(servicer()));
    let verifier = Verifier::new(Keys::default().with_secret(TEST_SECRET), Expectations::default());
    let rules = AccessRules::default();
    let stack = stack.layer(AuthLayer::new(methods(), AuthMode::Required, Some(Arc::new(verifier)), &rules));
    calls.count("auth", "deadline", stack.service(servicer()));
    let rate = NonZeroU32::new(1_000_000_000);
    let stack = stack.layer(RateLimitLayer::new(methods(), rate, rate));
    calls.count("rate limit", "auth", stack.service(servicer()));
    let stack = stack.layer(CatchPanicLayer);
    calls.count("catch panic", "rate limit", stack.service(servicer()));
    let stack = stack.layer(MessageLimitLayer::new(4 * 1024 * 1024));
    calls.count("message limit", "catch panic", stack.service(servicer()));
}
