//! Requests that nobody would send on purpose: the whole stack answers each of them once, with a status, and goes on.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hive_grpc_kit::{
    auth::{Expectations, Keys, Verifier},
    layer::{
        auth::AccessRules,
        metrics::{self, MetricsLayer},
    },
    methods::Methods,
    server::{
        config::{AuthMode, Config},
        stack::{Parts, Stack, stack},
    },
    servicer,
    testing::{Recorded, TEST_SECRET, token},
};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use proptest::{collection::vec, prelude::*};
use tower::ServiceExt as _;

use crate::servicer::{DESCRIPTOR, EchoServer, Gate, Servicer};

const UNARY: &str = "/kit.test.v1.Echo/Unary";

/// The stack around the servicer, with a token needed for the streaming methods.
fn served(recorded: &Recorded) -> Stack<EchoServer<Servicer>> {
    let mut methods = Methods::empty();
    methods.add("kit.test.v1.Echo", DESCRIPTOR).expect("the service");
    let methods = Arc::new(methods);
    let keys = Keys::default().with_secret(TEST_SECRET);
    let parts = Parts {
        verifier: Some(Arc::new(Verifier::new(keys, Expectations::default()))),
        access: AccessRules { public: vec![UNARY.to_owned()], ..AccessRules::default() },
        ..Parts::default()
    };
    let metrics = recorded.install(|| MetricsLayer::new(Arc::clone(&methods)));
    let servicer = servicer!(EchoServer, Servicer { gate: Gate::default() });
    stack(&Config::default(), AuthMode::Required, &methods, metrics, parts, servicer)
}

/// The code of the answer.
async fn code(stack: Stack<EchoServer<Servicer>>, request: Request<Full<Bytes>>) -> Option<String> {
    let (head, body) = stack.oneshot(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("its end");
    let headers =
        body.trailers().filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(&head.headers);
    headers.get("grpc-status").map(|code| code.to_str().expect("a number").to_owned())
}

/// Names with a meaning, and others.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "authorization",
        "grpc-timeout",
        "grpc-encoding",
        "grpc-accept-encoding",
        "traceparent",
        "tracestate",
        "x-correlation-id",
        "x-request-id",
        "x-priority",
        "te",
        "user-agent",
        "x-any-bin",
        "grpc-status",
    ];
    prop_oneof![proptest::sample::select(known.to_vec()).prop_map(str::to_owned), "[a-z][a-z0-9-]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_request_is_answered_once(
        path in prop_oneof![Just(UNARY.to_owned()), "(/[a-zA-Z.]{0,12}){0,3}"],
        headers in vec((name(), vec(any::<u8>(), 0..40)), 0..8),
        body in prop_oneof![
            vec(any::<u8>(), 0..64),
            // A message as it should be framed, of any content.
            vec(any::<u8>(), 0..64).prop_map(|message| {
                let length = u32::try_from(message.len()).expect("short").to_be_bytes();
                [&[0][..], &length, &message].concat()
            }),
        ],
    ) {
        let mut request = Request::post(if path.starts_with('/') { path } else { format!("/{path}") })
            .header("content-type", "application/grpc")
            .body(Full::from(body))
            .expect("a request");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let recorded = Recorded::default();
        let stack = served(&recorded);
        let code = runtime.block_on(async move {
            tokio::time::timeout(crate::PATIENCE, code(stack, request)).await.expect("an answer in time")
        });
        prop_assert!(code.and_then(|code| code.parse::<u8>().ok()).is_some_and(|code| code <= 16));
        prop_assert_eq!(recorded.value(metrics::STARTED, &[]), Some(1.0));
        prop_assert_eq!(recorded.value(metrics::HANDLED, &[]), Some(1.0));
        prop_assert_eq!(recorded.value(metrics::IN_FLIGHT, &[]), Some(0.0));
    }

    /// Whatever is done to a valid token, it is none.
    #[test]
    fn a_token_that_was_touched_is_refused(
        at in any::<proptest::sample::Index>(),
        with in "[A-Za-z0-9_.=-]{0,3}",
        take in 0_usize..4,
    ) {
        let valid = token("alice", &[]);
        let at = at.index(valid.len());
        let touched = format!("{}{with}{}", &valid[..at], &valid[(at + take).min(valid.len())..]);
        let verifier = Verifier::new(Keys::default().with_secret(TEST_SECRET), Expectations::default());
        prop_assert_eq!(verifier.verify(&touched).is_ok(), touched == valid, "{}", touched);
        prop_assert!(verifier.verify(&valid).is_ok());
    }
}

#[test]
fn the_requests_of_the_property_reach_the_servicer_too() {
    let recorded = Recorded::default();
    let request = Request::post(UNARY)
        .header("content-type", "application/grpc")
        .body(Full::from(&[0, 0, 0, 0, 3, 10, 1, b'a'][..]))
        .expect("a request");
    let answered = code(served(&recorded), request).now_or_never();
    assert_eq!(answered.expect("at once").as_deref(), Some("0"));
}
