//! C2: service levels, promises and priorities of generated tickets.

use hive_domain::ids::WorkflowId;
use hive_domain::orchestration::generation::{PlannedTicket, SlaConfig, generate};
use hive_domain::tickets::public::{Consistency, DeliveryMode, Priority};
use hive_domain::time::Timestamp;

use crate::plans::{plan_with, task};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn generated(band: &str, estimates: &[Option<i64>]) -> Vec<PlannedTicket> {
    let tasks: Vec<_> = estimates
        .iter()
        .enumerate()
        .map(|(index, estimate)| {
            let before = index.checked_sub(1).map(|before| format!("t{before}"));
            task(&format!("t{index}"), &before.iter().map(String::as_str).collect::<Vec<_>>(), *estimate)
        })
        .collect();
    let approved = plan_with("plan", band, tasks);
    let workflow = WorkflowId::for_plan(&approved.plan.plan_id);
    generate(&approved, &workflow, NOW, &SlaConfig::default())
}

#[test]
fn the_recorded_ticket_comes_out_the_same() {
    // A ticket of the running platform: estimate 800 ms, band medium.
    let ticket = &generated("medium", &[Some(800)])[0].content;
    assert_eq!((ticket.sla.timeout_ms, ticket.sla.max_retries), (60_000, 2));
    assert_eq!(ticket.sla.deadline, NOW.plus_ms(60_000));
    assert_eq!(ticket.qos.delivery_mode, DeliveryMode::AtLeastOnce);
    assert_eq!((ticket.priority, ticket.security_level.as_str()), (Priority::Normal, "INTERNAL"));
}

#[test]
fn timeouts_grow_with_the_estimate_up_to_the_ceiling_of_the_band() {
    let of = |band, estimate| generated(band, &[estimate])[0].clone();
    assert_eq!(of("low", Some(100_000)).content.sla.timeout_ms, 300_000);
    let cut = of("low", Some(600_000));
    assert_eq!(cut.content.sla.timeout_ms, 900_000);
    assert_eq!(cut.metadata["sla_timeout_clamped_from_ms"], "1800000");
    assert_eq!(of("critical", None).content.sla.timeout_ms, 3_600_000);
    let absent = of("low", None);
    assert_eq!(absent.content.sla.timeout_ms, 900_000);
    assert!(!absent.metadata.contains_key("sla_timeout_clamped_from_ms"));
}

#[test]
fn deadlines_include_the_predecessors() {
    let chain = generated("medium", &[Some(800), Some(40_000), None]);
    let deadlines: Vec<i64> = chain.iter().map(|t| t.content.sla.deadline.since(NOW)).collect();
    assert_eq!(deadlines, [60_000, 180_000, 1_980_000]);
    assert_eq!(chain[1].content.dependencies, [chain[0].content.ticket_id.clone()]);
}

#[test]
fn risk_raises_priority_retries_and_promises() {
    let critical = &generated("critical", &[Some(1)])[0].content;
    assert_eq!((critical.priority, critical.sla.max_retries), (Priority::Critical, 5));
    assert_eq!(critical.qos.delivery_mode, DeliveryMode::ExactlyOnce);
    assert_eq!(critical.qos.consistency, Consistency::Strong);
}
