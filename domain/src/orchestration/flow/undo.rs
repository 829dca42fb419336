//! Compensation: what a failed plan leaves behind is undone, dependents before what they depend on.

use std::collections::HashMap;

use super::entry::PlanStatus;
use super::node::Node;
use super::{Flow, Phase, Step};
use crate::ids::TicketId;
use crate::tickets::public::{Order, TicketStatus};
use crate::time::Timestamp;

/// What is left to undo: each node with the number of dependents that must be undone before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Undo {
    waiting: HashMap<u32, u32>,
}

/// Why tickets of a failed plan are undone.
const REASON: &str = "the plan failed";

impl Flow {
    /// How the plan went, and what to undo: what failed after it began and everything that completed before it. Only
    /// when the whole plan counts as failed, or a failure comes after completed work.
    pub(super) fn verdict(&self) -> (PlanStatus, Vec<TicketId>) {
        let graph = &self.approved.plan.graph;
        let tasks = &self.nodes[..graph.len()];
        let completed = tasks.iter().filter(|node| node.has_completed()).count();
        let status = PlanStatus::of(completed, tasks.len());
        if !self.config.compensation || status == PlanStatus::Success {
            return (status, Vec::new());
        }
        // Everything that a failed ticket is, or depends on: walked once, whatever the number of failures.
        let mut reached = vec![false; tasks.len()];
        let mut next: Vec<u32> = (0_u32..)
            .zip(tasks)
            .filter(|(_, node)| node.status == TicketStatus::Failed)
            .map(|(at, _)| at)
            .collect();
        for at in &next {
            reached[*at as usize] = true;
        }
        while let Some(at) = next.pop() {
            for dependency in graph.dependencies(at) {
                if !std::mem::replace(&mut reached[*dependency as usize], true) {
                    next.push(*dependency);
                }
            }
        }
        let to_undo: Vec<&Node> = graph
            .order()
            .iter()
            .rev()
            .filter(|at| reached[**at as usize])
            .map(|at| &tasks[*at as usize])
            .filter(|node| {
                node.has_completed() || (node.status == TicketStatus::Failed && node.started_at.is_some())
            })
            .collect();
        // What others had undone, with or without success, is not undone again.
        let to_undo: Vec<&Node> =
            to_undo.into_iter().filter(|node| !self.has_undo(&node.ticket_id)).collect();
        let triggered = status == PlanStatus::Failed || to_undo.iter().any(|node| node.has_completed());
        let undo =
            if triggered { to_undo.iter().map(|node| node.ticket_id.clone()).collect() } else { Vec::new() };
        (status, undo)
    }

    /// Takes in that every ticket ended.
    pub(super) fn end_execution(&mut self, status: PlanStatus, undo: &[TicketId]) {
        self.status = Some(status);
        self.ending_asked = false;
        if undo.is_empty() {
            self.phase = Phase::Consolidating;
            return;
        }
        self.phase = Phase::Compensating;
        let members: Vec<u32> = undo.iter().filter_map(|id| self.index.get(id.as_str()).copied()).collect();
        self.undo.waiting = members.iter().map(|at| (*at, 0)).collect();
        for at in &members {
            for dependency in self.approved.plan.graph.dependencies(*at) {
                if let Some(waits) = self.undo.waiting.get_mut(dependency) {
                    *waits += 1;
                }
            }
        }
        for at in members.iter().filter(|at| self.undo.waiting[*at] == 0).copied().collect::<Vec<_>>() {
            self.order_undo(at);
        }
    }

    /// A ticket is being undone: its undo is a ticket like any other and needs an agent.
    pub(super) fn begin_undo(&mut self, original: u32, now: Timestamp) {
        let undo = Node::undo(original, &self.nodes[original as usize], now);
        if self.index.contains_key(&undo.ticket_id) {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "plans have far fewer than 2^32 tasks")]
        let at = self.nodes.len() as u32;
        self.index.insert(undo.ticket_id.clone(), at);
        self.nodes.push(undo);
        self.open += 1;
        self.enqueue(at, now);
    }

    /// After a change of `changed`: if its undo is over, goes on with what it was in the way of. Ends the phase after the
    /// last one.
    pub(super) fn continue_undo(&mut self, changed: u32) {
        let at = self.nodes[changed as usize].undoes.unwrap_or(changed);
        if !self.has_been_undone(at) || self.undo.waiting.remove(&at).is_none() {
            return;
        }
        let mut next = Vec::new();
        for dependency in self.approved.plan.graph.dependencies(at) {
            if let Some(waits) = self.undo.waiting.get_mut(dependency) {
                *waits -= 1;
                if *waits == 0 {
                    next.push(*dependency);
                }
            }
        }
        for at in next {
            self.order_undo(at);
        }
        if self.undo.waiting.is_empty() {
            self.phase = Phase::Consolidating;
        }
    }

    /// Whether there is a ticket that undoes this one.
    pub(super) fn has_undo(&self, ticket_id: &TicketId) -> bool {
        self.index.contains_key(&TicketId::for_compensation(ticket_id))
    }

    fn order_undo(&mut self, at: u32) {
        let ticket_id = self.nodes[at as usize].ticket_id.clone();
        self.orders.push(Step::Order(ticket_id, Order::Compensate(REASON.to_owned())));
    }

    /// Undone, or given up on: its undo ended and the ticket shows it.
    fn has_been_undone(&self, at: u32) -> bool {
        let undo = TicketId::for_compensation(&self.nodes[at as usize].ticket_id);
        let undo_ended =
            self.index.get(undo.as_str()).is_some_and(|undo| !self.nodes[*undo as usize].is_open());
        let status = self.nodes[at as usize].status;
        undo_ended && matches!(status, TicketStatus::Compensated | TicketStatus::Failed)
    }
}
