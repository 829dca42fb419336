//! The least that answers the calls of the ticket service: tonic's own server, the writer of `hive-sql` with its
//! statements and its batches, prepared reads straight into messages. No layer, no health, no use case.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use hive_application::clock::Clock;
use hive_application::tickets::{Creation, TicketRepository};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Report, Ticket, TicketStatus};
use hive_proto::grpc::neural_hive::execution as wire;
use hive_proto::grpc::neural_hive::execution::ticket_service_server::{TicketService, TicketServiceServer};
use hive_sql::{Config, TicketDatabase};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::tickets::WallClock;

/// The argument that makes this program the reference server of the database that follows it.
pub(crate) const COMMAND: &str = "serve-reference";

/// Every column in the order of the message; JSON as its text.
const COLUMNS: &str = "ticket_id, plan_id, intent_id, task_id, task_type, description, status, priority, created_at, \
    decision_id, correlation_id, trace_id, span_id, CAST(dependencies AS text), risk_band, CAST(sla AS text), \
    CAST(qos AS text), CAST(parameters AS text), CAST(required_capabilities AS text), security_level, started_at, \
    completed_at, estimated_duration_ms, actual_duration_ms, retry_count, error_message, compensation_ticket_id, \
    CAST(metadata AS text), CAST(predictions AS text), schema_version, assigned_worker, agent_id, epoch, dispatched_at, \
    not_before, retryable, CAST(allocation AS text), version";

/// A row of [`COLUMNS`], of either engine, as the message.
macro_rules! message {
    ($row:expr) => {{
        let row = &$row;
        let read = || {
            let sla: Sla = json(row.try_get(15)?)?;
            let qos: Qos = json(row.try_get(16)?)?;
            Ok(wire::ExecutionTicket {
                ticket_id: row.try_get(0)?,
                plan_id: row.try_get(1)?,
                intent_id: row.try_get(2)?,
                task_id: row.try_get(3)?,
                task_type: row.try_get(4)?,
                description: row.try_get(5)?,
                status: row.try_get(6)?,
                priority: row.try_get(7)?,
                created_at: row.try_get(8)?,
                decision_id: row.try_get(9)?,
                correlation_id: row.try_get(10)?,
                trace_id: row.try_get(11)?,
                span_id: row.try_get(12)?,
                dependencies: json(row.try_get(13)?)?,
                risk_band: row.try_get(14)?,
                sla: Some(wire::Sla {
                    deadline: Some(sla.deadline),
                    timeout_ms: Some(sla.timeout_ms),
                    max_retries: Some(sla.max_retries),
                }),
                qos: Some(wire::Qos {
                    delivery_mode: qos.delivery_mode,
                    consistency: qos.consistency,
                    durability: qos.durability,
                }),
                parameters: row.try_get(17)?,
                required_capabilities: json(row.try_get(18)?)?,
                security_level: row.try_get(19)?,
                started_at: row.try_get(20)?,
                completed_at: row.try_get(21)?,
                estimated_duration_ms: row.try_get(22)?,
                actual_duration_ms: row.try_get(23)?,
                retry_count: row.try_get(24)?,
                error_message: row.try_get(25)?,
                compensation_ticket_id: row.try_get(26)?,
                metadata: json(row.try_get(27)?)?,
                predictions: row.try_get(28)?,
                schema_version: row.try_get(29)?,
                assigned_worker: row.try_get(30)?,
                agent_id: row.try_get(31)?,
                epoch: row.try_get::<Option<i64>, _>(32)?.map(i64::cast_unsigned),
                dispatched_at: row.try_get(33)?,
                not_before: row.try_get(34)?,
                retryable: row.try_get(35)?,
                allocation: row.try_get(36)?,
                version: row.try_get::<i64, _>(37)?.cast_unsigned(),
            })
        };
        read()
    }};
}

/// Serves until the process is killed; says where on stderr. `database` is a file or the URL of a PostgreSQL database.
#[expect(clippy::print_stderr, reason = "the caller waits for the address")]
pub(crate) async fn serve(database: &str) {
    let (config, reads) = if database.starts_with("postgres") {
        let reads = PgPoolOptions::new().max_connections(8).min_connections(8).test_before_acquire(false);
        let reads = Reads::Postgres(reads.connect(database).await.unwrap());
        (Config::postgres(hive_sql::Server::from_url(database).unwrap()), reads)
    } else {
        let options = SqliteConnectOptions::new().filename(database).pragma("query_only", "on");
        let reads = SqlitePoolOptions::new().max_connections(2).test_before_acquire(false);
        (Config::new(database), Reads::Sqlite(reads.connect_lazy_with(options)))
    };
    let opened = TicketDatabase::open(&config).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("reference: tickets serves on {}", listener.local_addr().unwrap());
    let reference = Reference { writes: opened.repository(), reads, total: OnceCell::new() };
    tonic::transport::Server::builder()
        .add_service(TicketServiceServer::new(reference).max_encoding_message_size(usize::MAX))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .unwrap();
}

struct Reference {
    writes: Arc<dyn TicketRepository>,
    reads: Reads,
    /// Counted once: a count at every call costs more than the page, and the service does not count either.
    total: OnceCell<i64>,
}

/// Prepared statements on a pool of either engine.
enum Reads {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Reads {
    async fn get(&self, id: String) -> Result<Option<wire::ExecutionTicket>, sqlx::Error> {
        let text =
            |mark| AssertSqlSafe(format!("SELECT {COLUMNS} FROM execution_tickets WHERE ticket_id = {mark}"));
        match self {
            Reads::Sqlite(pool) => {
                let row = sqlx::query(text("?")).bind(id).fetch_optional(pool).await?;
                row.as_ref().map(|row| message!(*row)).transpose()
            }
            Reads::Postgres(pool) => {
                let row = sqlx::query(text("$1")).bind(id).fetch_optional(pool).await?;
                row.as_ref().map(|row| message!(*row)).transpose()
            }
        }
    }

    async fn list(&self, limit: i64) -> Result<Vec<wire::ExecutionTicket>, sqlx::Error> {
        let order = "ORDER BY created_at DESC, id DESC LIMIT";
        let text = |mark| AssertSqlSafe(format!("SELECT {COLUMNS} FROM execution_tickets {order} {mark}"));
        match self {
            Reads::Sqlite(pool) => {
                let rows = sqlx::query(text("?")).bind(limit).fetch_all(pool).await?;
                rows.iter().map(|row| message!(*row)).collect()
            }
            Reads::Postgres(pool) => {
                let rows = sqlx::query(text("$1")).bind(limit).fetch_all(pool).await?;
                rows.iter().map(|row| message!(*row)).collect()
            }
        }
    }

    async fn count(&self) -> Result<i64, sqlx::Error> {
        let query = "SELECT count(*) FROM execution_tickets";
        match self {
            Reads::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
            Reads::Postgres(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl TicketService for Reference {
    async fn create_ticket(&self, request: Request<wire::ExecutionTicket>) -> Answer<wire::TicketResponse> {
        let created = self.create(vec![request.into_inner()]).await?;
        Ok(Response::new(created.into_iter().next().ok_or_else(|| Status::internal("nothing"))?))
    }

    async fn create_tickets(
        &self,
        request: Request<wire::CreateTicketsRequest>,
    ) -> Answer<wire::CreateTicketsResponse> {
        let tickets = self.create(request.into_inner().tickets).await?;
        Ok(Response::new(wire::CreateTicketsResponse { tickets }))
    }

    async fn get_ticket(&self, request: Request<wire::GetTicketRequest>) -> Answer<wire::ExecutionTicket> {
        let found = self.reads.get(request.into_inner().ticket_id).await.map_err(broken)?;
        Ok(Response::new(found.ok_or_else(|| Status::not_found("no such ticket"))?))
    }

    async fn list_tickets(&self, request: Request<wire::ListTicketsRequest>) -> Answer<wire::TicketList> {
        let total = *self.total.get_or_try_init(|| self.reads.count()).await.map_err(broken)?;
        let tickets = self.reads.list(request.into_inner().limit.into()).await.map_err(broken)?;
        let total = i32::try_from(total).unwrap_or(i32::MAX);
        Ok(Response::new(wire::TicketList { tickets, total, next_page_token: String::new() }))
    }

    async fn update_ticket_status(
        &self,
        request: Request<wire::UpdateStatusRequest>,
    ) -> Answer<wire::ExecutionTicket> {
        let request = request.into_inner();
        let id = TicketId::parse(&request.ticket_id).map_err(broken)?;
        let status =
            TicketStatus::parse(&request.status).ok_or_else(|| Status::invalid_argument("status"))?;
        let now = WallClock.now();
        let mut change = |ticket: &mut Ticket| ticket.report(status, &Report::default(), now, "caller");
        let (ticket, _) = self.writes.update(&id, &mut change).await.map_err(broken)?;
        Ok(Response::new(encode(&ticket)))
    }

    async fn generate_token(&self, _: Request<wire::TokenRequest>) -> Answer<wire::TokenResponse> {
        Err(Status::unimplemented("not part of the comparison"))
    }

    type WatchTicketsStream = Pin<Box<dyn Stream<Item = Result<wire::TicketEvent, Status>> + Send>>;

    async fn watch_tickets(&self, _: Request<wire::WatchTicketsRequest>) -> Answer<Self::WatchTicketsStream> {
        Err(Status::unimplemented("not part of the comparison"))
    }
}

impl Reference {
    async fn create(&self, tickets: Vec<wire::ExecutionTicket>) -> Result<Vec<wire::TicketResponse>, Status> {
        let new = |mut message: wire::ExecutionTicket| {
            let metadata = std::mem::take(&mut message.metadata);
            let content = hive_mapping::ticket::snapshot(message).map_err(broken)?.content;
            Ticket::create(content, metadata, "caller").map_err(broken)
        };
        let tickets = tickets.into_iter().map(new).collect::<Result<_, _>>()?;
        let answer = |creation: &Creation| {
            let (ticket, created) = match creation {
                Creation::Created(ticket) => (ticket, true),
                Creation::Existing(ticket) => (ticket, false),
            };
            wire::TicketResponse {
                ticket_id: ticket.id().to_string(),
                status: ticket.status().as_str().to_owned(),
                created,
                ticket: Some(encode(ticket)),
            }
        };
        Ok(self.writes.create(tickets).await.map_err(broken)?.iter().map(answer).collect())
    }
}

fn encode(ticket: &Ticket) -> wire::ExecutionTicket {
    hive_mapping::ticket::ticket(ticket.content(), ticket.state(), ticket.version())
}

fn broken(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

#[derive(serde::Deserialize)]
struct Sla {
    deadline: i64,
    timeout_ms: i64,
    max_retries: i32,
}

#[derive(serde::Deserialize)]
struct Qos {
    delivery_mode: String,
    consistency: String,
    durability: String,
}

fn json<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
