//! Measures what orchestration asks of its ports, by standing before them.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hive_application::error::{Error, ErrorKind};
use hive_application::orchestration::{
    AgentDirectory, AgentNews, AgentQuery, FlowOpening, Journal, JournalWrite, Opened, OutboxMessage,
    SPAN_TARGET, StoredFlow, StoredMessage, TicketGateway,
};
use hive_domain::ids::{AgentId, PlanId, TicketId, WorkflowId};
use hive_domain::json::Json;
use hive_domain::orchestration::generation::PlannedTicket;
use hive_domain::orchestration::telemetry::{INCIDENTS_TOPIC, TELEMETRY_TOPIC, VIOLATIONS_TOPIC};
use hive_domain::registry::public::AgentSnapshot;
use hive_domain::tickets::public::{Order, TicketChange, TicketSnapshot};
use metrics::{Counter, Histogram};
use tracing::Instrument as _;

use super::series::Series;

/// The ticket context, measured.
pub(crate) struct MeasuredTickets {
    tickets: Arc<dyn TicketGateway>,
    generation: Series<Histogram>,
    published: Series<Counter>,
    urgency: Series<Histogram>,
    affinity: Series<Histogram>,
}

impl MeasuredTickets {
    /// Registers with the recorder of the process, if there is one.
    pub(crate) fn new(tickets: Arc<dyn TicketGateway>) -> Self {
        MeasuredTickets {
            tickets,
            generation: Series::of("orchestration_ticket_generation_duration_seconds"),
            published: Series::of("orchestration_tickets_published_total"),
            urgency: Series::of("orchestration_scheduler_priority_score"),
            affinity: Series::of("neural_hive_orchestrator_affinity_score"),
        }
    }

    /// A ticket was given to an agent, for these reasons.
    fn dispatched(&self, Scores { urgency, affinity }: Scores) {
        urgency.into_iter().for_each(|score| self.urgency.first().record(score));
        affinity.into_iter().for_each(|score| self.affinity.first().record(score));
    }
}

/// What the scheduler says about a choice.
struct Scores {
    urgency: Option<f64>,
    affinity: Option<f64>,
}

impl Scores {
    fn of(why: &Json) -> Self {
        Scores {
            urgency: why.get("priority_score").and_then(number),
            affinity: why.get("agent_terms").and_then(|terms| terms.get("affinity")).and_then(number),
        }
    }
}

fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Float(number) => Some(*number),
        Json::Int(number) => Some(*number as f64),
        _ => None,
    }
}

#[async_trait]
impl TicketGateway for MeasuredTickets {
    async fn create(&self, tickets: Vec<PlannedTicket>) -> Result<(), Error> {
        let begun = Instant::now();
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            "grpc.CreateTicket",
            otel.kind = "client",
            rpc.system = "grpc",
            rpc.service = "TicketService",
            rpc.method = "CreateTickets",
            tickets = tickets.len(),
        );
        let created = self.tickets.create(tickets).instrument(span).await;
        if created.is_ok() {
            self.generation.first().record(begun.elapsed().as_secs_f64());
        }
        created
    }

    async fn order(&self, ticket_id: &TicketId, order: Order) -> Result<(), Error> {
        let Order::Dispatch(dispatch) = &order else { return self.tickets.order(ticket_id, order).await };
        let scores = Scores::of(&dispatch.allocation);
        let answer = self.tickets.order(ticket_id, order).await;
        match &answer {
            Ok(()) => self.dispatched(scores),
            Err(error) if error.kind() == ErrorKind::FailedPrecondition => {
                self.published.at([1]).increment(1);
            }
            Err(_) => {}
        }
        answer
    }

    async fn list(&self, plan_id: &PlanId) -> Result<Vec<TicketSnapshot>, Error> {
        self.tickets.list(plan_id).await
    }

    async fn watch(
        &self,
        plan_id: &PlanId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        self.tickets.watch(plan_id, after).await
    }

    async fn fence(&self, agent_id: &AgentId, epoch: u64) -> Result<u64, Error> {
        self.tickets.fence(agent_id, epoch).await
    }

    async fn release_lost(&self, agent_id: &AgentId) -> Result<u64, Error> {
        self.tickets.release_lost(agent_id).await
    }
}

/// The registry as orchestration asks it, measured.
pub(crate) struct MeasuredAgents {
    agents: Arc<dyn AgentDirectory>,
    seconds: Series<Histogram>,
    found: Series<Histogram>,
    failures: Series<Counter>,
}

impl MeasuredAgents {
    /// Registers with the recorder of the process, if there is one.
    pub(crate) fn new(agents: Arc<dyn AgentDirectory>) -> Self {
        MeasuredAgents {
            agents,
            seconds: Series::of("orchestration_scheduler_allocation_duration_seconds"),
            found: Series::of("orchestration_scheduler_workers_discovered"),
            failures: Series::of("orchestration_scheduler_discovery_failures_total"),
        }
    }
}

#[async_trait]
impl AgentDirectory for MeasuredAgents {
    async fn discover(&self, query: &AgentQuery) -> Result<Vec<AgentSnapshot>, Error> {
        let begun = Instant::now();
        let found = self.agents.discover(query).await;
        self.seconds.first().record(begun.elapsed().as_secs_f64());
        match &found {
            Ok(agents) => self.found.first().record(agents.len() as f64),
            Err(error) => {
                let kind = match error.reason() {
                    "DEADLINE_EXCEEDED" => 0,
                    _ if error.kind() == ErrorKind::Unavailable => 1,
                    _ => 2,
                };
                self.failures.at([kind]).increment(1);
            }
        }
        found
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<AgentNews, Error>>, Error> {
        self.agents.watch().await
    }
}

/// The memory of flows, measured by what is saved in it to be told.
pub(crate) struct MeasuredJournal {
    journal: Arc<dyn Journal>,
    validations: Series<Counter>,
    duplicates: Series<Counter>,
    incidents: Series<Counter>,
    incident_errors: Series<Counter>,
    incident_seconds: Series<Histogram>,
    violations: Series<Counter>,
    frames: Series<Counter>,
}

/// The kinds of incidents, in the order of the label.
const INCIDENTS: [&str; 4] = ["INCONSISTENCY", "SLA_VIOLATION", "TICKET_TIMEOUT", "WORKER_FAILURE"];

impl MeasuredJournal {
    /// Registers with the recorder of the process, if there is one.
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        MeasuredJournal {
            journal,
            validations: Series::of("orchestration_plan_validations_total"),
            duplicates: Series::of("orchestrator_duplicates_detected_total"),
            incidents: Series::of("orchestration_incident_publish_total"),
            incident_errors: Series::of("orchestration_incident_publish_errors_total"),
            incident_seconds: Series::of("orchestration_incident_publish_duration_seconds"),
            violations: Series::of("orchestration_sla_violations_published_total"),
            frames: Series::of("orchestration_telemetry_published_total"),
        }
    }
}

fn incident(messages: &[OutboxMessage]) -> Option<usize> {
    let message = messages.iter().find(|message| message.topic == INCIDENTS_TOPIC)?;
    let kind = message.payload.get("incident_type").and_then(Json::as_text)?;
    INCIDENTS.iter().position(|known| *known == kind)
}

fn count(messages: &[OutboxMessage], topic: &str) -> u64 {
    messages.iter().filter(|message| message.topic == topic).count() as u64
}

#[async_trait]
impl Journal for MeasuredJournal {
    async fn open(&self, flow: FlowOpening) -> Result<Opened, Error> {
        let opened = self.journal.open(flow).await;
        if let Ok(Opened::Existing(_)) = &opened {
            self.duplicates.first().increment(1);
        }
        opened
    }

    async fn append(&self, write: JournalWrite) -> Result<(), Error> {
        if write.messages.is_empty() {
            return self.journal.append(write).await;
        }
        let incident = incident(&write.messages);
        let violations = count(&write.messages, VIOLATIONS_TOPIC);
        let frames = count(&write.messages, TELEMETRY_TOPIC);
        let begun = Instant::now();
        let saved = self.journal.append(write).await;
        if let Some(kind) = incident {
            self.incident_seconds.at([kind]).record(begun.elapsed().as_secs_f64());
            let told = if saved.is_ok() { &self.incidents } else { &self.incident_errors };
            told.at([kind, 0]).increment(1);
        }
        if saved.is_ok() {
            self.violations.at([0]).increment(violations);
            self.frames.first().increment(frames);
        }
        saved
    }

    async fn find(&self, workflow_id: &WorkflowId) -> Result<Option<StoredFlow>, Error> {
        self.journal.find(workflow_id).await
    }

    async fn list_open(&self) -> Result<Vec<WorkflowId>, Error> {
        self.journal.list_open().await
    }

    async fn publish(&self, messages: Vec<OutboxMessage>) -> Result<(), Error> {
        for message in &messages {
            let result = message.payload.get("validation_result").and_then(|result| result.get("valid"));
            if let Some(Json::Bool(valid)) = result {
                self.validations.at([usize::from(!valid)]).increment(1);
            }
        }
        self.journal.publish(messages).await
    }

    async fn read_messages(&self, after: u64, limit: usize) -> Result<Vec<StoredMessage>, Error> {
        self.journal.read_messages(after, limit).await
    }
}
