//! A journal and tickets that outlive orchestration, an agent that works as told, and time that passes at each look.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use async_trait::async_trait;
use event_listener::Event;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use hive_application::clock::{Clock, Timer};
use hive_application::context::CallContext;
use hive_application::error::{Error, ErrorKind};
use hive_application::ids::IdGenerator;
use hive_application::orchestration::{
    AgentDirectory, AgentNews, AgentQuery, Config, Dependencies, FlowOpening, FlowView, Journal,
    JournalWrite, Opened, Orchestration, OutboxMessage, StoredFlow, StoredMessage, Submission, TicketGateway,
    Unobserved,
};
use hive_domain::ids::{AgentId, PlanId, TicketId, WorkflowId};
use hive_domain::orchestration::generation::PlannedTicket;
use hive_domain::registry::public::{AgentSnapshot, AgentStatus, AgentTelemetry, AgentType};
use hive_domain::tickets::public::{Order, Report, TicketChange, TicketSnapshot, TicketStatus};
use hive_domain::tickets::{Ticket, TicketEvent};
use hive_domain::time::Timestamp;

/// What a process leaves behind.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) journal: Arc<Flows>,
    pub(crate) tickets: Arc<Tickets>,
    time: Arc<Ticking>,
}

impl World {
    /// Starts a process.
    pub(crate) fn start(&self, max_flows: usize) -> Orchestration {
        let dependencies = Dependencies {
            journal: Arc::<Flows>::clone(&self.journal),
            tickets: Arc::new(Gateway(Arc::clone(&self.tickets))),
            agents: Arc::new(OneAgent),
            clock: Arc::<Ticking>::clone(&self.time),
            timer: Arc::new(Never),
            ids: Arc::new(SameId),
            observer: Arc::new(Unobserved),
        };
        Orchestration::new(dependencies, Config { max_flows, ..Config::default() })
    }
}

/// A process that supervises flows. Nothing in it waits for anything outside.
pub(crate) struct Process {
    pub(crate) orchestration: Orchestration,
    supervisor: BoxFuture<'static, Result<(), Error>>,
}

impl Process {
    pub(crate) fn start(world: &World, max_flows: usize) -> Self {
        let orchestration = world.start(max_flows);
        let supervisor = orchestration.supervisor.clone();
        let supervisor = async move { supervisor.execute().await }.boxed();
        Process { orchestration, supervisor }
    }

    pub(crate) fn submit(&self, message: &str) -> Submission {
        let context = CallContext::internal("test");
        at_once(self.orchestration.submit.execute(&context, message.as_bytes())).unwrap()
    }

    pub(crate) fn view(&self, id: &WorkflowId) -> FlowView {
        at_once(self.orchestration.flows.get(id)).unwrap()
    }

    /// Lets everything happen that can: asks the supervisor as long as something wakes it up.
    pub(crate) fn settle(&mut self) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        while woken.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(ended) = self.supervisor.as_mut().poll(&mut Context::from_waker(&waker)) {
                panic!("the supervisor ended: {ended:?}");
            }
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("nothing here waits")
}

pub(crate) fn workflow(plan: &str) -> WorkflowId {
    WorkflowId::for_plan(&PlanId::parse(plan).unwrap())
}

/// A plan on its own: `tasks` tasks that wait for nothing.
pub(crate) fn plan(id: &str, tasks: usize) -> String {
    let names: Vec<String> = (0..tasks).map(|n| format!("t{n}")).collect();
    let task = |name: &String| {
        format!(
            r#"{{"task_id":"{name}","task_type":"EXECUTE","description":"d","required_capabilities":["compute"]}}"#
        )
    };
    let list: Vec<String> = names.iter().map(task).collect();
    let order: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        r#"{{"plan_id":"{id}","intent_id":"i","risk_score":0.1,"risk_band":"low","tasks":[{}],"execution_order":[{}]}}"#,
        list.join(","),
        order.join(",")
    )
}

#[derive(Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct Never;

#[async_trait]
impl Timer for Never {
    async fn sleep_until(&self, _at: Timestamp) {
        std::future::pending::<()>().await;
    }
}

struct SameId;

impl IdGenerator for SameId {
    fn uuid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".to_owned()
    }
}

struct OneAgent;

fn agent_id() -> AgentId {
    AgentId::parse("agent-1").unwrap()
}

#[async_trait]
impl AgentDirectory for OneAgent {
    async fn discover(&self, _query: &AgentQuery) -> Result<Vec<AgentSnapshot>, Error> {
        Ok(vec![AgentSnapshot {
            agent_id: agent_id(),
            agent_type: AgentType::Worker,
            capabilities: vec!["compute".to_owned()],
            metadata: BTreeMap::new(),
            telemetry: AgentTelemetry::default(),
            status: AgentStatus::Healthy,
            is_expired: false,
            registered_at: Timestamp::from_millis(0),
            last_seen: Timestamp::from_millis(0),
            namespace: "default".to_owned(),
            cluster: "local".to_owned(),
            version: "1.0.0".to_owned(),
            schema_version: 1,
            epoch: 1,
            revision: 1,
            max_concurrent_tasks: None,
        }])
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<AgentNews, Error>>, Error> {
        Ok(stream::pending().boxed())
    }
}

/// The journal, in memory.
#[derive(Default)]
pub(crate) struct Flows {
    flows: Mutex<BTreeMap<WorkflowId, StoredFlow>>,
    /// Answers to the question which flows are open.
    pub(crate) looks: AtomicI64,
}

#[async_trait]
impl Journal for Flows {
    async fn open(&self, flow: FlowOpening) -> Result<Opened, Error> {
        let mut flows = self.flows.lock().unwrap();
        if let Some(stored) = flows.get(&flow.workflow_id) {
            return Ok(Opened::Existing(stored.clone()));
        }
        let id = flow.workflow_id.clone();
        flows.insert(id, StoredFlow { opening: flow, entries: Vec::new(), outcome: None });
        Ok(Opened::New)
    }

    async fn append(&self, write: JournalWrite) -> Result<(), Error> {
        let mut flows = self.flows.lock().unwrap();
        let flow = flows.get_mut(&write.workflow_id).expect("flows are opened first");
        flow.entries.extend(write.entries);
        flow.outcome = write.outcome.or(flow.outcome.take());
        Ok(())
    }

    async fn find(&self, workflow_id: &WorkflowId) -> Result<Option<StoredFlow>, Error> {
        Ok(self.flows.lock().unwrap().get(workflow_id).cloned())
    }

    async fn list_open(&self) -> Result<Vec<WorkflowId>, Error> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let flows = self.flows.lock().unwrap();
        let open = flows.iter().filter(|(_, flow)| flow.outcome.is_none());
        Ok(open.map(|(id, _)| id.clone()).collect())
    }

    async fn publish(&self, _messages: Vec<OutboxMessage>) -> Result<(), Error> {
        Ok(())
    }

    async fn read_messages(&self, _after: u64, _limit: usize) -> Result<Vec<StoredMessage>, Error> {
        Ok(Vec::new())
    }
}

/// The ticket context and an agent, in memory.
#[derive(Default)]
pub(crate) struct Tickets {
    inner: Mutex<Inner>,
    changed: Event,
}

#[derive(Default)]
struct Inner {
    tickets: BTreeMap<TicketId, Ticket>,
    log: Vec<Arc<TicketChange>>,
    idle: Vec<TicketId>,
    /// Tickets the agent works on before it pauses.
    willing: usize,
    dispatched: HashSet<TicketId>,
    refuses: bool,
}

const NOW: Timestamp = Timestamp::from_millis(1_000);

impl Inner {
    fn save(&mut self, mut ticket: Ticket) {
        let events: Vec<TicketEvent> = ticket.take_events();
        let version = ticket.version() + 1;
        let ticket = ticket.saved(version);
        for event in events {
            let offset = self.log.len() as u64 + 1;
            self.log.push(Arc::new(TicketChange { offset, event, ticket: ticket.snapshot() }));
        }
        self.tickets.insert(ticket.id().clone(), ticket);
    }

    fn work(&mut self) {
        while self.willing > 0
            && let Some(id) = self.idle.pop()
        {
            self.willing -= 1;
            for status in [TicketStatus::Running, TicketStatus::Completed] {
                let mut ticket = self.tickets[&id].clone();
                ticket.report(status, &Report::by(agent_id(), 1), NOW, "agent-1").unwrap();
                self.save(ticket);
            }
        }
    }
}

impl Tickets {
    /// The agent takes this many more tickets.
    pub(crate) fn work(&self, count: usize) {
        let mut inner = self.inner.lock().unwrap();
        inner.willing += count;
        inner.work();
        drop(inner);
        self.changed.notify(usize::MAX);
    }

    /// Whether creating tickets is a defect.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.inner.lock().unwrap().refuses = refuses;
    }

    /// The first change of a plan's tickets from a place in the log on.
    fn next(&self, plan: &PlanId, from: usize) -> Option<(usize, Arc<TicketChange>)> {
        let inner = self.inner.lock().unwrap();
        let mut rest = inner.log.iter().enumerate().skip(from);
        let (place, change) = rest.find(|(_, change)| change.ticket.content.plan_id == *plan)?;
        Some((place, Arc::clone(change)))
    }

    /// Tickets ever handed to the agent.
    pub(crate) fn dispatched(&self) -> usize {
        self.inner.lock().unwrap().dispatched.len()
    }
}

struct Gateway(Arc<Tickets>);

#[async_trait]
impl TicketGateway for Gateway {
    async fn create(&self, tickets: Vec<PlannedTicket>) -> Result<(), Error> {
        let mut inner = self.0.inner.lock().unwrap();
        if inner.refuses {
            return Err(Error::internal("a defect with a path /var/lib"));
        }
        for planned in tickets {
            if !inner.tickets.contains_key(&planned.content.ticket_id) {
                inner.save(Ticket::create(planned.content, planned.metadata, "flow").unwrap());
            }
        }
        drop(inner);
        self.0.changed.notify(usize::MAX);
        Ok(())
    }

    async fn order(&self, ticket_id: &TicketId, order: Order) -> Result<(), Error> {
        let mut inner = self.0.inner.lock().unwrap();
        let mut ticket = inner.tickets[ticket_id].clone();
        let dispatch = matches!(order, Order::Dispatch(_));
        ticket.obey(order, NOW, "flow")?;
        inner.save(ticket);
        if dispatch {
            if !inner.dispatched.insert(ticket_id.clone()) {
                return Err(Error::new(ErrorKind::Internal, "TWICE", "dispatched twice"));
            }
            inner.idle.push(ticket_id.clone());
            inner.work();
        }
        drop(inner);
        self.0.changed.notify(usize::MAX);
        Ok(())
    }

    async fn list(&self, plan_id: &PlanId) -> Result<Vec<TicketSnapshot>, Error> {
        let inner = self.0.inner.lock().unwrap();
        let of_plan = inner.tickets.values().filter(|ticket| ticket.content().plan_id == *plan_id);
        Ok(of_plan.map(Ticket::snapshot).collect())
    }

    async fn watch(
        &self,
        plan_id: &PlanId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        let start = (Arc::clone(&self.0), plan_id.clone(), usize::try_from(after).unwrap());
        let changes = stream::unfold(start, |(tickets, plan, at)| async move {
            loop {
                let changed = tickets.changed.listen();
                let next = tickets.next(&plan, at);
                match next {
                    Some((place, change)) => return Some((Ok(change), (tickets, plan, place + 1))),
                    None => changed.await,
                }
            }
        });
        Ok(changes.boxed())
    }

    async fn fence(&self, _agent_id: &AgentId, _epoch: u64) -> Result<u64, Error> {
        Ok(0)
    }

    async fn release_lost(&self, _agent_id: &AgentId) -> Result<u64, Error> {
        Ok(0)
    }
}
