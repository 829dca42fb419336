//! What an agent does when a ticket it is busy with is dispatched to it again.

#![expect(clippy::unwrap_used, reason = "what fails in a test panics")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use hive_agent::{Agent, AgentConfig};
use hive_application::clock::{Clock, Timer};
use hive_application::error::{Effect, Error, ErrorKind};
use hive_application::registry::{Notification, Registration, RegistryDesk};
use hive_application::tickets::TicketDesk;
use hive_domain::ids::{AgentId, DecisionId, IntentId, PlanId, TaskId, TicketId};
use hive_domain::json::Json;
use hive_domain::registry::public::AgentTelemetry;
use hive_domain::registry::{AnnouncementDraft, Claim};
use hive_domain::tickets::public::{
    Consistency, DeliveryMode, Durability, Priority, Qos, Report, RiskBand, SecurityLevel, Sla, TaskType,
    TicketChange, TicketContent, TicketSnapshot, TicketStatus,
};
use hive_domain::tickets::{Dispatch, Ticket};
use hive_domain::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

const LIMIT: Duration = Duration::from_secs(60);

type Answer = Result<TicketSnapshot, Error>;
/// What the agent reports, and the way to answer it.
type Asked = (TicketStatus, oneshot::Sender<Answer>);
type Log = Vec<Result<Arc<TicketChange>, Error>>;

/// Tickets whose every answer the test gives.
struct Desk {
    /// What each opening of the log tells before it stays silent, or ends where an error is last.
    logs: Mutex<Vec<Log>>,
    reports: mpsc::UnboundedSender<Asked>,
    committed: mpsc::UnboundedSender<u64>,
}

#[async_trait]
impl TicketDesk for Desk {
    async fn watch(
        &self,
        _: &AgentId,
        _: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        let mut logs = self.logs.lock().unwrap();
        let log = if logs.is_empty() { Log::new() } else { logs.remove(0) };
        Ok(stream::iter(log).chain(stream::pending()).boxed())
    }

    async fn report(&self, _: &TicketId, status: TicketStatus, _: Report) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.reports.send((status, answer)).unwrap();
        answered.await.unwrap()
    }

    async fn held(&self, _: &AgentId) -> Result<Vec<TicketId>, Error> {
        Ok(Vec::new())
    }

    async fn committed(&self, _: &AgentId) -> Result<u64, Error> {
        Ok(0)
    }

    async fn commit(&self, _: &AgentId, offset: u64) -> Result<(), Error> {
        self.committed.send(offset).unwrap();
        Ok(())
    }
}

struct Registry;

#[async_trait]
impl RegistryDesk for Registry {
    async fn register(&self, _: AnnouncementDraft, _: Claim) -> Result<Registration, Error> {
        Err(Error::internal("it is registered"))
    }

    async fn heartbeat(&self, _: &AgentId, _: u64, _: AgentTelemetry) -> Result<Vec<Notification>, Error> {
        Ok(Vec::new())
    }

    async fn deregister(&self, _: &AgentId, _: u64) -> Result<bool, Error> {
        Ok(true)
    }
}

/// A time that stands still; waits end at once and are told, except those for heartbeats.
struct Time(mpsc::UnboundedSender<i64>);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

#[async_trait]
impl Timer for Time {
    async fn sleep_until(&self, at: Timestamp) {
        let wait_ms = at.since(self.now());
        if wait_ms >= 30_000 {
            return std::future::pending().await;
        }
        self.0.send(wait_ms).unwrap();
    }
}

struct Stand {
    reports: mpsc::UnboundedReceiver<Asked>,
    committed: mpsc::UnboundedReceiver<u64>,
    waits: mpsc::UnboundedReceiver<i64>,
    _agent: tokio::task::JoinSet<()>,
}

impl Stand {
    fn new(logs: Vec<Log>) -> Self {
        let (asked, reports) = mpsc::unbounded_channel();
        let (commit, committed) = mpsc::unbounded_channel();
        let (wait, waits) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk { logs: Mutex::new(logs), reports: asked, committed: commit });
        let config = AgentConfig { agent_id: own(), epoch: 1, max_concurrent: 10 };
        let time = Arc::new(Time(wait));
        let agent = Agent::new(config, desk, Arc::new(Registry), Arc::<Time>::clone(&time), time);
        let mut running = tokio::task::JoinSet::new();
        running.spawn(async move { agent.execute(std::future::pending()).await.unwrap() });
        Stand { reports, committed, waits, _agent: running }
    }

    /// The next report, which must be of that status.
    async fn asked(&mut self, status: TicketStatus) -> oneshot::Sender<Answer> {
        let (asked, answer) = next(&mut self.reports).await;
        assert_eq!(asked, status);
        answer
    }
}

async fn next<T>(of: &mut mpsc::UnboundedReceiver<T>) -> T {
    tokio::time::timeout(LIMIT, of.recv()).await.unwrap().unwrap()
}

fn own() -> AgentId {
    AgentId::parse("w-1").unwrap()
}

/// The dispatch of the one ticket there is.
fn dispatched(offset: u64) -> Arc<TicketChange> {
    let (plan_id, task_id) = (PlanId::parse("p").unwrap(), TaskId::parse("t").unwrap());
    let content = TicketContent {
        ticket_id: TicketId::for_task(&plan_id, &task_id),
        intent_id: IntentId::parse("i").unwrap(),
        decision_id: DecisionId::for_direct_plan(&plan_id),
        plan_id,
        correlation_id: None,
        trace_id: None,
        span_id: None,
        task_id,
        task_type: TaskType::Build,
        description: "x".to_owned(),
        dependencies: Vec::new(),
        priority: Priority::Normal,
        risk_band: RiskBand::Low,
        sla: Sla { deadline: Timestamp::from_millis(2), timeout_ms: 1, max_retries: 0 },
        qos: Qos {
            delivery_mode: DeliveryMode::AtLeastOnce,
            consistency: Consistency::Eventual,
            durability: Durability::Persistent,
        },
        parameters: BTreeMap::new(),
        required_capabilities: Vec::new(),
        security_level: SecurityLevel::Internal,
        created_at: Timestamp::from_millis(0),
        estimated_duration_ms: None,
        predictions: None,
        schema_version: 1,
    };
    let mut ticket = Ticket::create(content, BTreeMap::new(), "test").unwrap();
    let order = Dispatch { agent: own(), epoch: 1, allocation: Json::Null, not_before: None };
    ticket.dispatch(order, Timestamp::from_millis(1), "test").unwrap();
    let event = ticket.take_events().pop().unwrap();
    Arc::new(TicketChange { offset, event, ticket: ticket.snapshot() })
}

fn yes() -> Answer {
    Ok(dispatched(0).ticket.clone())
}

fn refused() -> Answer {
    Err(Error::new(ErrorKind::FailedPrecondition, "INVALID_TRANSITION", "it timed out"))
}

fn away() -> Error {
    Error::unavailable("the ticket store", "gone", Effect::None)
}

#[tokio::test]
async fn a_new_try_is_taken_when_the_old_one_is_over() {
    let log = [3, 5, 7].map(|offset| Ok(dispatched(offset)));
    let mut stand = Stand::new(vec![Vec::from(log)]);
    stand.asked(TicketStatus::Running).await.send(yes()).unwrap();
    // The old try is refused: the ticket timed out meanwhile, and was dispatched again.
    stand.asked(TicketStatus::Completed).await.send(refused()).unwrap();
    let taking = stand.asked(TicketStatus::Running).await;
    let mut last = 0;
    while let Ok(offset) = stand.committed.try_recv() {
        last = offset;
    }
    assert!(last < 7, "what is not taken yet is not passed over: {last}");
    taking.send(yes()).unwrap();
    stand.asked(TicketStatus::Completed).await.send(yes()).unwrap();
    while next(&mut stand.committed).await != 7 {}
    assert!(stand.reports.try_recv().is_err(), "of several dispatches meanwhile only the newest is taken");
}

#[tokio::test]
async fn a_refused_dispatch_gives_way_to_the_next() {
    let mut stand = Stand::new(vec![vec![Ok(dispatched(3)), Ok(dispatched(5))]]);
    stand.asked(TicketStatus::Running).await.send(refused()).unwrap();
    stand.asked(TicketStatus::Running).await.send(refused()).unwrap();
    while next(&mut stand.committed).await != 5 {}
}

#[tokio::test]
async fn a_log_that_stays_away_is_asked_less_and_less() {
    let mut logs: Vec<Log> = (0..7).map(|_| vec![Err(away())]).collect();
    logs.push(vec![Ok(dispatched(3)), Err(away())]);
    let mut stand = Stand::new(logs);
    for whole in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        let wait_ms = next(&mut stand.waits).await;
        assert!((whole / 2..=whole).contains(&wait_ms), "{wait_ms} of {whole}");
    }
    assert!(next(&mut stand.waits).await <= 200, "it told something");
}

#[tokio::test]
async fn a_log_that_forgot_its_place_is_read_from_the_start() {
    let gone = Error::new(ErrorKind::OutOfRange, "LOG_PRUNED", "not kept any more");
    let mut stand = Stand::new(vec![vec![Err(gone)], vec![Ok(dispatched(3))]]);
    stand.asked(TicketStatus::Running).await.send(yes()).unwrap();
    stand.asked(TicketStatus::Completed).await.send(yes()).unwrap();
    while next(&mut stand.committed).await != 3 {}
    assert!(stand.waits.try_recv().is_err(), "the log is not away");
}
