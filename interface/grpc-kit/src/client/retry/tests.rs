//! Retries against a service that does what a list says, with paused time.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use http_body_util::{BodyExt as _, Full};
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::health::{DESCRIPTOR, SERVICE};

const IDEMPOTENT: &str = "/grpc.health.v1.Health/Check";
const OTHER: &str = "/grpc.health.v1.Health/Watch";

/// What an attempt is answered with.
enum Answer {
    Fail(Failure),
    Head(&'static [(&'static str, &'static str)]),
    Never,
}

fn fail(kind: Kind) -> Answer {
    Answer::Fail(Failure::new(kind, "no"))
}

fn layer(max_retries: u32, burst: u32) -> RetryLayer {
    let mut methods = Methods::empty();
    methods.add(SERVICE, DESCRIPTOR).expect("the health service");
    let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(30), multiplier: 2.0 };
    let settings = RetrySettings {
        max_retries,
        backoff,
        budget: Budget::new(0.0, burst),
        buffer_bytes: 16,
        attempt_timeout: Some(Duration::from_secs(5)),
        retries: Counter::noop(),
    };
    RetryLayer::new(Arc::new(methods), settings)
}

/// The attempts a call takes, each as the body it sent and its count of earlier attempts; and whether it succeeded.
async fn attempts(
    layer: RetryLayer,
    path: &str,
    body: &'static str,
    answers: impl IntoIterator<Item = Answer>,
) -> (Vec<(String, Option<String>)>, bool) {
    let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_service = Arc::clone(&seen);
    let service = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let answer = answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let seen = Arc::clone(&of_service);
        async move {
            let before = request.headers().get(PREVIOUS_ATTEMPTS);
            let before = before.map(|value| value.to_str().expect("a number").to_owned());
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            seen.lock().expect("no panic").push((String::from_utf8_lossy(&body).into_owned(), before));
            let mut response = Response::new(());
            match answer {
                None => {}
                Some(Answer::Fail(failure)) => return Err(failure),
                Some(Answer::Never) => std::future::pending().await,
                Some(Answer::Head(headers)) => {
                    for (name, value) in headers {
                        response.headers_mut().insert(*name, HeaderValue::from_static(value));
                    }
                }
            }
            Ok::<_, Failure>(response)
        }
    });
    let request = Request::builder().uri(path).body(Full::from(body)).expect("a request");
    let result = layer.layer(service).oneshot(request).await;
    let succeeded = result.is_ok_and(|response| response.headers().is_empty());
    let seen = seen.lock().expect("no panic").clone();
    (seen, succeeded)
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_sent_again_whole_and_counted() {
    let answers = [fail(Kind::Unavailable), Answer::Head(&[("grpc-status", "14")])];
    let (seen, succeeded) = attempts(layer(3, 10), IDEMPOTENT, "hello", answers).await;
    let expected = [None, Some("1"), Some("2")].map(|before| ("hello".to_owned(), before.map(str::to_owned)));
    assert_eq!(seen, expected);
    assert!(succeeded);
}

#[tokio::test(start_paused = true)]
async fn another_is_only_if_nothing_happened() {
    let (seen, _) = attempts(layer(3, 10), OTHER, "a", [fail(Kind::Unavailable)]).await;
    assert_eq!(seen.len(), 1);
    let untouched = Failure::new(Kind::Unavailable, "no").untouched();
    let (seen, succeeded) = attempts(layer(3, 10), OTHER, "a", [Answer::Fail(untouched)]).await;
    assert_eq!((seen.len(), succeeded), (2, true));
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_again_is_not_sent_again() {
    for kind in [Kind::Invalid, Kind::NotFound, Kind::Internal, Kind::Cancelled, Kind::Unauthenticated] {
        let (seen, _) = attempts(layer(3, 10), IDEMPOTENT, "a", [fail(kind)]).await;
        assert_eq!(seen.len(), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_and_the_budget_are_bounded() {
    let always = || (0..20).map(|_| fail(Kind::Unavailable));
    let (seen, succeeded) = attempts(layer(3, 10), IDEMPOTENT, "a", always()).await;
    assert_eq!((seen.len(), succeeded), (4, false));
    assert_eq!(attempts(layer(3, 1), IDEMPOTENT, "a", always()).await.0.len(), 2);
    assert_eq!(attempts(layer(0, 10), IDEMPOTENT, "a", always()).await.0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_above_the_buffer_is_sent_once() {
    let long = "longer than sixteen bytes";
    let (seen, succeeded) = attempts(layer(3, 10), IDEMPOTENT, long, [fail(Kind::Unavailable)]).await;
    assert_eq!((seen.len(), succeeded), (1, false));
}

#[tokio::test(start_paused = true)]
async fn the_server_may_push_back() {
    let begin = Instant::now();
    let push = Answer::Head(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "90000")]);
    let (seen, _) = attempts(layer(3, 10), IDEMPOTENT, "a", [push]).await;
    assert_eq!((seen.len(), begin.elapsed().as_secs()), (2, 90));
    let never = Answer::Head(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")]);
    let (seen, _) = attempts(layer(3, 10), IDEMPOTENT, "a", [never]).await;
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_for_another() {
    let begin = Instant::now();
    let (seen, succeeded) = attempts(layer(3, 10), IDEMPOTENT, "a", [Answer::Never]).await;
    assert_eq!((seen.len(), succeeded), (2, true));
    assert!(begin.elapsed() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn no_retry_that_would_begin_after_the_deadline() {
    let service = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| async {
        let wait = Duration::from_secs(60);
        Err::<Response<()>, _>(Failure::new(Kind::Unavailable, "no").retry_after(wait))
    });
    let layer = layer(3, 10);
    let mut request = Request::builder().uri(IDEMPOTENT).body(Full::default()).expect("a request");
    let mut outgoing = Outgoing::open(&request, &layer.methods);
    let begin = Instant::now();
    outgoing.deadline = begin.checked_add(Duration::from_secs(30));
    request.extensions_mut().insert(Arc::new(outgoing));
    let failure = layer.layer(service).oneshot(request).await.expect_err("it fails");
    assert_eq!((failure.kind(), begin.elapsed()), (Kind::Unavailable, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_sent_again_once_for_free() {
    let unsent = || {
        Answer::Fail(
            Failure::new(Kind::Unavailable, "closed").untouched().with_reason(super::super::balance::UNSENT),
        )
    };
    let begin = Instant::now();
    let (seen, succeeded) = attempts(layer(3, 0), OTHER, "a", [unsent()]).await;
    assert_eq!((seen.len(), succeeded, begin.elapsed()), (2, true, Duration::ZERO));
    assert_eq!(attempts(layer(3, 0), OTHER, "a", [unsent(), unsent()]).await.0.len(), 2);
}
