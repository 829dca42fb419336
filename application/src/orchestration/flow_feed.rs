//! How the flows of this process stand right now, and a bounded memory of what happened to each, read at everyone's own
//! pace. Fed as an observer of the flows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use hive_domain::ids::{TicketId, WorkflowId};
use hive_domain::orchestration::flow::{Flow, Phase, TicketRecord};
use hive_domain::tickets::public::TicketStatus;
use hive_domain::time::Timestamp;

use super::flow_view::FlowView;
use super::observer::{FlowObserver, Progress};
use crate::clock::Clock;

/// Changes remembered of each flow; a watcher further behind has to look at the flow anew.
pub(super) const CAPACITY: usize = 1_024;
/// Stopped flows whose reason is remembered; the longest known is forgotten first.
const FAILURES: usize = 1_024;

/// One change of a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowChange {
    /// It entered a phase.
    Entered {
        /// The phase.
        phase: Phase,
        /// When.
        at: Timestamp,
    },
    /// One of its tickets changed.
    Ticket(TicketRecord),
    /// One of its tickets waits for an agent that does not exist.
    Parked {
        /// The ticket.
        ticket_id: TicketId,
        /// What is missing.
        reason: String,
        /// When.
        at: Timestamp,
    },
}

/// What a reader finds at its position.
pub(super) enum Read {
    /// The next change; the position moves on by one.
    Change(Arc<FlowChange>),
    /// Nothing yet; completes when there may be something.
    End(EventListener),
    /// This many changes are forgotten.
    Lagged(u64),
    /// The flow is not driven here, or not any more.
    Gone,
}

/// Flows as they are driven.
pub(super) struct FlowFeed {
    clock: Arc<dyn Clock>,
    flows: Mutex<Flows>,
    /// Told when a flow is taken up, ends or stops.
    came_or_went: Event,
}

#[derive(Default)]
struct Flows {
    live: HashMap<WorkflowId, Live>,
    failures: VecDeque<(WorkflowId, String)>,
    /// Numbers changes across flows, so that a flow taken up anew never reuses a position.
    next: u64,
}

struct Live {
    view: FlowView,
    statuses: HashMap<TicketId, TicketStatus>,
    changes: VecDeque<Arc<FlowChange>>,
    /// The position of the first remembered change.
    first: u64,
    changed: Arc<Event>,
}

impl FlowFeed {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        FlowFeed { clock, flows: Mutex::default(), came_or_went: Event::new() }
    }

    /// How a flow driven here stands, and the position after its newest change.
    pub(super) fn snapshot(&self, id: &WorkflowId) -> Option<(FlowView, u64)> {
        self.lock().live.get(id).map(|live| (live.view.clone(), live.end()))
    }

    /// What is at `position` of a flow.
    pub(super) fn read(&self, id: &WorkflowId, position: u64) -> Read {
        let flows = self.lock();
        let Some(live) = flows.live.get(id) else { return Read::Gone };
        if position < live.first {
            return Read::Lagged(live.first - position);
        }
        let index = usize::try_from(position - live.first).unwrap_or(usize::MAX);
        match live.changes.get(index) {
            Some(change) => Read::Change(Arc::clone(change)),
            None => Read::End(live.changed.listen()),
        }
    }

    /// Completes when a flow is taken up, ends or stops. Create it before looking.
    pub(super) fn listen(&self) -> EventListener {
        self.came_or_went.listen()
    }

    /// Remembers why a flow stopped without an end.
    pub(super) fn fail(&self, id: &WorkflowId, reason: String) {
        let mut flows = self.lock();
        flows.forgive(id);
        if flows.failures.len() == FAILURES {
            flows.failures.pop_front();
        }
        flows.failures.push_back((id.clone(), reason));
        let live = flows.live.remove(id);
        drop(flows);
        self.tell_gone(live);
    }

    /// Forgets why a flow stopped: it gets another chance.
    pub(super) fn forgive(&self, id: &WorkflowId) {
        self.lock().forgive(id);
    }

    /// Why a flow stopped, if it did.
    pub(super) fn failure(&self, id: &WorkflowId) -> Option<String> {
        let flows = self.lock();
        flows.failures.iter().find(|(failed, _)| failed == id).map(|(_, reason)| reason.clone())
    }

    fn tell_gone(&self, live: Option<Live>) {
        if let Some(live) = live {
            live.changed.notify(usize::MAX);
        }
        self.came_or_went.notify(usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Flows> {
        // Every change to the flows is complete at each step, so a panic elsewhere leaves them usable.
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FlowObserver for FlowFeed {
    fn observe(&self, flow: &Flow, progress: Progress<'_>) {
        let now = self.clock.now();
        let id = flow.workflow_id();
        let change = match progress {
            Progress::TakenUp => {
                let former = self.lock().take_up(flow, now);
                return self.tell_gone(former);
            }
            Progress::Entered(Phase::Ended) => {
                let former = self.lock().live.remove(id);
                return self.tell_gone(former);
            }
            Progress::Entered(phase) => FlowChange::Entered { phase, at: now },
            Progress::Ticket(record) => FlowChange::Ticket(record.clone()),
            Progress::Parked(ticket_id, reason) => {
                FlowChange::Parked { ticket_id: ticket_id.clone(), reason: reason.to_owned(), at: now }
            }
        };
        let changed = self.lock().push(flow, change, now);
        if let Some(changed) = changed {
            changed.notify(usize::MAX);
        }
    }
}

impl Flows {
    fn take_up(&mut self, flow: &Flow, now: Timestamp) -> Option<Live> {
        let id = flow.workflow_id();
        self.forgive(id);
        // One more than any position handed out, so that whoever follows the former attempt looks anew.
        self.next += 1;
        let tasks = flow.nodes().iter().filter(|node| node.undoes.is_none());
        let live = Live {
            view: FlowView::of(flow, now),
            statuses: tasks.map(|node| (node.ticket_id.clone(), node.status)).collect(),
            changes: VecDeque::new(),
            first: self.next,
            changed: Arc::new(Event::new()),
        };
        self.live.insert(id.clone(), live)
    }

    fn push(&mut self, flow: &Flow, change: FlowChange, now: Timestamp) -> Option<Arc<Event>> {
        let live = self.live.get_mut(flow.workflow_id())?;
        live.take_in(flow, &change, now);
        live.changes.push_back(Arc::new(change));
        if live.changes.len() > CAPACITY {
            live.changes.pop_front();
            live.first += 1;
        }
        self.next = self.next.max(live.end());
        Some(Arc::clone(&live.changed))
    }

    fn forgive(&mut self, id: &WorkflowId) {
        self.failures.retain(|(failed, _)| failed != id);
    }
}

impl Live {
    fn end(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    fn take_in(&mut self, flow: &Flow, change: &FlowChange, now: Timestamp) {
        let view = &mut self.view;
        view.updated_at = now;
        view.phase = flow.phase();
        view.plan_status = flow.status();
        match change {
            FlowChange::Entered { .. } => {}
            FlowChange::Ticket(record) => {
                if let Some(status) = self.statuses.get_mut(&record.ticket_id) {
                    view.tickets.moved(*status, record.status);
                    *status = record.status;
                }
                if record.status != TicketStatus::Pending {
                    view.parked.remove(&record.ticket_id);
                }
            }
            FlowChange::Parked { ticket_id, reason, .. } => {
                view.parked.insert(ticket_id.clone(), reason.clone());
            }
        }
    }
}

impl std::fmt::Debug for FlowFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowFeed").finish_non_exhaustive()
    }
}
