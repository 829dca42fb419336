//! Changes are counted once, and time alone moves what it should.

use std::sync::Arc;

use hive_application::messages::decode;
use hive_domain::orchestration::flow::{FlowConfig, FlowEntry};
use hive_domain::orchestration::limits::Limits;
use hive_domain::orchestration::message::Message;
use hive_domain::orchestration::validation::{Verdict, validate};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The plan of six tasks whose tickets are made.
fn flow() -> Flow {
    let text = include_bytes!("../../../../../examples/plans/diamond.json");
    let limits = Limits::default();
    let parse = |text: &[u8]| decode(text, 1 << 20, 64).map_err(|error| error.to_string());
    let message = Message::open(parse(text).unwrap(), &limits, |text| parse(text.as_bytes())).unwrap();
    let Verdict::Run(approved) = validate(&message, None, &limits, NOW).verdict else { panic!("it may run") };
    let workflow_id = WorkflowId::for_plan(&approved.plan.plan_id);
    let mut flow = Flow::new(workflow_id, Arc::new(*approved), NOW, FlowConfig::default());
    flow.apply(&FlowEntry::TicketsGenerated { at: NOW });
    flow
}

fn measured() -> (Flows, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let flows = metrics::with_local_recorder(&recorder, Flows::new);
    (flows, recorder.handle())
}

/// The sum of a family's series.
fn sum(shown: &PrometheusHandle, family: &str) -> f64 {
    let text = shown.render();
    let series = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(family));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Something happens to the first ticket.
fn change(
    flow: &mut Flow,
    offset: u64,
    action: TicketAction,
    status: TicketStatus,
    at: Timestamp,
) -> TicketRecord {
    let record = TicketRecord {
        offset,
        ticket_id: flow.planned()[0].content.ticket_id.clone(),
        action,
        status,
        agent: None,
        retry_count: 0,
        retryable: false,
        started_at: Some(NOW),
        completed_at: status.is_terminal().then_some(at),
        error_message: None,
        at,
    };
    flow.apply(&FlowEntry::TicketChanged(record.clone()));
    record
}

#[test]
fn a_change_counts_once_however_often_its_flow_is_taken_up() {
    let (flows, shown) = measured();
    let mut flow = flow();
    flows.observe(&flow, Progress::TakenUp);
    let dispatched = change(&mut flow, 7, TicketAction::Dispatched, TicketStatus::Running, NOW);
    flows.observe(&flow, Progress::Ticket(&dispatched));
    // The attempt fails before it remembers the change: the log tells it again to the next one.
    flows.observe(&flow, Progress::TakenUp);
    flows.observe(&flow, Progress::Ticket(&dispatched));
    for family in [
        "orchestration_tickets_published_total",
        "orchestration_resource_allocations_total",
        "orchestration_scheduler_allocations_total",
    ] {
        assert!((sum(&shown, family) - 1.0).abs() < 1e-9, "{family}");
    }
    let completed = change(&mut flow, 9, TicketAction::Completed, TicketStatus::Completed, NOW.plus_ms(1));
    flows.observe(&flow, Progress::Ticket(&completed));
    flows.observe(&flow, Progress::TakenUp);
    flows.observe(&flow, Progress::Ticket(&completed));
    assert!((sum(&shown, "orchestration_tickets_completed_total") - 1.0).abs() < 1e-9);
    assert!((sum(&shown, "orchestration_workflows_active") - 1.0).abs() < 1e-9);
    flows.observe(&flow, Progress::Entered(Phase::Ended));
    assert!(sum(&shown, "orchestration_workflows_active").abs() < 1e-9);
}

#[test]
fn a_flow_that_stops_is_not_active() {
    let (flows, shown) = measured();
    let flow = flow();
    let active = || sum(&shown, "orchestration_workflows_active");
    flows.observe(&flow, Progress::TakenUp);
    flows.stopped(flow.workflow_id());
    assert!(active().abs() < 1e-9);
    flows.look(NOW);
    assert!(sum(&shown, "orchestration_sla_remaining_seconds").abs() < 1e-9);
    flows.observe(&flow, Progress::TakenUp);
    assert!((active() - 1.0).abs() < 1e-9, "it got another chance");
}

#[test]
fn a_deadline_approaches_by_the_passing_of_time_and_once() {
    let (flows, shown) = measured();
    let mut flow = flow();
    flows.observe(&flow, Progress::TakenUp);
    flows.look(NOW);
    let approaching = || sum(&shown, "orchestration_deadline_approaching_total");
    assert!(approaching().abs() < 1e-9);
    assert!(sum(&shown, "orchestration_sla_remaining_seconds") > 0.0);
    let calm = flow.planned()[0].content.sla.deadline.since(NOW) * 4 / 5;
    flows.look(NOW.plus_ms(calm));
    flows.look(NOW.plus_ms(calm));
    assert!((approaching() - 1.0).abs() < 1e-9, "the others have longer");
    // One that ended without anybody looking is counted when it ends.
    let late = NOW.plus_ms(calm + 1);
    let (other, other_shown) = measured();
    other.observe(&flow, Progress::TakenUp);
    let completed = change(&mut flow, 3, TicketAction::Completed, TicketStatus::Completed, late);
    other.observe(&flow, Progress::Ticket(&completed));
    assert!((sum(&other_shown, "orchestration_deadline_approaching_total") - 1.0).abs() < 1e-9);
    flows.observe(&flow, Progress::Ticket(&completed));
    assert!((approaching() - 1.0).abs() < 1e-9, "it was counted before");
}
