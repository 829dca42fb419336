//! What is known of a flow while it goes. Every change costs the same, however many tickets there are.

use std::collections::{BTreeMap, HashMap};

use hive_application::orchestration::Progress;
use hive_domain::ids::TicketId;
use hive_domain::orchestration::flow::{Flow, Phase, TicketRecord};
use hive_domain::tickets::TicketStatus;
use hive_domain::time::Timestamp;

use super::ticket::{Running, Seen, Waiting};

/// What is known of a flow.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) plan: String,
    /// Nothing before the flow was taken up.
    pub(super) phase: Option<Phase>,
    /// Whether it had gone on before this process took it up.
    pub(super) resumed: bool,
    /// Tickets made from tasks.
    pub(super) total: usize,
    /// Of these: known to the ticket context, given to an agent at least once, ended.
    pub(super) created: usize,
    pub(super) allocated: usize,
    pub(super) ended: usize,
    pub(super) completed: usize,
    pub(super) failed: usize,
    /// Undos begun, and undos over.
    pub(super) undos: usize,
    pub(super) undone: usize,
    /// Tickets with agents, by task, undos included.
    pub(super) running: BTreeMap<String, Running>,
    /// Tickets for which there is no agent, by task.
    pub(super) parked: BTreeMap<String, Waiting>,
    seen: HashMap<TicketId, Seen>,
    /// Nodes of the flow that were seen; undos come after the tasks.
    nodes: usize,
}

/// What was taken in, with what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told<'a> {
    /// The flow was taken up.
    TakenUp,
    /// It entered a phase.
    Entered(Phase),
    /// A ticket changed: its task, and whether it will be tried again when it failed.
    Ticket { task: String, record: &'a TicketRecord, will_retry: bool },
    /// A ticket waits for an agent: its task, and for what.
    Parked { task: String, waiting: Waiting },
}

impl Board {
    /// Takes in what the flow tells; nothing comes of a ticket that is not the flow's.
    pub(super) fn take_in<'a>(&mut self, flow: &Flow, progress: Progress<'a>) -> Option<Told<'a>> {
        Some(match progress {
            Progress::TakenUp => {
                self.take_up(flow);
                Told::TakenUp
            }
            Progress::Entered(phase) => {
                self.enter(phase);
                Told::Entered(phase)
            }
            Progress::Ticket(record) => {
                let (task, will_retry) = self.change(flow, record)?;
                Told::Ticket { task, record, will_retry }
            }
            Progress::Parked(ticket_id, reason) => {
                let (task, waiting) = self.park(flow, ticket_id, reason)?;
                Told::Parked { task, waiting }
            }
        })
    }

    fn take_up(&mut self, flow: &Flow) {
        *self = Board {
            plan: flow.approved().plan.plan_id.to_string(),
            total: flow.planned().len(),
            resumed: flow.phase() != Phase::Generating,
            ..Board::default()
        };
        self.see_new(flow);
        for node in flow.nodes() {
            let Some(seen) = self.seen.get_mut(&node.ticket_id) else { continue };
            seen.created = self.resumed;
            let task = seen.task.clone();
            if let (Some(reason), TicketStatus::Pending) = (&node.parked, node.status) {
                self.parked.insert(task.clone(), seen.waiting(reason));
            }
            let since = node.started_at.unwrap_or(flow.opened_at());
            self.stand(
                &node.ticket_id,
                &task,
                node.status,
                node.agent.as_ref().map(|agent| agent.as_str()),
                since,
            );
            self.end(&node.ticket_id, (!node.is_open()).then_some(node.has_completed()));
        }
        self.enter(flow.phase());
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = Some(phase);
        if phase != Phase::Generating {
            self.created = self.total;
        }
    }

    fn change(&mut self, flow: &Flow, record: &TicketRecord) -> Option<(String, bool)> {
        let id = &record.ticket_id;
        self.see_new(flow);
        let seen = self.seen.get_mut(id)?;
        let task = seen.task.clone();
        if !seen.is_undo && !std::mem::replace(&mut seen.created, true) && self.created < self.total {
            self.created += 1;
        }
        let will_retry = record.retryable && record.retry_count < seen.max_retries();
        let ended = match record.status {
            TicketStatus::Failed if will_retry => None,
            status if status.is_terminal() => Some(status == TicketStatus::Completed),
            // Its own work had ended before it is undone.
            TicketStatus::Compensating => seen.ended,
            _ => None,
        };
        let since = record.started_at.unwrap_or(record.at);
        self.stand(id, &task, record.status, record.agent.as_ref().map(|agent| agent.as_str()), since);
        self.end(id, ended);
        Some((task, will_retry))
    }

    fn park(&mut self, flow: &Flow, ticket_id: &TicketId, reason: &str) -> Option<(String, Waiting)> {
        self.see_new(flow);
        let seen = self.seen.get(ticket_id)?;
        let (task, waiting) = (seen.task.clone(), seen.waiting(reason));
        self.parked.insert(task.clone(), waiting.clone());
        Some((task, waiting))
    }

    /// Gets to know tickets that came since.
    fn see_new(&mut self, flow: &Flow) {
        for node in flow.nodes().iter().skip(self.nodes) {
            let seen = Seen::new(node);
            self.undos += usize::from(seen.is_undo);
            self.seen.insert(node.ticket_id.clone(), seen);
        }
        self.nodes = flow.nodes().len();
    }

    fn stand(
        &mut self,
        id: &TicketId,
        task: &str,
        status: TicketStatus,
        agent: Option<&str>,
        since: Timestamp,
    ) {
        if status != TicketStatus::Pending {
            self.parked.remove(task);
        }
        if let (TicketStatus::Running, Some(agent)) = (status, agent) {
            self.running.insert(task.to_owned(), Running { agent: agent.to_owned(), since });
        } else {
            self.running.remove(task);
        }
        if let (Some(_), Some(seen)) = (agent, self.seen.get_mut(id))
            && !std::mem::replace(&mut seen.allocated, true)
            && !seen.is_undo
        {
            self.allocated += 1;
        }
    }

    fn end(&mut self, id: &TicketId, ended: Option<bool>) {
        let Some(seen) = self.seen.get_mut(id) else { return };
        let before = std::mem::replace(&mut seen.ended, ended);
        if seen.is_undo {
            self.undone = (self.undone + usize::from(ended.is_some())) - usize::from(before.is_some());
            return;
        }
        for (outcome, sign) in [(before, -1), (ended, 1)] {
            let Some(completed) = outcome else { continue };
            let kind = if completed { &mut self.completed } else { &mut self.failed };
            *kind = kind.saturating_add_signed(sign);
            self.ended = self.ended.saturating_add_signed(sign);
        }
    }
}
