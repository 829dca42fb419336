//! A ticket service on a database in a temporary folder, and clients that reach it without a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hive_application::clock::Clock;
use hive_application::context::CallContext;
use hive_application::ids::IdGenerator;
use hive_application::tickets::{OrderTicketCommand, TicketApi, Tickets, TokenConfig};
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::json::Json;
use hive_domain::tickets::{Dispatch, Order};
use hive_domain::time::Timestamp;
use hive_grpc::tickets::{LegacyTicketService, TicketService, WatchConfig};
use hive_jwt::Hs256TokenIssuer;
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;
use hive_proto::grpc::neural_hive::execution::ticket_service_server::TicketServiceServer;
use hive_proto::grpc::neural_hive::execution::{ExecutionTicket, Qos, Sla};
use hive_proto::grpc::ticket_service::ticket_service_client::TicketServiceClient as OldClient;
use hive_proto::grpc::ticket_service::ticket_service_server::TicketServiceServer as OldServer;
use hive_sql::{Config, TicketDatabase};
use tempfile::TempDir;
use tonic::Status;
use tonic_types::StatusExt;

pub(crate) const START: i64 = 1_700_000_000_000;

/// The open service.
pub(crate) struct Desk {
    pub(crate) api: TicketApi,
    pub(crate) database: TicketDatabase,
    _folder: TempDir,
}

pub(crate) type Client = TicketServiceClient<TicketServiceServer<TicketService>>;

/// A clock that moves by a millisecond whenever it is read.
struct SteppingClock(AtomicI64);

impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct CountingIds(AtomicU64);

impl IdGenerator for CountingIds {
    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let database = TicketDatabase::open(&Config::new(folder.path().join("tickets.db"))).await.unwrap();
        let clock = Arc::new(SteppingClock(AtomicI64::new(START)));
        let tickets =
            Tickets::new(database.repository(), database.log(), Arc::<SteppingClock>::clone(&clock));
        let ids = Arc::new(CountingIds(AtomicU64::new(0)));
        let issuer = Arc::new(Hs256TokenIssuer::new(b"your-secret-key").unwrap());
        let api = TicketApi::new(tickets, clock, ids, issuer, TokenConfig::default());
        Desk { api, database, _folder: folder }
    }

    /// Hands a ticket to the first incarnation of an agent, as orchestration does.
    pub(crate) async fn dispatch(&self, ticket_id: &str, agent: &str) {
        let agent = AgentId::parse(agent).unwrap();
        let order = Order::Dispatch(Dispatch { agent, epoch: 1, allocation: Json::Null, not_before: None });
        let command = OrderTicketCommand { ticket_id: TicketId::parse(ticket_id).unwrap(), order };
        self.api.tickets.order.execute(&CallContext::internal("test"), &command).await.unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        self.client_of(WatchConfig::default())
    }

    pub(crate) fn client_of(&self, watch: WatchConfig) -> Client {
        TicketServiceClient::new(TicketService::new(self.api.clone(), watch).into_server())
    }

    pub(crate) fn old_client(&self) -> OldClient<OldServer<LegacyTicketService>> {
        OldClient::new(LegacyTicketService::new(self.api.clone()).into_server())
    }
}

/// The least a caller sends, and an id.
pub(crate) fn minimal(id: &str) -> ExecutionTicket {
    let text = str::to_owned;
    ExecutionTicket {
        ticket_id: text(id),
        plan_id: text("plan-xyz"),
        intent_id: text("intent-1"),
        decision_id: text("dec-1"),
        task_id: text("task-1"),
        task_type: text("BUILD"),
        description: Some(text("Build é")),
        priority: text("HIGH"),
        risk_band: text("high"),
        security_level: text("CONFIDENTIAL"),
        sla: Some(Sla { deadline: Some(1_737_100_800_000), timeout_ms: Some(300_000), max_retries: Some(3) }),
        qos: Some(Qos {
            delivery_mode: text("EXACTLY_ONCE"),
            consistency: text("STRONG"),
            durability: text("PERSISTENT"),
        }),
        ..ExecutionTicket::default()
    }
}

/// The field that an INVALID_ARGUMENT is about.
pub(crate) fn wrong_field(status: &Status) -> String {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    status.get_details_bad_request().unwrap().field_violations.remove(0).field
}

/// The stable reason of an error.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}
