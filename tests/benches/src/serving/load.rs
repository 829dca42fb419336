//! Calls on several connections, so many of them at once, for so long.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hive_proto::grpc::neural_hive::execution as wire;
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

/// Connections to a server: four carry 64 calls better than one.
const CONNECTIONS: usize = 4;
/// Tickets of one bulk call.
pub(crate) const BULK: usize = 500;
/// Tickets ready to be changed before a slice; each is changed twice.
const FRESH: usize = 8_000;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    /// 500 tickets with one call; counted in tickets.
    CreateMany,
    Get,
    /// 100 tickets a page.
    List,
    Update,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Create => "CreateTicket",
            Call::CreateMany => "CreateTickets, in tickets",
            Call::Get => "GetTicket",
            Call::List => "ListTickets(100)",
            Call::Update => "UpdateTicketStatus",
        })
    }
}

/// What a slice of load came to.
pub(crate) struct Slice {
    done: usize,
    took: Duration,
    latencies: Vec<Duration>,
}

impl Slice {
    /// Done in a second.
    #[expect(clippy::cast_precision_loss, reason = "a count of one second's worth of calls")]
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }
}

/// Of the calls of all slices.
pub(crate) fn p99_ms(slices: &[Slice]) -> f64 {
    let all: Vec<Duration> = slices.iter().flat_map(|slice| &slice.latencies).copied().collect();
    percentile_ms(all, 99)
}

/// So many of a hundred took no longer.
pub(crate) fn percentile_ms(mut latencies: Vec<Duration>, percent: usize) -> f64 {
    latencies.sort_unstable();
    let at = latencies.len() * percent / 100;
    latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
}

/// Connections to a server.
pub(crate) async fn clients(address: &str) -> Vec<TicketServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true);
    let channels = join_all((0..CONNECTIONS).map(|_| endpoint.connect())).await;
    let client = |channel: Result<Channel, _>| {
        TicketServiceClient::new(channel.unwrap()).max_decoding_message_size(usize::MAX)
    };
    channels.into_iter().map(client).collect()
}

/// Calls one server.
pub(crate) struct Caller {
    clients: Vec<TicketServiceClient<Channel>>,
    stock: Arc<Vec<String>>,
    fresh: Arc<Vec<String>>,
}

impl Caller {
    /// Connects, and creates `stock` tickets.
    pub(crate) async fn connect(address: &str, stock: usize) -> Self {
        let mut caller =
            Caller { clients: clients(address).await, stock: Arc::default(), fresh: Arc::default() };
        caller.stock = Arc::new(caller.create_many(stock).await);
        caller
    }

    /// What a slice of `call` needs.
    pub(crate) async fn prepare(&mut self, call: Call) {
        if call == Call::Update {
            self.fresh = Arc::new(self.create_many(FRESH).await);
        }
    }

    async fn create_many(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        let mut client = self.clients[0].clone();
        while ids.len() < count {
            let tickets: Vec<_> = (0..BULK.min(count - ids.len())).map(|_| ticket()).collect();
            ids.extend(tickets.iter().map(|ticket| ticket.ticket_id.clone()));
            client.create_tickets(wire::CreateTicketsRequest { tickets }).await.unwrap();
        }
        ids
    }

    /// `callers` tasks call until `span` is over, or nothing is left to change.
    pub(crate) async fn slice(&mut self, call: Call, callers: usize, span: Duration) -> Slice {
        let turn = Arc::new(AtomicUsize::new(0));
        let begin = Instant::now();
        let tasks = (0..callers).map(|number| {
            let one = One {
                client: self.clients[number % CONNECTIONS].clone(),
                stock: Arc::clone(&self.stock),
                fresh: Arc::clone(&self.fresh),
                turn: Arc::clone(&turn),
            };
            tokio::spawn(one.call(call, begin + span))
        });
        let tasks: Vec<_> = tasks.collect();
        let mut slice = Slice { done: 0, took: Duration::ZERO, latencies: Vec::new() };
        for task in join_all(tasks).await {
            let (done, latencies) = task.unwrap();
            slice.done += done;
            slice.latencies.extend(latencies);
        }
        slice.took = begin.elapsed();
        slice
    }
}

/// One of the callers of a slice.
struct One {
    client: TicketServiceClient<Channel>,
    stock: Arc<Vec<String>>,
    fresh: Arc<Vec<String>>,
    turn: Arc<AtomicUsize>,
}

impl One {
    async fn call(mut self, call: Call, until: Instant) -> (usize, Vec<Duration>) {
        let (mut done, mut latencies) = (0, Vec::with_capacity(1_024));
        while Instant::now() < until {
            // A stride that shares no factor with the stock visits all of it.
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let begin;
            match call {
                Call::Create => {
                    let ticket = ticket();
                    begin = Instant::now();
                    self.client.create_ticket(ticket).await.unwrap();
                }
                Call::CreateMany => {
                    let tickets = (0..BULK).map(|_| ticket()).collect();
                    begin = Instant::now();
                    self.client.create_tickets(wire::CreateTicketsRequest { tickets }).await.unwrap();
                    done += BULK - 1;
                }
                Call::Get => {
                    let ticket_id = self.stock[turn * 7_919 % self.stock.len()].clone();
                    begin = Instant::now();
                    self.client.get_ticket(wire::GetTicketRequest { ticket_id }).await.unwrap();
                }
                Call::List => {
                    let request = wire::ListTicketsRequest { limit: 100, ..Default::default() };
                    begin = Instant::now();
                    let page = self.client.list_tickets(request).await.unwrap().into_inner();
                    assert_eq!(page.tickets.len(), 100);
                }
                Call::Update => {
                    // Each ticket in one caller's hands only: first RUNNING, then COMPLETED.
                    let Some(id) = self.fresh.get(turn) else { break };
                    begin = Instant::now();
                    for status in ["RUNNING", "COMPLETED"] {
                        let request = wire::UpdateStatusRequest {
                            ticket_id: id.clone(),
                            status: status.to_owned(),
                            ..Default::default()
                        };
                        self.client.update_ticket_status(request).await.unwrap();
                    }
                    done += 1;
                    latencies.push(begin.elapsed() / 2);
                    done += 1;
                    continue;
                }
            }
            latencies.push(begin.elapsed());
            done += 1;
        }
        (done, latencies)
    }
}

/// A ticket as callers send it.
pub(crate) fn ticket() -> wire::ExecutionTicket {
    let id = Uuid::new_v4().to_string();
    wire::ExecutionTicket {
        plan_id: id[..8].to_owned(),
        intent_id: "intent-bench".to_owned(),
        decision_id: "decision-bench".to_owned(),
        correlation_id: Some(id.clone()),
        ticket_id: id,
        task_id: "task-1".to_owned(),
        task_type: "TRANSFORM".to_owned(),
        description: Some("Aggregate the readings of a district and store them".to_owned()),
        status: "PENDING".to_owned(),
        priority: "NORMAL".to_owned(),
        created_at: Some(1_790_000_000_000),
        risk_band: "medium".to_owned(),
        sla: Some(wire::Sla {
            deadline: Some(1_890_000_000_000),
            timeout_ms: Some(60_000),
            max_retries: Some(2),
        }),
        qos: Some(wire::Qos {
            delivery_mode: "AT_LEAST_ONCE".to_owned(),
            consistency: "EVENTUAL".to_owned(),
            durability: "PERSISTENT".to_owned(),
        }),
        parameters: r#"{"source":"district"}"#.to_owned(),
        required_capabilities: vec!["read".to_owned(), "compute".to_owned()],
        security_level: "INTERNAL".to_owned(),
        estimated_duration_ms: Some(800),
        schema_version: Some(1),
        ..Default::default()
    }
}
