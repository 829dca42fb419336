//! What a watcher of agents is sent.

use std::collections::BTreeSet;

use hive_application::registry::AgentWatch;
use hive_domain::ids::AgentId;
use hive_domain::registry::AgentType;
use hive_domain::registry::public::{AgentChangeKind, AgentSnapshot};
use hive_domain::time::Timestamp;
use hive_mapping::agent;
use hive_proto::grpc::neural_hive::service_registry as wire;
use wire::agent_change_event::EventType;

/// Agents in one event of a snapshot.
const PIECE: usize = 500;

/// Turns what is heard of agents into events about agents of one type, or of all.
pub(super) struct Events {
    agent_type: Option<AgentType>,
    /// Whether the watcher knows snapshots.
    with_snapshots: bool,
    /// Agents the watcher believes to be there.
    told: BTreeSet<AgentId>,
}

impl Events {
    pub(super) fn new(agent_type: Option<AgentType>, with_snapshots: bool) -> Self {
        Events { agent_type, with_snapshots, told: BTreeSet::new() }
    }

    /// The events that follow. For a watcher that knows no snapshots, every agent there is comes anew when changes were
    /// missed, and those that are not there any more as gone.
    pub(super) fn of(&mut self, heard: AgentWatch) -> Vec<wire::AgentChangeEvent> {
        match heard {
            AgentWatch::Snapshot(agents) => self.snapshot(&agents),
            AgentWatch::Changed(change) => self.changed(change.kind, &change.agent, change.at),
            AgentWatch::Lagged { missed } => {
                tracing::debug!(missed, "a watcher of agents was too slow");
                Vec::new()
            }
        }
    }

    fn snapshot(&mut self, agents: &[AgentSnapshot]) -> Vec<wire::AgentChangeEvent> {
        let mut vanished = std::mem::take(&mut self.told);
        let wanted: Vec<&AgentSnapshot> = agents.iter().filter(|agent| self.wants(agent)).collect();
        if self.with_snapshots {
            self.told = wanted.iter().map(|agent| agent.agent_id.clone()).collect();
            return pieces(&wanted);
        }
        for agent in &wanted {
            vanished.remove(&agent.agent_id);
            self.told.insert(agent.agent_id.clone());
        }
        let there = wanted
            .into_iter()
            .map(|known| agent::event(AgentChangeKind::Registered, known, known.registered_at));
        vanished.iter().map(gone).chain(there).collect()
    }

    fn changed(
        &mut self,
        kind: AgentChangeKind,
        agent: &AgentSnapshot,
        at: Timestamp,
    ) -> Vec<wire::AgentChangeEvent> {
        if !self.wants(agent) {
            // It came back as another type.
            return self.told.take(&agent.agent_id).as_ref().map(gone).into_iter().collect();
        }
        match kind {
            AgentChangeKind::Deregistered => {
                self.told.remove(&agent.agent_id);
            }
            AgentChangeKind::Registered
            | AgentChangeKind::Updated
            | AgentChangeKind::StatusChanged
            | AgentChangeKind::Expired => {
                self.told.insert(agent.agent_id.clone());
            }
        }
        vec![agent::event(kind, agent, at)]
    }

    fn wants(&self, agent: &AgentSnapshot) -> bool {
        self.agent_type.is_none_or(|wanted| wanted == agent.agent_type)
    }
}

/// An agent that is not there any more, nobody knows since when.
fn gone(agent_id: &AgentId) -> wire::AgentChangeEvent {
    let agent = wire::AgentInfo { agent_id: agent_id.to_string(), ..wire::AgentInfo::default() };
    wire::AgentChangeEvent {
        event_type: EventType::Deregistered as i32,
        agent: Some(agent),
        ..wire::AgentChangeEvent::default()
    }
}

/// A snapshot in pieces that fit into a message; one without agents is a piece too.
fn pieces(agents: &[&AgentSnapshot]) -> Vec<wire::AgentChangeEvent> {
    let count = agents.len().div_ceil(PIECE).max(1);
    let piece = |at: usize| wire::AgentChangeEvent {
        event_type: EventType::Snapshot as i32,
        agents: agents.iter().skip(at * PIECE).take(PIECE).map(|known| agent::info(known)).collect(),
        more: at + 1 < count,
        ..wire::AgentChangeEvent::default()
    };
    (0..count).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use hive_domain::registry::AgentStatus;
    use hive_domain::registry::public::{AgentChange, AgentTelemetry};

    use super::*;

    fn agent(id: &str, agent_type: AgentType) -> AgentSnapshot {
        AgentSnapshot {
            agent_id: AgentId::parse(id).unwrap(),
            agent_type,
            capabilities: vec!["read".to_owned()],
            metadata: BTreeMap::new(),
            telemetry: AgentTelemetry::default(),
            status: AgentStatus::Healthy,
            is_expired: false,
            registered_at: Timestamp::from_millis(5_000),
            last_seen: Timestamp::from_millis(6_000),
            namespace: "default".to_owned(),
            cluster: "local".to_owned(),
            version: "1.0.0".to_owned(),
            schema_version: 1,
            epoch: 1,
            revision: 1,
            max_concurrent_tasks: None,
        }
    }

    fn told(events: &mut Events, heard: AgentWatch) -> Vec<(EventType, String)> {
        let sent = events.of(heard);
        sent.into_iter().map(|event| (event.event_type(), event.agent.unwrap().agent_id)).collect()
    }

    fn workers(ids: &[&str]) -> AgentWatch {
        AgentWatch::Snapshot(ids.iter().map(|id| agent(id, AgentType::Worker)).collect())
    }

    #[test]
    fn after_missed_changes_the_vanished_are_gone_and_the_others_come_anew() {
        let mut events = Events::new(None, false);
        told(&mut events, workers(&["w-1", "w-2"]));
        assert_eq!(told(&mut events, AgentWatch::Lagged { missed: 3 }), []);
        assert_eq!(
            told(&mut events, workers(&["w-2", "w-3"])),
            [
                (EventType::Deregistered, "w-1".to_owned()),
                (EventType::Registered, "w-2".to_owned()),
                (EventType::Registered, "w-3".to_owned()),
            ]
        );
        let gone = events.of(workers(&[]));
        assert_eq!((gone.len(), gone[0].timestamp), (2, 0));
    }

    #[test]
    fn an_agent_that_becomes_another_type_leaves_the_watch() {
        let mut events = Events::new(Some(AgentType::Worker), false);
        told(&mut events, workers(&["a"]));
        let change = AgentChange {
            kind: AgentChangeKind::Registered,
            agent: agent("a", AgentType::Guard),
            at: Timestamp::from_millis(7_000),
        };
        let heard = AgentWatch::Changed(Arc::new(change));
        assert_eq!(told(&mut events, heard.clone()), [(EventType::Deregistered, "a".to_owned())]);
        assert_eq!(told(&mut events, heard), []);
    }
}
