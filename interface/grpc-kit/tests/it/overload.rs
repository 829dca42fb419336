//! Three times more than a server can do: what matters is answered as if nothing were, the rest is told to come back.
//!
//! The stack runs under a clock of its own, in which nothing takes time but the work: the figures are the same on every
//! machine.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hive_grpc_kit::{
    layer::{
        admission::PRIORITY_HEADER,
        message_limit::LimitedRequest,
        metrics::{MetricsLayer, ReceivedBody},
    },
    methods::Methods,
    server::{
        config::{AuthMode, Config},
        stack::{Parts, stack},
    },
};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use serde_json::json;
use tokio::{sync::Semaphore, time::Instant};
use tower::{ServiceExt as _, service_fn};

use crate::servicer::{DESCRIPTOR, EchoClient, Running, ask};

/// What is beneath the server: so many at a time, each for so long, in the order in which they come.
const WORKERS: usize = 50;
const WORK: Duration = Duration::from_millis(10);
/// Calls a second that keep all workers busy.
const CAPACITY: f64 = WORKERS as f64 / 0.01;
const SECONDS: f64 = 2.0;

#[derive(Clone, Copy, PartialEq)]
enum Band {
    High,
    Low,
}

/// What became of the calls of one band.
#[derive(Default)]
struct Outcome {
    took: Vec<Duration>,
    shed: usize,
}

impl Outcome {
    fn p99(&mut self) -> Duration {
        self.took.sort_unstable();
        self.took[self.took.len() * 99 / 100]
    }

    fn offered(&self) -> usize {
        self.took.len() + self.shed
    }
}

type Body = LimitedRequest<ReceivedBody<Empty<Bytes>>>;

/// Offers so many calls a second of either band, at random times that are the same in every run. Answers the high
/// band, the low one, and how often the work was begun.
async fn offer(high: f64, low: f64) -> (Outcome, Outcome, usize) {
    // Twice as many calls as workers: an admitted one waits for one other at most.
    let config: Config =
        serde_json::from_value(json!({"max_concurrent_rpcs": 2 * WORKERS})).expect("settings");
    let mut methods = Methods::empty();
    methods.add("kit.test.v1.Echo", DESCRIPTOR).expect("the service");
    let methods = Arc::new(methods);
    let (workers, begun) = (Arc::new(Semaphore::new(WORKERS)), Arc::new(AtomicUsize::new(0)));
    let of_work = Arc::clone(&begun);
    let work = service_fn(move |_: Request<Body>| {
        let (workers, begun) = (Arc::clone(&workers), Arc::clone(&of_work));
        async move {
            begun.fetch_add(1, Ordering::Relaxed);
            let _worker = workers.acquire().await.expect("never closed");
            let _ = tokio::time::timeout(WORK, pending::<()>()).await;
            let mut answer = Response::new(Empty::<Bytes>::new());
            answer.headers_mut().insert("grpc-status", http::HeaderValue::from_static("0"));
            Ok::<_, Infallible>(answer)
        }
    });
    let metrics = MetricsLayer::new(Arc::clone(&methods));
    let stack = stack(&config, AuthMode::Off, &methods, metrics, Parts::default(), work);
    let mut random = fastrand::Rng::with_seed(3);
    let begin = Instant::now();
    let mut at = 0.0;
    let mut calls = Vec::new();
    while at < SECONDS {
        // The pauses of independent callers are exponential.
        at -= (1.0 - random.f64()).ln() / (high + low);
        let band = if random.f64() * (high + low) < high { Band::High } else { Band::Low };
        let stack = stack.clone();
        calls.push(tokio::spawn(async move {
            let _ = tokio::time::timeout_at(begin + Duration::from_secs_f64(at), pending::<()>()).await;
            let mut request =
                Request::post("/kit.test.v1.Echo/Unary").body(Empty::<Bytes>::new()).expect("a request");
            if band == Band::Low {
                request.headers_mut().insert(PRIORITY_HEADER, http::HeaderValue::from_static("low"));
            }
            let sent = Instant::now();
            let (head, body) = stack.oneshot(request).await.expect("an answer").into_parts();
            body.collect().await.expect("its end");
            (band, head.headers["grpc-status"].clone(), sent.elapsed())
        }));
    }
    let (mut of_high, mut of_low) = (Outcome::default(), Outcome::default());
    for call in calls {
        let (band, code, took) = call.await.expect("no panic");
        let outcome = if band == Band::High { &mut of_high } else { &mut of_low };
        match code.to_str().expect("a number") {
            "0" => outcome.took.push(took),
            "8" => {
                assert_eq!(took, Duration::ZERO, "who is shed is told at once");
                outcome.shed += 1;
            }
            other => unreachable!("code {other}"),
        }
    }
    (of_high, of_low, begun.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn the_high_band_stays_fast_at_three_times_the_capacity() {
    let share = CAPACITY / 2.0;
    let (mut alone, _, _) = offer(share, 0.0).await;
    assert_eq!(alone.shed, 0);
    let (mut high, low, begun) = offer(share, 2.5 * CAPACITY).await;
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
    println!(
        "p99 of the high band: {:?}, unloaded {:?}; shed of it {:.1} %, of the low band {:.1} %",
        high.p99(),
        alone.p99(),
        percent(high.shed, high.offered()),
        percent(low.shed, low.offered()),
    );
    assert!(high.p99() <= 2 * alone.p99(), "{:?} against {:?}", high.p99(), alone.p99());
    assert!(high.shed * 100 <= high.offered(), "{} of {} are shed", high.shed, high.offered());
    // What is left beside the high band is used, and no more is promised than that.
    let served = (high.took.len() + low.took.len()) as f64 / SECONDS;
    assert!(served >= 0.95 * CAPACITY, "{served} of {CAPACITY}");
    assert!(low.shed as f64 >= 0.7 * low.offered() as f64, "{} of {} are shed", low.shed, low.offered());
    assert_eq!(begun, high.took.len() + low.took.len(), "no work is begun for who is shed");
}

#[tokio::test(start_paused = true)]
async fn without_a_low_band_the_wait_is_bounded_all_the_same() {
    let (mut high, _, begun) = offer(3.0 * CAPACITY, 0.0).await;
    assert!(high.p99() <= 2 * WORK, "{:?}", high.p99());
    assert!(high.took.len() as f64 / SECONDS >= 0.95 * CAPACITY);
    assert_eq!(begun, high.took.len());
}

/// Over sockets, with calls that run until the test lets them go.
#[tokio::test]
async fn the_low_band_is_shed_while_the_high_one_is_admitted() {
    let running = Running::start(json!({
        "max_concurrent_rpcs": 8, "limits": {"low_priority_share": 75}, "connection": {"max_calls": 8},
    }))
    .await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(running.client().await);
    }
    let call = |number: usize, text: &str, low: bool| {
        let mut client: EchoClient<_> = clients[number % 2].clone();
        let mut request = tonic::Request::new(ask(text));
        if low {
            request.metadata_mut().insert(PRIORITY_HEADER, "low".parse().expect("a value"));
        }
        tokio::spawn(async move { client.unary(request).await })
    };
    let shed = |answer: Result<Result<_, tonic::Status>, _>| {
        let status = answer.expect("no panic").map(|_: tonic::Response<_>| ()).expect_err("shed");
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    };
    let mut admitted = Vec::new();
    for number in 0..6 {
        admitted.push(call(number, "wait", true));
        running.gate.one_waits().await;
    }
    shed(call(0, "a", true).await);
    for number in 0..2 {
        shed(call(number, "a", true).await);
        admitted.push(call(number, "wait", false));
        running.gate.one_waits().await;
    }
    shed(call(0, "a", false).await);
    running.gate.open.add_permits(admitted.len());
    for call in admitted {
        call.await.expect("no panic").expect("an answer");
    }
    running.end().await;
}
