//! What follows from a change of a ticket, and from the passing of time.

use super::Flow;
use super::entry::TicketRecord;
use super::schedule::Alarm;
use super::step::{Phase, Step, TIMED_OUT};
use crate::tickets::public::{Order, TicketAction, TicketStatus};
use crate::time::Timestamp;

impl Flow {
    pub(super) fn apply_change(&mut self, record: &TicketRecord) {
        if record.offset <= self.read_to {
            return;
        }
        self.read_to = record.offset;
        let Some(at) = self.index.get(record.ticket_id.as_str()).copied() else { return };
        if matches!(record.action, TicketAction::Created | TicketAction::Annotated) {
            return;
        }
        let was_open = self.nodes[at as usize].is_open();
        self.nodes[at as usize].take_in(record);
        let is_open = self.nodes[at as usize].is_open();
        match (was_open, is_open) {
            (true, false) => self.open -= 1,
            (false, true) => self.open += 1,
            _ => {}
        }
        self.follow_up(at, record);
    }

    /// What follows from a change of one node.
    fn follow_up(&mut self, at: u32, record: &TicketRecord) {
        let node = &self.nodes[at as usize];
        match record.status {
            TicketStatus::Pending => {
                if self.is_released(at) {
                    self.enqueue(at, record.at);
                }
            }
            TicketStatus::Running => {
                if let Some(since) = node.running_since {
                    self.alarms.set(since.plus_ms(node.timeout_ms), Alarm::Timeout(at, since));
                }
            }
            TicketStatus::Completed => self.follow_completion(at, record.at),
            TicketStatus::Failed if node.will_retry() => {
                let due = record.at.plus_ms(self.config.retry.wait_ms(node.retry_count));
                self.alarms.set(due, Alarm::Retry(at, node.retry_count));
            }
            TicketStatus::Failed | TicketStatus::Cancelled | TicketStatus::Preempted => {
                self.follow_failure(at, record);
            }
            TicketStatus::Compensating => self.begin_undo(at, record.at),
            TicketStatus::Compensated => self.cancel_dependents(at, "was undone"),
        }
        if self.phase == Phase::Compensating {
            self.continue_undo(at);
        }
    }

    fn follow_completion(&mut self, at: u32, now: Timestamp) {
        if let Some(original) = self.nodes[at as usize].undoes {
            let original = self.nodes[original as usize].ticket_id.clone();
            self.orders.push(Step::Order(original, Order::Compensated));
            return;
        }
        let graph = &self.approved.plan.graph;
        for released in self.readiness.complete(graph, at) {
            if self.nodes[released as usize].status == TicketStatus::Pending {
                self.enqueue(released, now);
            }
        }
    }

    fn follow_failure(&mut self, at: u32, record: &TicketRecord) {
        if let Some(original) = self.nodes[at as usize].undoes {
            let original = self.nodes[original as usize].ticket_id.clone();
            let reason = format!("the undo {} failed", record.ticket_id);
            self.orders.push(Step::Order(original, Order::Fail(reason)));
            return;
        }
        let what = match record.status {
            TicketStatus::Cancelled => "was cancelled",
            TicketStatus::Preempted => "was preempted",
            _ => "failed",
        };
        self.cancel_dependents(at, what);
    }

    /// Nothing that waits for `at` can ever run. Every node is looked at once in the life of a flow.
    fn cancel_dependents(&mut self, at: u32, what: &str) {
        let tasks = self.approved.plan.graph.len();
        if at as usize >= tasks {
            return;
        }
        let cause = &self.nodes[at as usize];
        let (ticket, task) = (&cause.ticket_id, &cause.content.task_id);
        let reason = format!("ticket {ticket} (task {task}), which it waits for, {what}");
        let mut next = vec![at];
        while let Some(node) = next.pop() {
            for dependent in self.approved.plan.graph.dependents(node) {
                let found = &mut self.nodes[*dependent as usize];
                if found.status == TicketStatus::Pending && !found.cancelled {
                    found.cancelled = true;
                    let order = Order::Cancel(reason.clone());
                    self.orders.push(Step::Order(found.ticket_id.clone(), order));
                    next.push(*dependent);
                }
            }
        }
    }

    pub(super) fn ring_alarms(&mut self, now: Timestamp) {
        while let Some(alarm) = self.alarms.ring(now) {
            let (Alarm::Retry(at, _) | Alarm::Timeout(at, _) | Alarm::Deadline(at)) = alarm;
            let node = &self.nodes[at as usize];
            let order = match alarm {
                Alarm::Retry(_, tries) => {
                    (node.status == TicketStatus::Failed && node.retry_count == tries).then_some(Order::Retry)
                }
                Alarm::Timeout(_, since) => match &node.agent {
                    Some(agent) if node.running_since == Some(since) => {
                        let reason = format!("{TIMED_OUT} after {} ms", node.timeout_ms);
                        Some(Order::Lose(agent.clone(), reason))
                    }
                    _ => None,
                },
                Alarm::Deadline(_) => self.parked.contains(&at).then(|| {
                    let reason = node.parked.as_deref().unwrap_or_default();
                    Order::Fail(format!("no_agent: {reason}"))
                }),
            };
            if let Some(order) = order {
                self.parked.remove(&at);
                let ticket_id = self.nodes[at as usize].ticket_id.clone();
                self.orders.push(Step::Order(ticket_id, order));
            }
        }
    }
}
