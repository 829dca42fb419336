//! C3: how urgent a ticket is, and which agent suits it best, with every term kept.

use std::collections::BTreeMap;

use crate::ids::AgentId;
use crate::json::{Json, object};
use crate::registry::public::{AgentSnapshot, AgentStatus, AgentTelemetry, AgentType};
use crate::tickets::public::{
    Consistency, DeliveryMode, Durability, Priority, Qos, RiskBand, SecurityLevel, TicketContent,
};
use crate::time::Timestamp;

/// Weights of the priority score (`SCHEDULER_PRIORITY_WEIGHTS`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriorityWeights {
    /// Of the risk band.
    pub risk: f64,
    /// Of the delivery promises.
    pub qos: f64,
    /// Of the time already used.
    pub sla: f64,
    /// Of the ticket's own priority.
    pub priority: f64,
}

impl Default for PriorityWeights {
    fn default() -> Self {
        PriorityWeights { risk: 0.35, qos: 0.25, sla: 0.25, priority: 0.15 }
    }
}

/// Weights of the affinity term (`SCHEDULER_AFFINITY_*`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffinityWeights {
    /// Tickets of one plan stay together.
    pub plan: f64,
    /// Critical tickets stay apart.
    pub anti: f64,
    /// Tickets of one intent stay together.
    pub intent: f64,
}

impl Default for AffinityWeights {
    fn default() -> Self {
        AffinityWeights { plan: 0.6, anti: 0.3, intent: 0.1 }
    }
}

/// How allocation weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AllocationConfig {
    /// Of a ticket.
    pub priority: PriorityWeights,
    /// Of an agent; none switches the term off (`SCHEDULER_ENABLE_AFFINITY`).
    pub affinity: Option<AffinityWeights>,
}

impl Default for AllocationConfig {
    fn default() -> Self {
        AllocationConfig { priority: PriorityWeights::default(), affinity: Some(AffinityWeights::default()) }
    }
}

/// A score and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// 0 to 1.
    pub value: f64,
    /// Name and value of every term, before weighting.
    pub terms: Vec<(&'static str, f64)>,
}

/// How urgent a ticket is: `0.35 risk + 0.25 qos + 0.25 sla + 0.15 priority` by default, 0 to 1.
pub fn priority_score(ticket: &TicketContent, now: Timestamp, weights: &PriorityWeights) -> Score {
    let risk = match ticket.risk_band {
        RiskBand::Critical => 1.0,
        RiskBand::High => 0.7,
        RiskBand::Medium => 0.5,
        RiskBand::Low => 0.3,
    };
    let qos = qos_term(&ticket.qos);
    let sla = sla_term(ticket.created_at, ticket.sla.deadline, now);
    let priority = match ticket.priority {
        Priority::Low => 0.25,
        Priority::Normal => 0.5,
        Priority::High => 0.75,
        Priority::Critical => 1.0,
    };
    let value = weights.risk * risk + weights.qos * qos + weights.sla * sla + weights.priority * priority;
    Score {
        value: value.clamp(0.0, 1.0),
        terms: vec![("risk", risk), ("qos", qos), ("sla", sla), ("priority", priority)],
    }
}

fn qos_term(qos: &Qos) -> f64 {
    let delivery = match qos.delivery_mode {
        DeliveryMode::ExactlyOnce => 1.0,
        DeliveryMode::AtLeastOnce => 0.7,
        DeliveryMode::AtMostOnce => 0.5,
    };
    let consistency = match qos.consistency {
        Consistency::Strong => 1.0,
        Consistency::Eventual => 0.85,
    };
    let durability = match qos.durability {
        Durability::Persistent => 1.0,
        Durability::Transient => 0.9,
    };
    delivery * consistency * durability
}

/// By the share of the time to the deadline that is used up: below half 0.3, below four fifths 0.7, then 1.
fn sla_term(created_at: Timestamp, deadline: Timestamp, now: Timestamp) -> f64 {
    let whole = deadline.since(created_at);
    let used = now.since(created_at);
    if whole <= 0 || used.saturating_mul(5) >= whole.saturating_mul(4) {
        1.0
    } else if used.saturating_mul(2) >= whole {
        0.7
    } else {
        0.3
    }
}

/// What orchestration itself knows of an agent's work, between the agent's own reports.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentLoad {
    /// Tickets given to it that have not ended.
    pub in_flight: u32,
    /// Of these, of this ticket's plan.
    pub of_plan: u32,
    /// Of these, of this ticket's intent.
    pub of_intent: u32,
    /// Of these, critical ones.
    pub critical: u32,
    /// Mean duration of the last tickets it ended, in milliseconds; none before the first.
    pub mean_duration_ms: Option<f64>,
}

/// Tickets an agent that does not say takes at a time.
pub const DEFAULT_CONCURRENCY: u32 = 10;

/// Above this share of its places an agent gets no more.
const FULL: f64 = 0.9;

/// What C3 found for one ticket.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// An agent has a place.
    Chosen(Allocation),
    /// Agents would suit, but all their places are taken.
    Busy,
    /// No agent suits; the text says what is missing.
    NoAgent(String),
}

/// A ticket given to an agent, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// The agent.
    pub agent_id: AgentId,
    /// Its incarnation.
    pub epoch: u64,
    /// The scores with their terms, under the names the platform's readers know.
    pub explanation: Json,
}

/// Picks the best of `candidates` for `ticket`. Equal scores go to the agent with fewer tickets in flight, then by id.
pub fn choose(
    ticket: &TicketContent,
    candidates: &[AgentSnapshot],
    loads: &BTreeMap<AgentId, AgentLoad>,
    now: Timestamp,
    config: &AllocationConfig,
) -> Choice {
    let suitable: Vec<&AgentSnapshot> = candidates.iter().filter(|agent| suits(agent, ticket)).collect();
    if suitable.is_empty() {
        return Choice::NoAgent(missing(candidates, ticket));
    }
    let idle = AgentLoad::default();
    let best = suitable
        .iter()
        .filter_map(|agent| {
            let load = loads.get(&agent.agent_id).unwrap_or(&idle);
            let predicted = predicted_load(agent, load);
            (predicted <= FULL && !says_full(agent))
                .then(|| (agent_score(agent, load, ticket, config), load.in_flight, *agent))
        })
        .min_by(|a, b| {
            let by_score = b.0.value.total_cmp(&a.0.value);
            by_score.then(a.1.cmp(&b.1)).then_with(|| a.2.agent_id.cmp(&b.2.agent_id))
        });
    let Some((agent_score, _, agent)) = best else { return Choice::Busy };
    let load = loads.get(&agent.agent_id).unwrap_or(&idle);
    let priority = priority_score(ticket, now, &config.priority);
    let explanation = explain(agent, load, &agent_score, &priority, suitable.len(), now);
    Choice::Chosen(Allocation { agent_id: agent.agent_id.clone(), epoch: agent.epoch, explanation })
}

fn suits(agent: &AgentSnapshot, ticket: &TicketContent) -> bool {
    agent.agent_type == AgentType::Worker
        && agent.status.is_selectable()
        && clearance(agent) >= ticket.security_level
        && can(agent, ticket)
}

/// Whether the agent itself reports that all its places are taken.
fn says_full(agent: &AgentSnapshot) -> bool {
    let active = agent.metadata.get("active_tasks").and_then(|text| text.parse::<u32>().ok());
    active.zip(agent.max_concurrent_tasks).is_some_and(|(active, places)| active >= places)
}

/// The highest security level the agent announces; INTERNAL when it says nothing.
fn clearance(agent: &AgentSnapshot) -> SecurityLevel {
    let announced = agent.metadata.get("security_level").and_then(|text| SecurityLevel::parse(text));
    announced.unwrap_or(SecurityLevel::Internal)
}

fn missing(candidates: &[AgentSnapshot], ticket: &TicketContent) -> String {
    let level = ticket.security_level;
    let needed = ticket.required_capabilities.join(", ");
    let able = |agent: &&AgentSnapshot| agent.agent_type == AgentType::Worker && can(agent, ticket);
    match candidates.iter().find(able) {
        None if needed.is_empty() => "there is no agent".to_owned(),
        None => format!("no agent has the capabilities: {needed}"),
        Some(agent) if clearance(agent) < level => {
            format!("no agent with these capabilities may see {level} work")
        }
        Some(_) => "the agents with these capabilities are not healthy".to_owned(),
    }
}

fn can(agent: &AgentSnapshot, ticket: &TicketContent) -> bool {
    ticket.required_capabilities.iter().all(|needed| agent.capabilities.contains(needed))
}

fn predicted_load(agent: &AgentSnapshot, load: &AgentLoad) -> f64 {
    let places = agent.max_concurrent_tasks.unwrap_or(DEFAULT_CONCURRENCY);
    if places == 0 { f64::INFINITY } else { f64::from(load.in_flight) / f64::from(places) }
}

fn predicted_queue_ms(load: &AgentLoad) -> f64 {
    (f64::from(load.in_flight) * load.mean_duration_ms.unwrap_or(1_000.0)).min(60_000.0)
}

/// `(0.4 health + 0.3 telemetry + 0.2 queue + 0.1 room) × (0.5 + affinity)`, 0 to 1.
fn agent_score(
    agent: &AgentSnapshot,
    load: &AgentLoad,
    ticket: &TicketContent,
    config: &AllocationConfig,
) -> Score {
    let health = match agent.status {
        AgentStatus::Healthy => 1.0,
        AgentStatus::Degraded => 0.6,
        AgentStatus::Unhealthy => 0.3,
    };
    let telemetry = telemetry_term(&agent.telemetry);
    let queue = (1.0 - predicted_queue_ms(load) / 10_000.0).max(0.0);
    let room = 1.0 - predicted_load(agent, load);
    let base = 0.4 * health + 0.3 * telemetry + 0.2 * queue + 0.1 * room;
    let mut terms = vec![("health", health), ("telemetry", telemetry), ("queue", queue), ("room", room)];
    let factor = config.affinity.map_or(1.0, |weights| {
        let affinity = affinity_term(load, ticket, &weights);
        terms.push(("affinity", affinity));
        0.5 + affinity
    });
    Score { value: (base * factor).clamp(0.0, 1.0), terms }
}

#[expect(clippy::cast_precision_loss, reason = "durations and counts far below 2^52")]
fn telemetry_term(telemetry: &AgentTelemetry) -> f64 {
    if telemetry.total_executions == 0 {
        return 0.5;
    }
    let speed = (1.0 - telemetry.avg_duration_ms as f64 / 5_000.0).max(0.0);
    let experience = (telemetry.total_executions as f64 / 1_000.0).min(1.0);
    0.6 * telemetry.success_rate + 0.2 * speed + 0.2 * experience
}

fn affinity_term(load: &AgentLoad, ticket: &TicketContent, weights: &AffinityWeights) -> f64 {
    let together = |count: u32| 0.5 + 0.5 * (f64::from(count) / 3.0).min(1.0);
    let anti = match (is_critical(ticket), load.critical) {
        (false, _) => 0.5,
        (true, 0) => 1.0,
        (true, _) => 0.0,
    };
    weights.plan * together(load.of_plan) + weights.anti * anti + weights.intent * together(load.of_intent)
}

/// Whether a ticket counts as critical for anti-affinity.
pub fn is_critical(ticket: &TicketContent) -> bool {
    ticket.risk_band >= RiskBand::High || ticket.priority >= Priority::High
}

fn explain(
    agent: &AgentSnapshot,
    load: &AgentLoad,
    agent_score: &Score,
    priority: &Score,
    evaluated: usize,
    now: Timestamp,
) -> Json {
    let terms = |score: &Score| {
        Json::Object(score.terms.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect())
    };
    object([
        ("allocated_at", now.millis().into()),
        ("agent_id", agent.agent_id.as_str().into()),
        ("agent_type", agent.agent_type.as_str().into()),
        ("priority_score", priority.value.into()),
        ("priority_terms", terms(priority)),
        ("agent_score", agent_score.value.into()),
        ("agent_terms", terms(agent_score)),
        ("composite_score", (0.6 * agent_score.value + 0.4 * priority.value).into()),
        ("allocation_method", "intelligent_scheduler".into()),
        ("ml_optimization_attempted", false.into()),
        ("workers_evaluated", Json::Int(evaluated as i128)),
        ("predicted_queue_ms", predicted_queue_ms(load).into()),
        ("predicted_load_pct", predicted_load(agent, load).into()),
    ])
}
