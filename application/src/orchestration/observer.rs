//! Telling others how flows go, while they go.

use std::sync::Arc;

use hive_domain::ids::{TicketId, WorkflowId};
use hive_domain::orchestration::flow::{Flow, Phase, TicketRecord};

/// One thing worth telling about a flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress<'a> {
    /// It was taken up, for the first time or again.
    TakenUp,
    /// It entered a phase.
    Entered(Phase),
    /// One of its tickets changed.
    Ticket(&'a TicketRecord),
    /// One of its tickets waits for an agent that does not exist.
    Parked(&'a TicketId, &'a str),
}

/// Is told how flows go. Must not block.
pub trait FlowObserver: Send + Sync {
    /// Something happened to `flow`.
    fn observe(&self, flow: &Flow, progress: Progress<'_>);

    /// A flow is not driven any more although it has not ended: something failed that waiting does not mend.
    fn stopped(&self, _workflow_id: &WorkflowId) {}

    /// A span was opened for driving `flow`, and nothing has been done in it: whoever exports it joins it to the trace of
    /// the plan.
    fn opened(&self, _flow: &Flow, _span: &tracing::Span) {}

    /// The agents for a ticket were known from an earlier look; the registry was not asked.
    fn agents_were_known(&self) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl FlowObserver for Unobserved {
    fn observe(&self, _flow: &Flow, _progress: Progress<'_>) {}
}

/// Tells several, in order.
#[derive(Clone)]
pub struct Observers(Vec<Arc<dyn FlowObserver>>);

impl Observers {
    /// Tells all of `observers`.
    pub fn new(observers: Vec<Arc<dyn FlowObserver>>) -> Self {
        Observers(observers)
    }
}

impl FlowObserver for Observers {
    fn observe(&self, flow: &Flow, progress: Progress<'_>) {
        for observer in &self.0 {
            observer.observe(flow, progress);
        }
    }

    fn stopped(&self, workflow_id: &WorkflowId) {
        for observer in &self.0 {
            observer.stopped(workflow_id);
        }
    }

    fn opened(&self, flow: &Flow, span: &tracing::Span) {
        for observer in &self.0 {
            observer.opened(flow, span);
        }
    }

    fn agents_were_known(&self) {
        for observer in &self.0 {
            observer.agents_were_known();
        }
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}
