//! Measures the registry.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use hive_application::error::Error;
use hive_application::registry::{AgentWatch, Operation, Registry, RegistryObserver, Search};
use hive_domain::ids::AgentId;
use hive_domain::registry::AgentType;
use hive_domain::registry::public::{AgentChange, AgentChangeKind, AgentSnapshot, AgentStatus};
use metrics::{Counter, Gauge, Histogram};

use super::series::Series;

/// What is measured of the registry.
#[derive(Debug)]
pub(crate) struct Measured {
    registered: Series<Counter>,
    deregistered: Series<Counter>,
    heartbeats: Series<Counter>,
    heartbeat_seconds: Series<Histogram>,
    operations: Series<Counter>,
    searches: Series<Counter>,
    search_seconds: Series<Histogram>,
    evaluated: Series<Histogram>,
    matched: Series<Histogram>,
    sweeps: Series<Counter>,
    marked: Series<Counter>,
    removed: Series<Counter>,
}

impl Measured {
    /// Registers with the recorder of the process, if there is one.
    pub(crate) fn new() -> Self {
        Measured {
            registered: Series::of("agents_registered_total"),
            deregistered: Series::of("agents_deregistered_total"),
            heartbeats: Series::of("heartbeats_received_total"),
            heartbeat_seconds: Series::of("heartbeat_latency_seconds"),
            operations: Series::of("registry_operations_total"),
            searches: Series::of("discovery_requests_total"),
            search_seconds: Series::of("discovery_duration_seconds"),
            evaluated: Series::of("matching_candidates_evaluated"),
            matched: Series::of("agents_matched"),
            sweeps: Series::of("health_checks_total"),
            marked: Series::of("agents_marked_unhealthy_total"),
            removed: Series::of("agents_removed_total"),
        }
    }
}

fn seconds(ms: i64) -> f64 {
    Duration::from_millis(ms.max(0).unsigned_abs()).as_secs_f64()
}

impl RegistryObserver for Measured {
    fn asked(&self, operation: Operation, succeeded: bool, took_ms: i64) {
        self.operations.at([operation as usize, usize::from(!succeeded)]).increment(1);
        if operation == Operation::Heartbeat {
            self.heartbeat_seconds.first().record(seconds(took_ms));
        }
    }

    fn changed(&self, change: &AgentChange) {
        let (kind, status) = (change.agent.agent_type as usize, change.agent.status as usize);
        match change.kind {
            AgentChangeKind::Registered => self.registered.at([kind]).increment(1),
            AgentChangeKind::Updated => self.heartbeats.at([kind, status]).increment(1),
            AgentChangeKind::StatusChanged => {}
            AgentChangeKind::Expired => self.marked.at([kind]).increment(1),
            AgentChangeKind::Deregistered => {
                self.deregistered.at([kind]).increment(1);
                if change.agent.is_expired {
                    self.removed.at([kind]).increment(1);
                }
            }
        }
    }

    fn searched(&self, search: &Search) {
        let kind = search.agent_type.map_or(0, |kind| kind as usize + 1);
        self.searches.at([kind]).increment(1);
        self.search_seconds.first().record(seconds(search.took_ms));
        self.evaluated.first().record(search.evaluated as f64);
        self.matched.first().record(search.found as f64);
    }

    fn swept(&self) {
        self.sweeps.first().increment(1);
    }
}

/// Keeps the number of agents up to date. Ends only with an error of the registry.
pub(crate) async fn count_agents(registry: Registry) -> Result<(), Error> {
    let gauge = Series::<Gauge>::of("agents_active");
    let mut known: HashMap<AgentId, (AgentType, AgentStatus)> = HashMap::new();
    let mut counts = [[0_u32; AgentStatus::ALL.len()]; AgentType::ALL.len()];
    let mut changes = registry.watch();
    while let Some(news) = changes.next().await {
        let (now, gone): (Vec<AgentSnapshot>, Vec<AgentId>) = match news? {
            AgentWatch::Snapshot(agents) => (agents, known.keys().cloned().collect()),
            AgentWatch::Changed(change) if change.kind == AgentChangeKind::Deregistered => {
                (Vec::new(), vec![change.agent.agent_id.clone()])
            }
            AgentWatch::Changed(change) => (vec![change.agent.clone()], vec![change.agent.agent_id.clone()]),
            AgentWatch::Lagged { .. } => continue,
        };
        for (kind, status) in gone.iter().filter_map(|id| known.remove(id)) {
            counts[kind as usize][status as usize] -= 1;
        }
        for agent in now {
            counts[agent.agent_type as usize][agent.status as usize] += 1;
            known.insert(agent.agent_id, (agent.agent_type, agent.status));
        }
        for kind in AgentType::ALL {
            for status in AgentStatus::ALL {
                let count = counts[kind as usize][status as usize];
                gauge.at([kind as usize, status as usize]).set(f64::from(count));
            }
        }
    }
    Err(Error::internal("the registry tells no changes any more"))
}
