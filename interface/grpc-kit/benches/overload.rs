//! Three times more calls than a server can do, on a real clock and over sockets: what becomes of the calls that matter,
//! and of those that may wait.
//!
//! `cargo bench --package hive-grpc-kit --bench overload` measures the capacity of a server of the kit (authentication on,
//! metrics recorded, access log to a file) above workers that are so many at a time, then offers calls at random times
//! that nobody's answer delays: of high priority alone, half of the capacity; and three times the capacity, a sixth of it of
//! high priority. A call's time begins when it was to be sent.
#![expect(clippy::print_stdout, reason = "the figures are for a terminal")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made is worth nothing")]

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, future::join_all, stream};
use hive_grpc_kit::{
    access_log::AccessLog,
    drain::Shutdown,
    layer::{admission::PRIORITY_HEADER, metrics::BUCKETS},
    server::{
        builder::ServerBuilder,
        config::{Config, Environment},
    },
    servicer,
    testing::{Channel, TEST_SECRET, token},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{Code, Request, Response, Status, Streaming};

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
    echo_client::EchoClient,
    echo_server::{Echo, EchoServer},
};

const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.bin"));

/// What is beneath the server: so many at a time, each for so long.
const WORKERS: usize = 40;
const WORK: Duration = Duration::from_millis(20);
/// Calls that may run: those that work, and one that waits for each of them.
const CALLS: usize = 2 * WORKERS;
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(6);

struct Servicer {
    workers: Semaphore,
}

type Replies = Pin<Box<dyn Stream<Item = Result<EchoReply, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Servicer {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        let _worker = self.workers.acquire().await.unwrap();
        tokio::time::sleep(WORK).await;
        Ok(Response::new(EchoReply { text: request.into_inner().text, principal: String::new() }))
    }

    async fn server_stream(&self, _: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }

    async fn client_stream(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<EchoReply>, Status> {
        Ok(Response::new(EchoReply::default()))
    }

    async fn bidi(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }
}

#[tokio::main]
async fn main() {
    metrics::set_global_recorder(PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap().build_recorder())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let shutdown = Shutdown::new();
    let clients = serve(&folder.path().join("access.log"), &shutdown).await;
    let bearer: Arc<str> = format!("Bearer {}", token("bench", &[])).into();
    let capacity = capacity(&clients, &bearer).await;
    println!(
        "capacity: {capacity:.0} calls/s, with {WORKERS} workers of {WORK:?} and room for {CALLS} calls"
    );
    let high = capacity / 2.0;
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (mut alone, _) = offer(&clients, &bearer, high, 0.0).await;
        let (mut high, mut low) = offer(&clients, &bearer, high, 2.5 * capacity).await;
        println!("round {round}: {:<22} {:>10} {:>8} {:>9} {:>9}", "", "offered/s", "shed", "p50", "p99");
        for (name, band) in
            [("high, unloaded", &mut alone), ("high, at 3 times", &mut high), ("low, at 3 times", &mut low)]
        {
            println!("         {name:<22} {}", band.row());
        }
        ratios.push(high.percentile(99).as_secs_f64() / alone.percentile(99).as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "p99 of the high band at 3 times the capacity over unloaded: {:.2} [{:.2}, {:.2}]",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    shutdown.stop();
}

async fn serve(log: &std::path::Path, shutdown: &Shutdown) -> Vec<EchoClient<Channel>> {
    let secret = std::str::from_utf8(TEST_SECRET).unwrap();
    let config: Config = serde_json::from_value(serde_json::json!({
        "max_concurrent_rpcs": CALLS,
        "connection": {"max_calls": CALLS},
        "auth": {"mode": "required", "jwt_secret": secret},
    }))
    .unwrap();
    let servicer = Servicer { workers: Semaphore::new(WORKERS) };
    let server = ServerBuilder::new(config, Environment::Development)
        .register(servicer!(EchoServer, servicer), DESCRIPTOR)
        .access_log(AccessLog::to(std::fs::File::create(log).unwrap()).unwrap())
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = shutdown.clone();
    tokio::spawn(async move { server.serve(listener, &shutdown).await });
    let channels = join_all((0..CONNECTIONS).map(|_| Channel::connect(address))).await;
    channels.into_iter().map(|channel| EchoClient::new(channel.unwrap())).collect()
}

/// Calls a second when there is always one to do: as many callers as may run, each with its next call at once.
async fn capacity(clients: &[EchoClient<Channel>], bearer: &Arc<str>) -> f64 {
    let begin = Instant::now();
    let callers = (0..CALLS).map(|number| {
        let (client, bearer) = (clients[number % clients.len()].clone(), Arc::clone(bearer));
        tokio::spawn(async move {
            let mut done = 0_u32;
            while begin.elapsed() < ROUND {
                done += u32::from(call(client.clone(), &bearer, false).await);
            }
            done
        })
    });
    let done: u32 = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    f64::from(done) / begin.elapsed().as_secs_f64()
}

/// Whether the call was served; if not it was shed.
async fn call(mut client: EchoClient<Channel>, bearer: &str, low: bool) -> bool {
    let mut request = Request::new(EchoRequest { text: "hello".to_owned(), count: 0 });
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    if low {
        request.metadata_mut().insert(PRIORITY_HEADER, "low".parse().unwrap());
    }
    match client.unary(request).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
            false
        }
    }
}

/// What became of the calls of one band in a round.
#[derive(Default)]
struct Band {
    took: Vec<Duration>,
    shed: usize,
}

impl Band {
    fn percentile(&mut self, percent: usize) -> Duration {
        self.took.sort_unstable();
        self.took[self.took.len() * percent / 100]
    }

    fn row(&mut self) -> String {
        let offered = (self.took.len() + self.shed) as f64;
        let millis = |took: Duration| format!("{:.1} ms", 1e3 * took.as_secs_f64());
        format!(
            "{:>10.0} {:>6.1} % {:>9} {:>9}",
            offered / ROUND.as_secs_f64(),
            100.0 * self.shed as f64 / offered,
            millis(self.percentile(50)),
            millis(self.percentile(99))
        )
    }
}

/// Offers so many calls a second of either band. The pauses of independent callers are exponential.
async fn offer(clients: &[EchoClient<Channel>], bearer: &Arc<str>, high: f64, low: f64) -> (Band, Band) {
    let begin = tokio::time::Instant::now();
    let mut at = Duration::ZERO;
    let mut calls = Vec::new();
    while at < ROUND {
        at += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / (high + low));
        let is_low = fastrand::f64() * (high + low) >= high;
        let (client, bearer) = (clients[calls.len() % clients.len()].clone(), Arc::clone(bearer));
        let due = begin + at;
        tokio::time::sleep_until(due).await;
        calls.push(tokio::spawn(async move {
            let served = call(client, &bearer, is_low).await;
            (is_low, served, due.elapsed())
        }));
    }
    let (mut of_high, mut of_low) = (Band::default(), Band::default());
    for ended in join_all(calls).await {
        let (is_low, served, took) = ended.unwrap();
        let band = if is_low { &mut of_low } else { &mut of_high };
        if served {
            band.took.push(took);
        } else {
            band.shed += 1;
        }
    }
    (of_high, of_low)
}
