//! The end of the log in memory, so that readers that keep up cost no query.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use hive_application::tickets::{LogFilter, LogPage};
use hive_domain::tickets::TicketChange;

/// The newest changes, a bounded number of them.
#[derive(Debug)]
pub(super) struct Tail {
    capacity: usize,
    ring: Mutex<Ring>,
    committed: Event,
}

/// Holds every change after `floor` up to `end`.
#[derive(Debug)]
struct Ring {
    floor: u64,
    end: u64,
    changes: VecDeque<Arc<TicketChange>>,
}

/// Where to read on.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// The tail holds what comes next; this is a page of it.
    Here(LogPage),
    /// What comes next is in the database, up to this offset at least.
    Stored(u64),
}

impl Tail {
    /// An empty tail of a log whose newest offset is `end`.
    pub(super) fn new(end: u64, capacity: usize) -> Self {
        let ring = Ring { floor: end, end, changes: VecDeque::new() };
        Tail { capacity, ring: Mutex::new(ring), committed: Event::new() }
    }

    /// The offset of the newest committed change.
    pub(super) fn end(&self) -> u64 {
        self.ring().end
    }

    /// Completes after the next [`Self::append`] or [`Self::restart`].
    pub(super) fn listen(&self) -> EventListener {
        self.committed.listen()
    }

    /// Adds committed changes, offsets growing.
    pub(super) fn append(&self, changes: impl IntoIterator<Item = Arc<TicketChange>>) {
        let mut ring = self.ring();
        for change in changes {
            ring.end = change.offset;
            ring.changes.push_back(change);
            if ring.changes.len() > self.capacity {
                ring.floor = ring.changes.pop_front().map_or(ring.end, |oldest| oldest.offset);
            }
        }
        drop(ring);
        self.committed.notify(usize::MAX);
    }

    /// Forgets what it holds: the log ends at `end`, and nobody told how it came there.
    pub(super) fn restart(&self, end: u64) {
        *self.ring() = Ring { floor: end, end, changes: VecDeque::new() };
        self.committed.notify(usize::MAX);
    }

    /// A page of what comes after `after`, or where to look for it.
    pub(super) fn read(&self, after: u64, filter: &LogFilter, limit: usize) -> Place {
        let ring = self.ring();
        if after < ring.floor {
            return Place::Stored(ring.end);
        }
        let first = ring.changes.partition_point(|change| change.offset <= after);
        let mut page = LogPage { changes: Vec::new(), read_to: after.max(ring.end) };
        for change in ring.changes.range(first..) {
            if page.changes.len() == limit {
                // The first one that is not looked at any more.
                page.read_to = change.offset - 1;
                break;
            }
            if filter.matches(change) {
                page.changes.push(Arc::clone(change));
            }
        }
        Place::Here(page)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Every change of the ring is complete before anything can panic.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use hive_domain::ids::{DecisionId, IntentId, PlanId, TaskId, TicketId};
    use hive_domain::tickets::{
        Consistency, DeliveryMode, Durability, Priority, Qos, RiskBand, SecurityLevel, Sla, TaskType,
        TicketAction, TicketContent, TicketEvent, TicketSnapshot, TicketState, TicketStatus,
    };
    use hive_domain::time::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn content(plan: &str) -> Arc<TicketContent> {
        let at = Timestamp::from_millis(0);
        Arc::new(TicketContent {
            ticket_id: TicketId::parse("t").unwrap(),
            plan_id: PlanId::parse(plan).unwrap(),
            intent_id: IntentId::parse("i").unwrap(),
            decision_id: DecisionId::parse("d").unwrap(),
            correlation_id: None,
            trace_id: None,
            span_id: None,
            task_id: TaskId::parse("a").unwrap(),
            task_type: TaskType::Build,
            description: String::new(),
            dependencies: Vec::new(),
            priority: Priority::Low,
            risk_band: RiskBand::Low,
            sla: Sla { deadline: at, timeout_ms: 1, max_retries: 0 },
            qos: Qos {
                delivery_mode: DeliveryMode::AtLeastOnce,
                consistency: Consistency::Strong,
                durability: Durability::Persistent,
            },
            parameters: std::collections::BTreeMap::new(),
            required_capabilities: Vec::new(),
            security_level: SecurityLevel::Public,
            created_at: at,
            estimated_duration_ms: None,
            predictions: None,
            schema_version: 1,
        })
    }

    fn change(offset: u64, content: &Arc<TicketContent>) -> Arc<TicketChange> {
        let state = TicketState::pending(std::collections::BTreeMap::new());
        let event = TicketEvent {
            action: TicketAction::Created,
            old_status: None,
            new_status: TicketStatus::Pending,
            changed_by: String::new(),
            at: Timestamp::from_millis(0),
        };
        let ticket = TicketSnapshot { content: Arc::clone(content), state, version: offset };
        Arc::new(TicketChange { offset, event, ticket })
    }

    #[derive(Debug, Clone)]
    enum Act {
        /// So many changes are committed, each that far behind the one before it, of one plan or the other.
        Commit(Vec<(u64, bool)>),
        /// Changes are committed that the tail is not told of.
        Lose(u64),
        /// A reader takes a page of so many.
        Read(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => prop::collection::vec((1..4_u64, any::<bool>()), 1..9).prop_map(Act::Commit),
            1 => (1..5_u64).prop_map(Act::Lose),
            4 => (1..7_usize).prop_map(Act::Read),
        ]
    }

    /// The log as the database has it, read the way the adapter reads it.
    fn stored(log: &[Arc<TicketChange>], after: u64, end: u64, filter: &LogFilter, limit: usize) -> LogPage {
        let inside = log.iter().filter(|change| change.offset > after && change.offset <= end);
        let changes: Vec<_> = inside.filter(|change| filter.matches(change)).take(limit).cloned().collect();
        let read_to = if changes.len() == limit { changes[limit - 1].offset } else { end };
        LogPage { changes, read_to }
    }

    proptest! {
        /// Wherever the seam between memory and database lies, a reader sees every change once, in order.
        #[test]
        fn nothing_is_skipped_or_repeated(
            capacity in 1..12_usize,
            filtered in any::<bool>(),
            acts in prop::collection::vec(act(), 1..40),
        ) {
            let plans = [content("p"), content("q")];
            let plan_id = filtered.then(|| PlanId::parse("q").unwrap());
            let filter = LogFilter { plan_id, agent_id: None };
            let tail = Tail::new(0, capacity);
            let mut log: Vec<Arc<TicketChange>> = Vec::new();
            let (mut seen, mut after) = (Vec::new(), 0);
            let end = |log: &[Arc<TicketChange>]| log.last().map_or(0, |change| change.offset);
            let mut read = |log: &[Arc<TicketChange>], limit| {
                let page = match tail.read(after, &filter, limit) {
                    Place::Here(page) => page,
                    Place::Stored(end) => stored(log, after, end, &filter, limit),
                };
                assert!(page.changes.len() <= limit && page.read_to >= after);
                after = page.read_to;
                seen.extend(page.changes);
                after
            };
            for act in acts {
                match act {
                    Act::Commit(steps) => {
                        let first = log.len();
                        for (gap, which) in steps {
                            let offset = end(&log) + gap;
                            log.push(change(offset, &plans[usize::from(which)]));
                        }
                        tail.append(log[first..].iter().cloned());
                    }
                    Act::Lose(count) => {
                        for _ in 0..count {
                            log.push(change(end(&log) + 1, &plans[1]));
                        }
                        tail.restart(end(&log));
                    }
                    Act::Read(limit) => drop(read(&log, limit)),
                }
            }
            while read(&log, 3) < end(&log) {}
            let expected: Vec<_> = log.iter().filter(|change| filter.matches(change)).cloned().collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
