//! The accounts of who works on what: between two reports of an agent, orchestration knows better than the registry.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use hive_domain::ids::{AgentId, IntentId, PlanId, TicketId};
use hive_domain::orchestration::allocation::{AgentLoad, AllocationConfig, Choice, choose, is_critical};
use hive_domain::registry::public::AgentSnapshot;
use hive_domain::tickets::public::TicketContent;
use hive_domain::time::Timestamp;

use super::Dependencies;
use super::observer::FlowObserver;
use super::ports::{AgentDirectory, AgentQuery};
use crate::clock::Clock;
use crate::error::Error;

/// How many tickets run at a time, and where agents are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Tickets that may be with agents at a time (`SCHEDULER_MAX_PARALLEL_TICKETS`).
    pub max_parallel: usize,
    /// Milliseconds for which a discovery is believed (`SERVICE_REGISTRY_CACHE_TTL_SECONDS`).
    pub discovery_ttl_ms: i64,
    /// Agents a discovery returns at most (`SERVICE_REGISTRY_MAX_RESULTS`).
    pub max_results: usize,
    /// The namespace agents must be in; any when none.
    pub namespace: Option<String>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig { max_parallel: 100, discovery_ttl_ms: 10_000, max_results: 100, namespace: None }
    }
}

/// Durations from which an agent's mean is taken.
const REMEMBERED_DURATIONS: usize = 10;
/// Sets of capabilities whose discovery is remembered.
const REMEMBERED_DISCOVERIES: usize = 1_024;

/// Who works on what, and who could.
pub struct AgentPool {
    directory: Arc<dyn AgentDirectory>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn FlowObserver>,
    allocation: AllocationConfig,
    config: PoolConfig,
    accounts: Mutex<Accounts>,
    changed: Event,
}

#[derive(Default)]
struct Accounts {
    held: HashMap<TicketId, Held>,
    agents: HashMap<AgentId, Account>,
    discovered: HashMap<Vec<String>, Discovery>,
    generation: u64,
}

struct Held {
    agent: AgentId,
    plan: PlanId,
    intent: IntentId,
    critical: bool,
}

#[derive(Default)]
struct Account {
    in_flight: u32,
    critical: u32,
    plans: HashMap<PlanId, u32>,
    intents: HashMap<IntentId, u32>,
    durations_ms: VecDeque<i64>,
}

struct Discovery {
    agents: Arc<[AgentSnapshot]>,
    at: Timestamp,
}

impl AgentPool {
    pub(super) fn new(dependencies: &Dependencies, allocation: AllocationConfig, config: PoolConfig) -> Self {
        AgentPool {
            directory: Arc::clone(&dependencies.agents),
            clock: Arc::clone(&dependencies.clock),
            observer: Arc::clone(&dependencies.observer),
            allocation,
            config,
            accounts: Mutex::default(),
            changed: Event::new(),
        }
    }

    /// Picks an agent for a ticket and books its place.
    pub(super) async fn allocate(
        &self,
        ticket_id: &TicketId,
        content: &TicketContent,
    ) -> Result<Choice, Error> {
        if !self.has_room() {
            return Ok(Choice::Busy);
        }
        let candidates = self.discover(&content.required_capabilities).await?;
        let now = self.clock.now();
        let mut accounts = self.lock();
        // Others may have taken the last places meanwhile.
        if accounts.held.len() >= self.config.max_parallel {
            return Ok(Choice::Busy);
        }
        let loads = accounts.loads(&candidates, content);
        let choice = choose(content, &candidates, &loads, now, &self.allocation);
        if let Choice::Chosen(allocation) = &choice {
            accounts.book(ticket_id, &allocation.agent_id, content);
        }
        Ok(choice)
    }

    /// Books the place of a ticket that is with `agent`, wherever it was booked before.
    pub(super) fn hold(&self, ticket_id: &TicketId, agent: &AgentId, content: &TicketContent) {
        self.lock().book(ticket_id, agent, content);
    }

    /// Frees the place of a ticket that is with nobody any more.
    pub(super) fn free(&self, ticket_id: &TicketId, duration_ms: Option<i64>) {
        if self.lock().free(ticket_id, duration_ms) {
            self.changed.notify(usize::MAX);
        }
    }

    /// Frees the places of all tickets of a plan.
    pub(super) fn free_plan(&self, plan_id: &PlanId) {
        let mut accounts = self.lock();
        let of_plan = accounts.held.iter().filter(|(_, held)| held.plan == *plan_id);
        let tickets: Vec<TicketId> = of_plan.map(|(ticket, _)| ticket.clone()).collect();
        for ticket in &tickets {
            accounts.free(ticket, None);
        }
        drop(accounts);
        self.changed.notify(usize::MAX);
    }

    /// Agents changed: what was discovered before is not believed any more.
    pub(super) fn agents_changed(&self) {
        {
            let mut accounts = self.lock();
            accounts.discovered.clear();
            accounts.generation += 1;
        }
        self.changed.notify(usize::MAX);
    }

    /// Grows whenever agents change.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Completes when a place may have become free, or agents changed. Create it before asking for a place.
    pub(super) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Whether another ticket may run at all.
    pub(super) fn has_room(&self) -> bool {
        self.lock().held.len() < self.config.max_parallel
    }

    async fn discover(&self, capabilities: &[String]) -> Result<Arc<[AgentSnapshot]>, Error> {
        let now = self.clock.now();
        let generation = {
            let accounts = self.lock();
            if let Some(found) = accounts.discovered.get(capabilities)
                && now.since(found.at) < self.config.discovery_ttl_ms
            {
                self.observer.agents_were_known();
                return Ok(Arc::clone(&found.agents));
            }
            accounts.generation
        };
        let query = AgentQuery {
            capabilities: capabilities.to_vec(),
            namespace: self.config.namespace.clone(),
            max_results: self.config.max_results,
        };
        let agents: Arc<[AgentSnapshot]> = self.directory.discover(&query).await?.into();
        let mut accounts = self.lock();
        if accounts.generation == generation {
            if accounts.discovered.len() >= REMEMBERED_DISCOVERIES {
                accounts.discovered.clear();
            }
            accounts
                .discovered
                .insert(query.capabilities, Discovery { agents: Arc::clone(&agents), at: now });
        }
        Ok(agents)
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        // Every change of the accounts is complete before anything could panic.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    fn loads(&self, agents: &[AgentSnapshot], content: &TicketContent) -> BTreeMap<AgentId, AgentLoad> {
        let accounts = agents.iter().filter_map(|agent| self.agents.get_key_value(&agent.agent_id));
        accounts.map(|(id, account)| (id.clone(), account.load(content))).collect()
    }

    fn book(&mut self, ticket_id: &TicketId, agent: &AgentId, content: &TicketContent) {
        if self.held.get(ticket_id).is_some_and(|held| held.agent == *agent) {
            return;
        }
        self.free(ticket_id, None);
        let critical = is_critical(content);
        let account = self.agents.entry(agent.clone()).or_default();
        account.in_flight += 1;
        account.critical += u32::from(critical);
        *account.plans.entry(content.plan_id.clone()).or_default() += 1;
        *account.intents.entry(content.intent_id.clone()).or_default() += 1;
        let held = Held {
            agent: agent.clone(),
            plan: content.plan_id.clone(),
            intent: content.intent_id.clone(),
            critical,
        };
        self.held.insert(ticket_id.clone(), held);
    }

    fn free(&mut self, ticket_id: &TicketId, duration_ms: Option<i64>) -> bool {
        let Some(held) = self.held.remove(ticket_id) else { return false };
        if let Some(account) = self.agents.get_mut(&held.agent) {
            account.in_flight -= 1;
            account.critical -= u32::from(held.critical);
            count_down(&mut account.plans, &held.plan);
            count_down(&mut account.intents, &held.intent);
            if let Some(duration) = duration_ms {
                if account.durations_ms.len() == REMEMBERED_DURATIONS {
                    account.durations_ms.pop_front();
                }
                account.durations_ms.push_back(duration);
            }
        }
        true
    }
}

impl Account {
    fn load(&self, content: &TicketContent) -> AgentLoad {
        let count = self.durations_ms.len();
        #[expect(clippy::cast_precision_loss, reason = "ten durations, far below 2^52 ms together")]
        let mean = || self.durations_ms.iter().sum::<i64>() as f64 / count as f64;
        AgentLoad {
            in_flight: self.in_flight,
            of_plan: self.plans.get(&content.plan_id).copied().unwrap_or_default(),
            of_intent: self.intents.get(&content.intent_id).copied().unwrap_or_default(),
            critical: self.critical,
            mean_duration_ms: (count > 0).then(mean),
        }
    }
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl std::fmt::Debug for AgentPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentPool").field("config", &self.config).finish_non_exhaustive()
    }
}
