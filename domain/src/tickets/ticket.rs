//! The ticket aggregate: decides every change of a ticket and records it as an event.
//!
//! Every method is idempotent: asked again for what already is, it changes nothing and says [`Applied::AlreadyApplied`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compensation::{self, Compensation};
use super::content::{self, TicketContent, TicketState};
use super::error::TicketError;
use super::event::{TicketAction, TicketEvent};
use super::report::{Dispatch, Report};
use super::status::TicketStatus::{
    self, Cancelled, Compensated, Compensating, Completed, Failed, Pending, Preempted, Running,
};
use crate::ids::{AgentId, TicketId};
use crate::json::Json;
use crate::time::Timestamp;

/// Whether a command changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did, just now.
    Applied,
    /// What it asks for was already so.
    AlreadyApplied,
}

/// A unit of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    content: Arc<TicketContent>,
    state: TicketState,
    version: u64,
    events: Vec<TicketEvent>,
    spawned: Vec<Ticket>,
}

impl Ticket {
    /// A new ticket, waiting for its turn.
    pub fn create(
        content: impl Into<Arc<TicketContent>>,
        metadata: BTreeMap<String, String>,
        changed_by: &str,
    ) -> Result<Self, TicketError> {
        let content = content.into();
        let invalid = |field, problem| Err(TicketError::InvalidField { field, problem });
        if content.dependencies.contains(&content.ticket_id) {
            return invalid("dependencies", "must not contain the ticket itself");
        }
        if content.sla.timeout_ms <= 0 {
            return invalid("sla.timeout_ms", "must be positive");
        }
        if content.sla.max_retries < 0 {
            return invalid("sla.max_retries", "must not be negative");
        }
        if content.estimated_duration_ms.is_some_and(|ms| ms < 0) {
            return invalid("estimated_duration_ms", "must not be negative");
        }
        let event = TicketEvent {
            action: TicketAction::Created,
            old_status: None,
            new_status: Pending,
            changed_by: changed_by.to_owned(),
            at: content.created_at,
        };
        Ok(Ticket {
            content,
            state: TicketState::pending(metadata),
            version: 0,
            events: vec![event],
            spawned: Vec::new(),
        })
    }

    /// A ticket as storage holds it.
    pub fn restore(content: Arc<TicketContent>, state: TicketState, version: u64) -> Self {
        Ticket { content, state, version, events: Vec::new(), spawned: Vec::new() }
    }

    /// What the ticket asks for.
    pub fn content(&self) -> &Arc<TicketContent> {
        &self.content
    }

    /// Its id.
    pub fn id(&self) -> &TicketId {
        &self.content.ticket_id
    }

    /// How far it is.
    pub fn state(&self) -> &TicketState {
        &self.state
    }

    /// Where it stands.
    pub fn status(&self) -> TicketStatus {
        self.state.status
    }

    /// The number of its last saved change; 0 before the first save.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The 30 keys of the ticket model as one object, nulls included.
    pub fn to_json(&self) -> Json {
        content::to_json(&self.content, &self.state)
    }

    /// Lower-case hex SHA-256 over the canonical text of [`Self::to_json`].
    pub fn content_hash(&self) -> String {
        self.to_json().content_hash()
    }

    /// Hands over what happened since the ticket was loaded, oldest first.
    pub fn take_events(&mut self) -> Vec<TicketEvent> {
        std::mem::take(&mut self.events)
    }

    /// Hands over tickets that must be created together with this change.
    pub fn take_spawned(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.spawned)
    }

    /// Marks the ticket as saved under `version`.
    pub fn saved(mut self, version: u64) -> Self {
        self.version = version;
        self.events.clear();
        self.spawned.clear();
        self
    }

    /// Publishes the ticket to the agent it is allocated to: PENDING → RUNNING. Already done for one that went on since.
    pub fn dispatch(&mut self, order: Dispatch, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        if self.state.status != Pending && self.state.dispatched_at.is_some() {
            return Ok(Applied::AlreadyApplied);
        }
        self.check_move(Running)?;
        self.state.assigned_worker = Some(order.agent);
        self.state.epoch = Some(order.epoch);
        self.state.allocation = Some(order.allocation);
        self.state.not_before = order.not_before;
        self.state.dispatched_at = Some(now);
        self.enter(Running, TicketAction::Dispatched, now, by);
        Ok(Applied::Applied)
    }

    /// Applies what a worker reports, fenced by its epoch.
    pub fn report(
        &mut self,
        status: TicketStatus,
        report: &Report,
        now: Timestamp,
        by: &str,
    ) -> Result<Applied, TicketError> {
        self.check_owner(status, report)?;
        match status {
            Running => self.start(report, now, by),
            Completed | Failed => self.finish(status, report, now, by),
            Pending if self.state.status == Failed => self.retry(now, by),
            Pending => self.return_to_queue(now, by),
            Cancelled => self.cancel(report.error_message.as_deref().unwrap_or("cancelled"), now, by),
            Preempted => self.end_early(Preempted, TicketAction::Preempted, report, now, by),
            Compensating => self.compensate("requested", now, by),
            Compensated => self.compensated(now, by),
        }
    }

    /// Puts a failed ticket back into the queue, counting the try: FAILED → PENDING.
    pub fn retry(&mut self, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        if self.state.status == Pending {
            return Ok(Applied::AlreadyApplied);
        }
        if self.state.status != Failed {
            return Err(self.refuse(Pending));
        }
        let max_retries = self.content.sla.max_retries;
        if self.state.retry_count >= max_retries {
            return Err(TicketError::RetriesExhausted { ticket: self.id().clone(), max_retries });
        }
        self.state.retry_count += 1;
        self.forget_run();
        self.enter(Pending, TicketAction::Retried, now, by);
        Ok(Applied::Applied)
    }

    /// Takes the ticket away from an incarnation of `agent` below `epoch`, without counting a try.
    pub fn release(
        &mut self,
        agent: &AgentId,
        epoch: u64,
        now: Timestamp,
        by: &str,
    ) -> Result<Applied, TicketError> {
        if !self.held_below(agent, epoch) {
            return Ok(Applied::AlreadyApplied);
        }
        self.return_to_queue(now, by)
    }

    /// Takes the ticket away from an agent that vanished or overran the timeout: counts a try, or fails it for good
    /// when none is left.
    pub fn lose(
        &mut self,
        agent: &AgentId,
        reason: &str,
        now: Timestamp,
        by: &str,
    ) -> Result<Applied, TicketError> {
        let holder = self.state.agent_id.as_ref().or(self.state.assigned_worker.as_ref());
        if self.state.status != Running || holder != Some(agent) {
            return Ok(Applied::AlreadyApplied);
        }
        if self.state.retry_count < self.content.sla.max_retries {
            self.state.retry_count += 1;
            self.state.error_message = Some(reason.to_owned());
            return self.return_to_queue(now, by);
        }
        self.fail_for_good(reason, now, by)
    }

    /// Ends the ticket without success and without another try: a PENDING or RUNNING one.
    pub fn fail_for_good(&mut self, reason: &str, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        let report =
            Report { error_message: Some(reason.to_owned()), retryable: Some(false), ..Report::default() };
        self.finish(Failed, &report, now, by)
    }

    /// Ends a ticket that will never run.
    pub fn cancel(&mut self, reason: &str, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        let report = Report { error_message: Some(reason.to_owned()), ..Report::default() };
        self.end_early(Cancelled, TicketAction::Cancelled, &report, now, by)
    }

    /// Starts to undo the ticket and spawns the ticket that does it.
    pub fn compensate(&mut self, reason: &str, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        self.compensate_by(&Compensation::because(reason), now, by)
    }

    /// Starts to undo the ticket in the way the caller wants it, and spawns the ticket that does it.
    pub fn compensate_by(
        &mut self,
        wanted: &Compensation,
        now: Timestamp,
        by: &str,
    ) -> Result<Applied, TicketError> {
        if matches!(self.state.status, Compensating | Compensated) {
            return Ok(Applied::AlreadyApplied);
        }
        self.check_move(Compensating)?;
        let undo = compensation::ticket_for(&self.content, &self.state, wanted, now, by)?;
        self.state.compensation_ticket_id = Some(undo.id().clone());
        self.spawned.push(undo);
        self.enter(Compensating, TicketAction::CompensationStarted, now, by);
        Ok(Applied::Applied)
    }

    /// Records that the ticket's effect is undone: COMPENSATING → COMPENSATED.
    pub fn compensated(&mut self, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        if self.state.status == Compensated {
            return Ok(Applied::AlreadyApplied);
        }
        self.check_move(Compensated)?;
        self.enter(Compensated, TicketAction::Compensated, now, by);
        Ok(Applied::Applied)
    }

    pub(super) fn state_mut(&mut self) -> &mut TicketState {
        &mut self.state
    }

    fn start(&mut self, report: &Report, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        let taken = match &report.agent {
            Some(_) => self.state.agent_id.is_some(),
            None => self.state.started_at.is_some(),
        };
        if self.state.status == Running && taken {
            return Ok(Applied::AlreadyApplied);
        }
        if self.state.status != Running {
            self.check_move(Running)?;
        }
        if let Some((agent, epoch)) = &report.agent {
            self.state.agent_id = Some(agent.clone());
            self.state.epoch = Some(*epoch);
        }
        self.state.started_at = Some(self.state.not_before.map_or(now, |earliest| earliest.max(now)));
        self.enter(Running, TicketAction::Started, now, by);
        Ok(Applied::Applied)
    }

    fn finish(
        &mut self,
        to: TicketStatus,
        report: &Report,
        now: Timestamp,
        by: &str,
    ) -> Result<Applied, TicketError> {
        if self.state.status == to {
            return Ok(Applied::AlreadyApplied);
        }
        self.check_move(to)?;
        if self.state.status == Running && self.state.started_at.is_none() && to == Completed {
            // A worker that never said RUNNING: it cannot have started before it got the ticket.
            self.state.started_at = self.state.dispatched_at.or(Some(now)).max(self.state.not_before);
        }
        self.end_clock(report, now);
        if to == Failed {
            self.state.retryable = Some(report.retryable.unwrap_or(true));
            self.state.error_message = report.error_message.clone().or(self.state.error_message.take());
            self.enter(Failed, TicketAction::Failed, now, by);
        } else {
            self.enter(Completed, TicketAction::Completed, now, by);
        }
        Ok(Applied::Applied)
    }

    fn end_early(
        &mut self,
        to: TicketStatus,
        action: TicketAction,
        report: &Report,
        now: Timestamp,
        by: &str,
    ) -> Result<Applied, TicketError> {
        if self.state.status == to {
            return Ok(Applied::AlreadyApplied);
        }
        self.check_move(to)?;
        self.end_clock(report, now);
        self.state.error_message = report.error_message.clone().or(self.state.error_message.take());
        self.enter(to, action, now, by);
        Ok(Applied::Applied)
    }

    fn return_to_queue(&mut self, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        if self.state.status == Pending {
            return Ok(Applied::AlreadyApplied);
        }
        self.check_move(Pending)?;
        self.forget_run();
        self.enter(Pending, TicketAction::Released, now, by);
        Ok(Applied::Applied)
    }

    /// Readers of before require completed_at to lie after started_at, so it does, by a millisecond at least. A failed
    /// undo does not move the time at which the work had ended.
    fn end_clock(&mut self, report: &Report, now: Timestamp) {
        if self.state.status == Compensating && self.state.completed_at.is_some() {
            return;
        }
        let end = self.state.started_at.map_or(now, |started| now.max(started.plus_ms(1)));
        self.state.completed_at = Some(end);
        let measured = self.state.started_at.map(|started| end.since(started));
        self.state.actual_duration_ms = report.actual_duration_ms.filter(|ms| *ms >= 0).or(measured);
    }

    fn forget_run(&mut self) {
        self.state.assigned_worker = None;
        self.state.allocation = None;
        self.state.agent_id = None;
        self.state.epoch = None;
        self.state.dispatched_at = None;
        self.state.not_before = None;
        self.state.started_at = None;
        self.state.completed_at = None;
        self.state.actual_duration_ms = None;
        self.state.retryable = None;
    }

    fn held_below(&self, agent: &AgentId, epoch: u64) -> bool {
        self.state.status == Running
            && self.state.agent_id.as_ref() == Some(agent)
            && self.state.epoch.is_some_and(|held| held < epoch)
    }

    /// A named agent is heard only about what was dispatched to it: it takes the ticket first, under no older epoch than
    /// the one it was dispatched to, and reports further under the epoch that took it.
    fn check_owner(&self, asked: TicketStatus, report: &Report) -> Result<(), TicketError> {
        let Some((agent, epoch)) = &report.agent else { return Ok(()) };
        let state = &self.state;
        let owner = state.agent_id.as_ref().or(state.assigned_worker.as_ref());
        let taken = state.agent_id.is_some();
        let takes = asked == Running && state.status == Running && state.started_at.is_none();
        if owner != Some(agent) || !(taken || takes) {
            return Err(TicketError::NotYours { ticket: self.id().clone(), agent: agent.clone() });
        }
        let fresh =
            if taken { state.epoch == Some(*epoch) } else { state.epoch.is_none_or(|held| *epoch >= held) };
        if !fresh {
            let held = state.epoch;
            return Err(TicketError::StaleEpoch { ticket: self.id().clone(), held, reported: *epoch });
        }
        Ok(())
    }

    fn check_move(&self, to: TicketStatus) -> Result<(), TicketError> {
        if self.state.status.allows(to) { Ok(()) } else { Err(self.refuse(to)) }
    }

    fn refuse(&self, to: TicketStatus) -> TicketError {
        TicketError::InvalidTransition { ticket: self.id().clone(), from: self.state.status, to }
    }

    pub(super) fn enter(&mut self, status: TicketStatus, action: TicketAction, at: Timestamp, by: &str) {
        let old_status = Some(self.state.status);
        self.state.status = status;
        self.events.push(TicketEvent {
            action,
            old_status,
            new_status: status,
            changed_by: by.to_owned(),
            at,
        });
    }
}
