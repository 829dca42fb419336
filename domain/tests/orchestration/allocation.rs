//! C3: scores with their known values, and who gets a ticket.

use std::collections::BTreeMap;
use std::sync::Arc;

use hive_domain::ids::{AgentId, WorkflowId};
use hive_domain::json::Json;
use hive_domain::orchestration::allocation::{
    AffinityWeights, AgentLoad, AllocationConfig, Choice, PriorityWeights, choose, priority_score,
};
use hive_domain::orchestration::generation::{SlaConfig, generate};
use hive_domain::registry::public::{AgentSnapshot, AgentStatus, AgentTelemetry, AgentType};
use hive_domain::tickets::public::TicketContent;
use hive_domain::time::Timestamp;

use crate::plans::{plan_with, task};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn ticket(band: &str) -> Arc<TicketContent> {
    let approved = plan_with("plan", band, vec![task("a", &[], Some(1))]);
    let workflow = WorkflowId::for_plan(&approved.plan.plan_id);
    generate(&approved, &workflow, NOW, &SlaConfig::default()).remove(0).content
}

fn agent(name: &str) -> AgentSnapshot {
    AgentSnapshot {
        agent_id: AgentId::parse(name).unwrap(),
        agent_type: AgentType::Worker,
        capabilities: vec!["compute".to_owned()],
        metadata: BTreeMap::new(),
        telemetry: AgentTelemetry::default(),
        status: AgentStatus::Healthy,
        registered_at: NOW,
        last_seen: NOW,
        namespace: "default".to_owned(),
        cluster: "local".to_owned(),
        version: "1.0.0".to_owned(),
        schema_version: 1,
        is_expired: false,
        epoch: 7,
        revision: 1,
        max_concurrent_tasks: Some(10),
    }
}

fn loads(in_flight: &[(&str, u32)]) -> BTreeMap<AgentId, AgentLoad> {
    let load = |count: &u32| AgentLoad { in_flight: *count, ..AgentLoad::default() };
    in_flight.iter().map(|(name, count)| (AgentId::parse(name).unwrap(), load(count))).collect()
}

fn chosen(choice: Choice) -> (String, Json) {
    match choice {
        Choice::Chosen(allocation) => (allocation.agent_id.to_string(), allocation.explanation),
        other => panic!("{other:?}"),
    }
}

fn close_to(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

#[test]
fn fresh_tickets_score_by_their_band() {
    let weights = PriorityWeights::default();
    // 0.35 risk + 0.25 qos + 0.25 sla + 0.15 priority, by hand.
    for (band, expected) in [
        ("critical", 0.35 + 0.25 + 0.25 * 0.3 + 0.15),
        ("high", 0.35 * 0.7 + 0.25 + 0.25 * 0.3 + 0.15 * 0.75),
        ("medium", 0.35 * 0.5 + 0.25 * 0.7 * 0.85 + 0.25 * 0.3 + 0.15 * 0.5),
        ("low", 0.35 * 0.3 + 0.25 * 0.7 * 0.85 + 0.25 * 0.3 + 0.15 * 0.25),
    ] {
        close_to(priority_score(&ticket(band), NOW, &weights).value, expected);
    }
    // The platform's own weights, which know no priority.
    let platform = PriorityWeights { risk: 0.4, qos: 0.3, sla: 0.3, priority: 0.0 };
    close_to(priority_score(&ticket("critical"), NOW, &platform).value, 0.79);
    close_to(priority_score(&ticket("high"), NOW, &platform).value, 0.67);
    close_to(priority_score(&ticket("medium"), NOW, &platform).value, 0.4685);
    close_to(priority_score(&ticket("low"), NOW, &platform).value, 0.3885);
}

#[test]
fn the_nearer_the_deadline_the_more_urgent() {
    let ticket = ticket("medium");
    let sla = |ms| priority_score(&ticket, NOW.plus_ms(ms), &PriorityWeights::default()).terms[2];
    assert_eq!(ticket.sla.timeout_ms, 60_000);
    assert_eq!(sla(29_999), ("sla", 0.3));
    assert_eq!(sla(30_000), ("sla", 0.7));
    assert_eq!(sla(48_000), ("sla", 1.0));
}

#[test]
fn the_less_busy_agent_gets_it_and_the_reason_is_kept() {
    let agents = [agent("a"), agent("b")];
    let loads = loads(&[("a", 5), ("b", 2)]);
    let config = AllocationConfig { affinity: None, ..AllocationConfig::default() };
    let choice = choose(&ticket("medium"), &agents, &loads, NOW, &config);
    let (name, why) = chosen(choice);
    assert_eq!(name, "b");
    // 0.4 · 1 + 0.3 · 0.5 + 0.2 · (1 − 2 · 1000/10000) + 0.1 · (1 − 2/10)
    let Some(Json::Float(score)) = why.get("agent_score") else { panic!("{why}") };
    close_to(*score, 0.4 + 0.15 + 0.16 + 0.08);
    assert_eq!(why.get("workers_evaluated"), Some(&Json::Int(2)));
    assert!(why.get("agent_terms").and_then(|terms| terms.get("queue")).is_some());
}

#[test]
fn equal_agents_are_taken_by_load_then_by_name() {
    let agents = [agent("b"), agent("a")];
    let choice = choose(&ticket("low"), &agents, &BTreeMap::new(), NOW, &AllocationConfig::default());
    assert_eq!(chosen(choice).0, "a");
}

#[test]
fn a_full_agent_is_busy_and_an_unfit_one_is_none() {
    let config = AllocationConfig::default();
    let full = choose(&ticket("low"), &[agent("a")], &loads(&[("a", 10)]), NOW, &config);
    assert_eq!(full, Choice::Busy);
    let unfit = AgentSnapshot { capabilities: vec!["read".to_owned()], ..agent("a") };
    let scout = AgentSnapshot { agent_type: AgentType::Scout, ..agent("a") };
    let sick = AgentSnapshot { status: AgentStatus::Unhealthy, ..agent("a") };
    let why = |agents: &[AgentSnapshot]| match choose(&ticket("low"), agents, &BTreeMap::new(), NOW, &config)
    {
        Choice::NoAgent(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(&[unfit, scout]), "no agent has the capabilities: compute");
    assert_eq!(why(&[sick]), "the agents with these capabilities are not healthy");
}

#[test]
fn affinity_keeps_a_plan_together_and_critical_tickets_apart() {
    let config =
        AllocationConfig { affinity: Some(AffinityWeights::default()), ..AllocationConfig::default() };
    let agents = [agent("a"), agent("b")];
    let with = |load: AgentLoad| BTreeMap::from([(AgentId::parse("b").unwrap(), load)]);
    let together = with(AgentLoad { in_flight: 1, of_plan: 1, of_intent: 1, ..AgentLoad::default() });
    assert_eq!(chosen(choose(&ticket("low"), &agents, &together, NOW, &config)).0, "b");
    let apart = with(AgentLoad { in_flight: 1, critical: 1, ..AgentLoad::default() });
    assert_eq!(chosen(choose(&ticket("critical"), &agents, &apart, NOW, &config)).0, "a");
}
