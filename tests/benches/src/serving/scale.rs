//! Reading among 10,000 tickets and among a million, over the ways that callers have, one call at a time.
//!
//! What a filter finds is the same at both sizes, and lies among the oldest tickets; what is read without one is spread
//! over the whole table.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hive_proto::grpc::neural_hive::execution as wire;
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;
use tonic::transport::Channel;

use super::load::{self, BULK};
use super::process::Server;
use crate::report::Report;
use crate::server;

/// A small table, and a large one.
const SIZES: [usize; 2] = [10_000, 1_000_000];
/// Tickets of the first plans that are urgent, and as many that are over.
const RARE: usize = 200;
/// Places in the table that are read in turn.
const PLACES: usize = 40;
/// How long one way is measured, after as long a part of it to warm up.
const SPAN: Duration = Duration::from_millis(800);

type Client = TicketServiceClient<Channel>;

/// A call that reads.
#[derive(Clone)]
enum Read {
    Get(wire::GetTicketRequest),
    List(wire::ListTicketsRequest),
}

/// A way to read, and the calls that go it.
type Way = (&'static str, Vec<Read>);

/// On the engines whose name contains `wanted`.
pub(crate) async fn measure(report: &mut Report, wanted: &str) {
    for engine in ["SQLite", "PostgreSQL"].into_iter().filter(|engine| engine.contains(wanted)) {
        let cluster = if engine == "PostgreSQL" { Some(server::start().await) } else { None };
        if let Some(cluster) = &cluster {
            cluster.create("hive").unwrap();
        }
        let database = cluster.as_ref().map(|cluster| cluster.url("hive"));
        let hive = Server::hive(database.as_deref());
        let mut table = Table { clients: load::clients(hive.address()).await, ids: Vec::new() };
        let mut small = Vec::new();
        for size in SIZES {
            table.grow(size).await;
            if let Some(cluster) = &cluster {
                server::settle(cluster, "hive").await;
            }
            // What making them left to be written to the disk is not what reading is measured by.
            let _ = Command::new("sync").status();
            for (at, (what, calls)) in table.ways().await.into_iter().enumerate() {
                let (median, p99) = table.latency(&calls).await;
                let line = format!("{engine}, {what}");
                if size == SIZES[0] {
                    small.push(median);
                    report.add("million", format!("{line}: median among 10,000"), median, "ms");
                } else {
                    let line = format!("{line}: among a million");
                    report.add(
                        "million",
                        format!("{line}, beside that"),
                        median / small[at],
                        "(at most 1.5)",
                    );
                    report.add("million", format!("{line}, p99"), p99, "ms");
                }
            }
        }
    }
}

/// The tickets of a server, oldest first.
struct Table {
    clients: Vec<Client>,
    ids: Vec<String>,
}

impl Table {
    /// Creates plans of 500 tickets, each a moment after the one before, until there are `size` tickets.
    async fn grow(&mut self, size: usize) {
        let callers = self.clients.len();
        while self.ids.len() < size {
            let begun = self.ids.len() / BULK;
            let plans = (size / BULK - begun).min(64);
            let made = self.clients.iter().take(callers).enumerate().map(|(number, client)| {
                let mut client = client.clone();
                async move {
                    let mut made = Vec::new();
                    for plan in (begun..begun + plans).filter(|plan| plan % callers == number) {
                        let tickets: Vec<_> = (0..BULK).map(|task| ticket(plan, task)).collect();
                        made.push((plan, tickets.iter().map(|ticket| ticket.ticket_id.clone()).collect()));
                        client.create_tickets(wire::CreateTicketsRequest { tickets }).await.unwrap();
                    }
                    made
                }
            });
            let mut made: Vec<(usize, Vec<String>)> = join_all(made).await.into_iter().flatten().collect();
            made.sort_unstable();
            let first = self.ids.is_empty();
            self.ids.extend(made.into_iter().flat_map(|(_, ids)| ids));
            if first {
                self.end_some().await;
            }
        }
    }

    /// Some of the oldest tickets are over.
    async fn end_some(&mut self) {
        let client = &mut self.clients[0];
        for id in self.ids.iter().skip(RARE).take(RARE) {
            for status in ["RUNNING", "COMPLETED"] {
                let (ticket_id, status) = (id.clone(), status.to_owned());
                let request = wire::UpdateStatusRequest { ticket_id, status, ..Default::default() };
                client.update_ticket_status(request).await.unwrap();
            }
        }
    }

    async fn ways(&mut self) -> Vec<Way> {
        let spread = |count: usize| (0..count).map(move |place| (place * 7_919 + 1) * 104_729);
        let get = |at: usize| Read::Get(wire::GetTicketRequest { ticket_id: self.ids[at].clone() });
        let all = self.ids.len();
        let mut ways: Vec<Way> = vec![
            ("GetTicket, old ones", (0..RARE).map(get).collect()),
            ("GetTicket, new ones", (all - RARE..all).map(get).collect()),
            ("GetTicket, any", spread(all.min(20_000)).map(|place| get(place % all)).collect()),
        ];
        let page = wire::ListTicketsRequest { limit: 100, ..Default::default() };
        let filtered = |set: fn(&mut wire::ListTicketsRequest)| {
            let mut request = page.clone();
            set(&mut request);
            request
        };
        let plans = spread(PLACES).map(|place| {
            let plan_id = format!("plan-{}", place % (all / BULK));
            Read::List(wire::ListTicketsRequest { plan_id, ..page.clone() })
        });
        ways.push(("ListTickets of a plan", plans.collect()));
        for (what, request) in [
            ("ListTickets", page.clone()),
            ("ListTickets PENDING", filtered(|request| "PENDING".clone_into(&mut request.status))),
            ("ListTickets COMPLETED", filtered(|request| "COMPLETED".clone_into(&mut request.status))),
            ("ListTickets NORMAL", filtered(|request| "NORMAL".clone_into(&mut request.priority))),
            ("ListTickets CRITICAL", filtered(|request| "CRITICAL".clone_into(&mut request.priority))),
            ("ListTickets LOW, of which there are none", filtered(|r| "LOW".clone_into(&mut r.priority))),
            (
                "ListTickets PENDING and CRITICAL",
                filtered(|request| {
                    "PENDING".clone_into(&mut request.status);
                    "CRITICAL".clone_into(&mut request.priority);
                }),
            ),
            ("ListTickets of an intent", filtered(|request| "intent-1".clone_into(&mut request.intent_id))),
            ("ListTickets of a worker", filtered(|r| "agent-1".clone_into(&mut r.assigned_worker))),
        ] {
            ways.push((what, vec![Read::List(request)]));
        }
        for (what, status) in
            [("ListTickets, deep token", ""), ("ListTickets PENDING, deep token", "PENDING")]
        {
            let mut calls = Vec::new();
            for place in 1..=8 {
                let offset = i32::try_from(all / 10 * place).unwrap();
                let status = status.to_owned();
                let request = wire::ListTicketsRequest { offset, limit: 1, status, ..Default::default() };
                let page_of = self.clients[0].list_tickets(request.clone()).await.unwrap().into_inner();
                let page_token = page_of.next_page_token;
                let request = wire::ListTicketsRequest { offset: 0, limit: 100, page_token, ..request };
                calls.push(Read::List(request));
            }
            ways.push((what, calls));
        }
        ways
    }

    /// The median and the 99th percentile in milliseconds, the calls made in turn.
    async fn latency(&mut self, calls: &[Read]) -> (f64, f64) {
        let client = &mut self.clients[0];
        let (begin, mut latencies) = (Instant::now(), Vec::new());
        for call in calls.iter().cycle() {
            let asked = Instant::now();
            match call.clone() {
                Read::Get(request) => drop(client.get_ticket(request).await.unwrap()),
                Read::List(request) => drop(client.list_tickets(request).await.unwrap()),
            }
            if begin.elapsed() > SPAN / 2 {
                latencies.push(asked.elapsed());
            }
            if begin.elapsed() > SPAN / 2 * 3 {
                break;
            }
        }
        (load::percentile_ms(latencies.clone(), 50), load::percentile_ms(latencies, 99))
    }
}

/// A task of a plan.
fn ticket(plan: usize, task: usize) -> wire::ExecutionTicket {
    let urgent = plan == 0 && task < RARE;
    wire::ExecutionTicket {
        plan_id: format!("plan-{plan}"),
        intent_id: format!("intent-{plan}"),
        task_id: format!("task-{task}"),
        priority: if urgent { "CRITICAL" } else { "NORMAL" }.to_owned(),
        created_at: Some(1_790_000_000_000 + i64::try_from(plan).unwrap()),
        ..load::ticket()
    }
}
