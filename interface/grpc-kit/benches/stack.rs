//! What the whole stack costs: calls a second through the kit (authentication on, metrics recorded, access log to a file)
//! against bare tonic that receives the same headers, in alternating slices of one run.
//!
//! `cargo bench --package hive-grpc-kit` prints, for unary and streaming calls with 1 and 64 in flight, the medians and
//! the ratio of neighbouring slices; an argument picks the rows whose name contains it. The first row is bare tonic
//! beside another bare tonic: what it is off from 1 is the measurement's own.
#![expect(clippy::print_stdout, reason = "the figures are for a terminal")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made is worth nothing")]

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _, future::join_all, stream};
use hive_grpc_kit::{
    access_log::AccessLog,
    drain::Shutdown,
    layer::metrics::BUCKETS,
    server::{
        builder::ServerBuilder,
        config::{Config, Environment},
    },
    servicer,
    testing::{Channel, TEST_SECRET, token},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming, transport::server::TcpIncoming};

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

/// Pairs of slices, and how long one is: many short ones, since the machine does not stay the same for a second. With
/// 15 pairs of 400 ms bare tonic was once 0.94 of itself.
const PAIRS: usize = 60;
const SLICE: Duration = Duration::from_millis(100);
/// Connections of the client, over which its callers are spread.
const CONNECTIONS: usize = 4;
/// Messages of one streaming call.
const MESSAGES: u32 = 100;

struct Servicer;

type Replies = Pin<Box<dyn Stream<Item = Result<EchoReply, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Servicer {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        Ok(Response::new(EchoReply { text: request.into_inner().text, principal: String::new() }))
    }

    async fn server_stream(&self, request: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        let EchoRequest { text, count } = request.into_inner();
        let reply = move |_| Ok(EchoReply { text: text.clone(), principal: String::new() });
        Ok(Response::new(Box::pin(stream::iter(0..count).map(reply))))
    }

    async fn client_stream(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<EchoReply>, Status> {
        Ok(Response::new(EchoReply::default()))
    }

    async fn bidi(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }
}

/// One server, by its clients, and the log it writes.
struct Side {
    clients: Vec<EchoClient<Channel>>,
    log: Option<AccessLog>,
}

/// What one slice reached.
struct Slice {
    per_second: f64,
    p99: Duration,
}

#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    streaming: bool,
    in_flight: usize,
}

const ROWS: [Row; 4] = [
    Row { name: "unary, 1 in flight", streaming: false, in_flight: 1 },
    Row { name: "unary, 64 in flight", streaming: false, in_flight: 64 },
    Row { name: "stream of 100, 1 in flight", streaming: true, in_flight: 1 },
    Row { name: "stream of 100, 64 in flight", streaming: true, in_flight: 64 },
];

#[tokio::main]
async fn main() {
    // Cargo passes `--bench`; what does not begin with a dash is a choice of rows.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    record();
    let folder = tempfile::tempdir().unwrap();
    let shutdown = Shutdown::new();
    let log = AccessLog::to(std::fs::File::create(folder.path().join("access.log")).unwrap()).unwrap();
    let bare = Side { clients: connect(serve_bare().await).await, log: None };
    let another = Side { clients: connect(serve_bare().await).await, log: None };
    let kit = Side { clients: connect(serve_kit(log.clone(), &shutdown).await).await, log: Some(log) };
    println!(
        "{:<28} {:>12} {:>12} {:>24} {:>10}",
        "", "bare tonic/s", "kit/s", "ratio [least, most]", "p99 ratio"
    );
    let itself = Row { name: "bare beside bare, 1 in flight", ..ROWS[0] };
    let rows = [(itself, &another)].into_iter().chain(ROWS.map(|row| (row, &kit)));
    for (row, side) in rows.filter(|(row, _)| row.name.contains(&wanted)) {
        println!("{}", measure(row, &bare, side).await);
    }
    shutdown.stop();
}

/// Records metrics as a server does: values wait until somebody looks, here every second.
fn record() {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            handle.run_upkeep();
        }
    });
}

async fn serve_bare() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(EchoServer::new(Servicer));
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

async fn serve_kit(log: AccessLog, shutdown: &Shutdown) -> SocketAddr {
    let secret = std::str::from_utf8(TEST_SECRET).unwrap();
    let config: Config = serde_json::from_value(serde_json::json!({
        "max_concurrent_rpcs": 1000,
        "auth": {"mode": "required", "jwt_secret": secret},
    }))
    .unwrap();
    let server = ServerBuilder::new(config, Environment::Development)
        .register(servicer!(EchoServer, Servicer), DESCRIPTOR)
        .access_log(log)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = shutdown.clone();
    tokio::spawn(async move { server.serve(listener, &shutdown).await });
    address
}

async fn connect(address: SocketAddr) -> Vec<EchoClient<Channel>> {
    let channels = join_all((0..CONNECTIONS).map(|_| Channel::connect(address))).await;
    channels.into_iter().map(|channel| EchoClient::new(channel.unwrap())).collect()
}

/// The median of pairs, each a slice of either side, the order changing from pair to pair.
async fn measure(row: Row, bare: &Side, kit: &Side) -> String {
    // The first calls of either side are its own.
    slice(row, bare).await;
    slice(row, kit).await;
    let (mut bares, mut kits, mut ratios, mut tails) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (of_bare, of_kit) = if pair % 2 == 0 {
            let of_bare = slice(row, bare).await;
            (of_bare, slice(row, kit).await)
        } else {
            let of_kit = slice(row, kit).await;
            (slice(row, bare).await, of_kit)
        };
        ratios.push(of_kit.per_second / of_bare.per_second);
        tails.push(of_kit.p99.as_secs_f64() / of_bare.p99.as_secs_f64());
        bares.push(of_bare.per_second);
        kits.push(of_kit.per_second);
    }
    for figures in [&mut bares, &mut kits, &mut ratios, &mut tails] {
        figures.sort_by(f64::total_cmp);
    }
    let median = |figures: &[f64]| figures[figures.len() / 2];
    let ratio = format!("{:.2} [{:.2}, {:.2}]", median(&ratios), ratios[0], ratios[PAIRS - 1]);
    format!(
        "{:<28} {:>12.0} {:>12.0} {ratio:>24} {:>10.2}",
        row.name,
        median(&bares),
        median(&kits),
        median(&tails)
    )
}

/// Calls until the slice is over, as many at a time as the row says.
async fn slice(row: Row, side: &Side) -> Slice {
    let clients = &side.clients;
    let bearer = Arc::<str>::from(format!("Bearer {}", token("bench", &[])));
    let begin = Instant::now();
    let callers = (0..row.in_flight).map(|number| {
        let client = clients[number % clients.len()].clone();
        tokio::spawn(caller(client, row.streaming, begin + SLICE, Arc::clone(&bearer)))
    });
    let mut took: Vec<Duration> = join_all(callers).await.into_iter().flat_map(Result::unwrap).collect();
    // What is still to be written is this slice's work, not that of the next.
    if let Some(log) = &side.log {
        tokio::task::block_in_place(|| log.flush());
    }
    let per_second = took.len() as f64 / begin.elapsed().as_secs_f64();
    took.sort_unstable();
    Slice { per_second, p99: took[took.len() * 99 / 100] }
}

/// One caller: how long each of its calls took.
async fn caller(
    mut client: EchoClient<Channel>,
    streaming: bool,
    until: Instant,
    bearer: Arc<str>,
) -> Vec<Duration> {
    let mut took = Vec::new();
    while Instant::now() < until {
        let count = if streaming { MESSAGES } else { 0 };
        let mut request = Request::new(EchoRequest { text: "hello".to_owned(), count });
        // Both sides receive what authentication and correlation need.
        let metadata = request.metadata_mut();
        metadata.insert("authorization", bearer.parse().unwrap());
        metadata.insert("x-correlation-id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736".parse().unwrap());
        let begin = Instant::now();
        if streaming {
            let mut replies = client.server_stream(request).await.unwrap().into_inner();
            let mut seen = 0;
            while replies.message().await.unwrap().is_some() {
                seen += 1;
            }
            assert_eq!(seen, MESSAGES);
        } else {
            client.unary(request).await.unwrap();
        }
        took.push(begin.elapsed());
    }
    took
}
