//! A span for each piece of work of an agent, in the trace of its ticket.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hive_application::error::Error;
use hive_application::tickets::TicketDesk;
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::tickets::public::{Report, TicketChange, TicketSnapshot, TicketStatus};
use hive_domain::time::Timestamp;
use opentelemetry::trace::{Span as _, Status, Tracer as _};
use opentelemetry::{KeyValue, global};

use super::traces::{AGENT, SERVICE_ATTRIBUTE, remote_context, stored};

/// The ticket context as an agent sees it, traced.
pub(crate) struct TracedDesk {
    desk: Arc<dyn TicketDesk>,
}

impl TracedDesk {
    /// Stands before `desk`.
    pub(crate) fn new(desk: Arc<dyn TicketDesk>) -> Self {
        TracedDesk { desk }
    }
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.millis().max(0).unsigned_abs())
}

/// The work on a ticket that ended, from taking it to the report.
fn trace(ticket: &TicketSnapshot) {
    let (content, state) = (&ticket.content, &ticket.state);
    let Some(parent) = stored(content.trace_id.as_deref(), content.span_id.as_deref()) else { return };
    let (Some(started), Some(completed)) = (state.started_at, state.completed_at) else { return };
    let tracer = global::tracer("hive");
    let attributes = vec![
        KeyValue::new(SERVICE_ATTRIBUTE, AGENT),
        KeyValue::new("neural.hive.ticket.id", content.ticket_id.to_string()),
        KeyValue::new("neural.hive.plan.id", content.plan_id.to_string()),
        KeyValue::new("neural.hive.intent.id", content.intent_id.to_string()),
        KeyValue::new("task_type", content.task_type.as_str()),
        KeyValue::new(
            "agent_id",
            state.assigned_worker.as_ref().map_or_else(String::new, ToString::to_string),
        ),
    ];
    let span = tracer.span_builder("worker.execute_ticket").with_start_time(time(started));
    let mut span = tracer.build_with_context(span.with_attributes(attributes), &remote_context(&parent));
    if state.status == TicketStatus::Failed {
        span.set_status(Status::error("the ticket failed"));
    }
    span.end_with_timestamp(time(completed));
}

#[async_trait]
impl TicketDesk for TracedDesk {
    async fn watch(
        &self,
        agent_id: &AgentId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        self.desk.watch(agent_id, after).await
    }

    async fn report(
        &self,
        ticket_id: &TicketId,
        status: TicketStatus,
        report: Report,
    ) -> Result<TicketSnapshot, Error> {
        let ticket = self.desk.report(ticket_id, status, report).await?;
        if status != TicketStatus::Running {
            trace(&ticket);
        }
        Ok(ticket)
    }

    async fn held(&self, agent_id: &AgentId) -> Result<Vec<TicketId>, Error> {
        self.desk.held(agent_id).await
    }

    async fn committed(&self, agent_id: &AgentId) -> Result<u64, Error> {
        self.desk.committed(agent_id).await
    }

    async fn commit(&self, agent_id: &AgentId, offset: u64) -> Result<(), Error> {
        self.desk.commit(agent_id, offset).await
    }
}
