//! The rules of the ticket aggregate, case by case and as properties.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::{AgentId, DecisionId, IntentId, PlanId, TaskId, TicketId};
use crate::json::{Json, object};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

fn content() -> TicketContent {
    TicketContent {
        ticket_id: TicketId::parse("tk-abc123").unwrap(),
        plan_id: PlanId::parse("plan-xyz").unwrap(),
        intent_id: IntentId::parse("intent-1").unwrap(),
        decision_id: DecisionId::parse("dec-1").unwrap(),
        correlation_id: None,
        trace_id: None,
        span_id: None,
        task_id: TaskId::parse("task-1").unwrap(),
        task_type: TaskType::Build,
        description: "Build é".to_owned(),
        dependencies: Vec::new(),
        priority: Priority::High,
        risk_band: RiskBand::High,
        sla: Sla { deadline: Timestamp::from_millis(1_737_100_800_000), timeout_ms: 300_000, max_retries: 3 },
        qos: Qos {
            delivery_mode: DeliveryMode::ExactlyOnce,
            consistency: Consistency::Strong,
            durability: Durability::Persistent,
        },
        parameters: BTreeMap::new(),
        required_capabilities: Vec::new(),
        security_level: SecurityLevel::Confidential,
        created_at: NOW,
        estimated_duration_ms: None,
        predictions: None,
        schema_version: 1,
    }
}

fn ticket() -> Ticket {
    Ticket::create(content(), BTreeMap::new(), "test").unwrap()
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn dispatched() -> Ticket {
    let mut ticket = ticket();
    let order = Dispatch { agent: agent("a"), epoch: 2, allocation: Json::Null, not_before: None };
    assert_eq!(ticket.dispatch(order, NOW, "test"), Ok(Applied::Applied));
    ticket
}

fn taken() -> Ticket {
    let mut ticket = dispatched();
    let report = Report::by(agent("a"), 2);
    assert_eq!(ticket.report(TicketStatus::Running, &report, NOW, "a"), Ok(Applied::Applied));
    ticket
}

/// Known answers of the existing service's hash.
#[test]
fn content_hash_known_answers() {
    assert_eq!(ticket().content_hash(), "6ec358efae4e966e415e4556f047c1f69704880db6ffc38c9774cb183f025b5b");
    let content = TicketContent {
        correlation_id: Some("c".to_owned()),
        dependencies: vec![TicketId::parse("tk-1").unwrap()],
        parameters: BTreeMap::from([("y".to_owned(), "é".into()), ("z".to_owned(), Json::Float(1.5))]),
        predictions: Some(object([
            ("duration_ms", Json::Float(1.0)),
            ("x", Json::List(vec![Json::Int(1), Json::Int(2)])),
        ])),
        ..content()
    };
    let metadata = [("a", "{\"k\": 1}"), ("b", "2"), ("n", ""), ("t", "true")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut state = TicketState::pending(BTreeMap::from(metadata));
    state.status = TicketStatus::Running;
    let b = Ticket::restore(content.into(), state, 1);
    assert_eq!(b.content_hash(), "e169d8d3b1c6f502f1f259aa95fc5df69ddcc4db31829de7f9d03ea8d7043b79");
}

#[test]
fn dispatch_is_running_with_its_time_and_repeats_are_no_change() {
    let mut ticket = dispatched();
    assert_eq!(ticket.status(), TicketStatus::Running);
    assert_eq!(ticket.state().dispatched_at, Some(NOW));
    assert_eq!(ticket.state().started_at, None);
    let again = Dispatch { agent: agent("b"), epoch: 9, allocation: Json::Null, not_before: None };
    assert_eq!(ticket.dispatch(again, NOW.plus_ms(5), "test"), Ok(Applied::AlreadyApplied));
    assert_eq!(ticket.state().assigned_worker, Some(agent("a")));
}

#[test]
fn only_the_agent_it_is_allocated_to_takes_a_ticket() {
    let mut ticket = dispatched();
    let refused = ticket.report(TicketStatus::Running, &Report::by(agent("b"), 2), NOW, "b");
    assert!(matches!(refused, Err(TicketError::NotYours { .. })), "{refused:?}");
    let stale = ticket.report(TicketStatus::Running, &Report::by(agent("a"), 1), NOW, "a");
    assert!(matches!(stale, Err(TicketError::StaleEpoch { .. })), "{stale:?}");
    // A worker of before agents existed says no name and is served.
    assert_eq!(ticket.report(TicketStatus::Running, &Report::default(), NOW, "w"), Ok(Applied::Applied));
}

#[test]
fn a_named_agent_takes_nothing_that_was_not_dispatched_to_it() {
    let mut waiting = ticket();
    let refused = waiting.report(TicketStatus::Running, &Report::by(agent("a"), 2), NOW, "a");
    assert!(matches!(refused, Err(TicketError::NotYours { .. })), "{refused:?}");
    // Nor what an unnamed worker began, nor the end of what it never took.
    let mut begun = dispatched();
    begun.report(TicketStatus::Running, &Report::default(), NOW, "w").unwrap();
    let refused = begun.report(TicketStatus::Running, &Report::by(agent("a"), 2), NOW, "a");
    assert!(matches!(refused, Err(TicketError::NotYours { .. })), "{refused:?}");
    let refused = dispatched().report(TicketStatus::Completed, &Report::by(agent("a"), 2), NOW, "a");
    assert!(matches!(refused, Err(TicketError::NotYours { .. })), "{refused:?}");
}

#[test]
fn a_ticket_starts_after_its_dependencies_ended_and_ends_after_it_started() {
    let mut ticket = ticket();
    let later = NOW.plus_ms(500);
    let order = Dispatch { agent: agent("a"), epoch: 1, allocation: Json::Null, not_before: Some(later) };
    ticket.dispatch(order, NOW, "test").unwrap();
    let report = Report::by(agent("a"), 1);
    ticket.report(TicketStatus::Running, &report, NOW, "a").unwrap();
    ticket.report(TicketStatus::Completed, &report, NOW, "a").unwrap();
    assert_eq!(ticket.state().started_at, Some(later));
    assert_eq!(ticket.state().completed_at, Some(later.plus_ms(1)));
    assert_eq!(ticket.state().actual_duration_ms, Some(1));
}

/// INV-5
#[test]
fn a_result_of_an_old_epoch_is_refused() {
    let mut ticket = taken();
    assert_eq!(ticket.release(&agent("a"), 3, NOW, "sweep"), Ok(Applied::Applied));
    assert_eq!(ticket.status(), TicketStatus::Pending);
    assert_eq!((ticket.state().retry_count, ticket.state().started_at), (0, None));
    let order = Dispatch { agent: agent("a"), epoch: 3, allocation: Json::Null, not_before: None };
    ticket.dispatch(order, NOW, "test").unwrap();
    let refused = ticket.report(TicketStatus::Completed, &Report::by(agent("a"), 2), NOW, "a");
    assert!(matches!(refused, Err(TicketError::NotYours { .. })), "{refused:?}");
    let refused = ticket.report(TicketStatus::Running, &Report::by(agent("a"), 2), NOW, "a");
    assert!(matches!(refused, Err(TicketError::StaleEpoch { .. })), "{refused:?}");
    ticket.report(TicketStatus::Running, &Report::by(agent("a"), 3), NOW, "a").unwrap();
    let refused = ticket.report(TicketStatus::Completed, &Report::by(agent("a"), 2), NOW, "a");
    assert!(matches!(refused, Err(TicketError::StaleEpoch { .. })), "{refused:?}");
    assert_eq!(
        ticket.report(TicketStatus::Completed, &Report::by(agent("a"), 3), NOW, "a"),
        Ok(Applied::Applied)
    );
}

#[test]
fn release_leaves_newer_incarnations_and_untaken_tickets_alone() {
    assert_eq!(taken().release(&agent("a"), 2, NOW, "sweep"), Ok(Applied::AlreadyApplied));
    assert_eq!(taken().release(&agent("b"), 9, NOW, "sweep"), Ok(Applied::AlreadyApplied));
    assert_eq!(dispatched().release(&agent("a"), 9, NOW, "sweep"), Ok(Applied::AlreadyApplied));
}

#[test]
fn retries_are_counted_and_end() {
    let mut ticket = taken();
    for attempt in 1..=4 {
        let failure = Report { error_message: Some("boom".to_owned()), ..Report::by(agent("a"), 2) };
        ticket.report(TicketStatus::Failed, &failure, NOW, "a").unwrap();
        let retried = ticket.retry(NOW, "test");
        if attempt == 4 {
            assert!(matches!(retried, Err(TicketError::RetriesExhausted { max_retries: 3, .. })));
            assert_eq!(ticket.status(), TicketStatus::Failed);
            return;
        }
        assert_eq!(retried, Ok(Applied::Applied));
        assert_eq!(ticket.state().retry_count, attempt);
        assert_eq!(ticket.state().error_message.as_deref(), Some("boom"));
        let order = Dispatch { agent: agent("a"), epoch: 2, allocation: Json::Null, not_before: None };
        ticket.dispatch(order, NOW, "test").unwrap();
        ticket.report(TicketStatus::Running, &Report::by(agent("a"), 2), NOW, "a").unwrap();
    }
}

#[test]
fn a_lost_agent_costs_a_try_and_then_the_ticket() {
    let mut ticket = taken();
    assert_eq!(ticket.lose(&agent("a"), "lease expired", NOW, "sweep"), Ok(Applied::Applied));
    assert_eq!((ticket.status(), ticket.state().retry_count), (TicketStatus::Pending, 1));
    let mut last = taken();
    last.state_mut().retry_count = 3;
    last.lose(&agent("a"), "lease expired", NOW, "sweep").unwrap();
    assert_eq!((last.status(), last.state().retryable), (TicketStatus::Failed, Some(false)));
}

#[test]
fn a_late_running_does_not_reopen_a_completed_ticket() {
    let mut ticket = taken();
    let report = Report::by(agent("a"), 2);
    ticket.report(TicketStatus::Completed, &report, NOW, "a").unwrap();
    let late = ticket.report(TicketStatus::Running, &report, NOW, "a");
    assert!(matches!(late, Err(TicketError::InvalidTransition { .. })), "{late:?}");
    assert_eq!(ticket.report(TicketStatus::Completed, &report, NOW, "a"), Ok(Applied::AlreadyApplied));
}

#[test]
fn compensation_spawns_a_complete_ticket() {
    let mut ticket = taken();
    ticket.report(TicketStatus::Completed, &Report::by(agent("a"), 2), NOW, "a").unwrap();
    assert_eq!(ticket.compensate("plan failed", NOW, "test"), Ok(Applied::Applied));
    let spawned = ticket.take_spawned();
    let undo = spawned[0].content();
    assert_eq!(ticket.state().compensation_ticket_id.as_ref(), Some(&undo.ticket_id));
    assert_eq!(undo.task_id.as_str(), "compensate-tk-abc12");
    assert_eq!(undo.task_type, TaskType::Compensate);
    assert_eq!(undo.parameters["action"], "delete_artifacts".into());
    assert_eq!(undo.parameters["original_ticket_id"], "tk-abc123".into());
    assert_eq!((undo.sla.timeout_ms, undo.sla.deadline), (120_000, NOW.plus_ms(120_000)));
    assert_eq!(spawned[0].state().metadata["original_status"], "COMPLETED");
    assert_eq!((&undo.decision_id, undo.qos), (&ticket.content().decision_id, ticket.content().qos));
    assert_eq!(ticket.compensated(NOW, "test"), Ok(Applied::Applied));
    assert_eq!(ticket.compensate("again", NOW, "test"), Ok(Applied::AlreadyApplied));
}

#[test]
fn bad_content_is_refused_by_field() {
    let own = TicketContent { dependencies: vec![TicketId::parse("tk-abc123").unwrap()], ..content() };
    let refused = Ticket::create(own, BTreeMap::new(), "test").unwrap_err();
    assert_eq!(refused.to_string(), "dependencies must not contain the ticket itself");
}

proptest! {
    /// INV-2: no sequence of reports makes a move that the table does not have, and every move leaves one event.
    #[test]
    fn every_path_follows_the_table(
        steps in prop::collection::vec((0_usize..8, 0_u64..4, 0_u8..3), 0..40),
    ) {
        let mut ticket = dispatched();
        ticket.take_events();
        for (status, epoch, name) in steps {
            let before = ticket.state().clone();
            let report = match name {
                0 => Report::default(),
                1 => Report::by(agent("a"), epoch),
                _ => Report::by(agent("b"), epoch),
            };
            let outcome = ticket.report(TicketStatus::ALL[status], &report, NOW, "test");
            let after = ticket.status();
            let events = ticket.take_events();
            match outcome {
                Ok(Applied::Applied) => {
                    prop_assert_eq!(events.len(), 1);
                    prop_assert!(before.status == after || before.status.allows(after));
                    // A named agent never leaves the queue on its own.
                    prop_assert!(report.agent.is_none() || before.status != TicketStatus::Pending);
                }
                _ => {
                    prop_assert!(events.is_empty());
                    prop_assert_eq!(&before, ticket.state());
                }
            }
            prop_assert!(ticket.state().retry_count <= ticket.content().sla.max_retries);
            if let (Some(start), Some(end)) = (ticket.state().started_at, ticket.state().completed_at) {
                prop_assert!(end > start);
            }
        }
    }
}

#[test]
fn notes_keep_the_status_and_count_as_a_change_once() {
    let mut ticket = ticket();
    let pair = |value: &str| BTreeMap::from([("k".to_owned(), value.to_owned())]);
    let note = Annotation { assigned_worker: Some(agent("a")), metadata: pair("1") };
    assert_eq!(ticket.annotate(&note, NOW, "test"), Ok(Applied::Applied));
    assert_eq!(ticket.annotate(&note, NOW, "test"), Ok(Applied::AlreadyApplied));
    assert_eq!(
        (ticket.status(), ticket.state().assigned_worker.clone()),
        (TicketStatus::Pending, Some(agent("a")))
    );
    assert_eq!(ticket.state().metadata, pair("1"));

    let other = Annotation { assigned_worker: Some(agent("b")), ..Annotation::default() };
    assert!(matches!(ticket.annotate(&other, NOW, "test"), Err(TicketError::NotYours { .. })));
    let large = Annotation { metadata: pair(&"x".repeat(METADATA_MAX_BYTES)), ..Annotation::default() };
    assert!(matches!(
        ticket.annotate(&large, NOW, "test"),
        Err(TicketError::InvalidField { field: "metadata", .. })
    ));
    assert_eq!(ticket.state().metadata, pair("1"));
}

#[test]
fn an_undo_can_be_told_what_to_do() {
    let mut ticket = taken();
    let wanted = Compensation {
        reason: "broken".to_owned(),
        action: Some("burn_it".to_owned()),
        parameters: BTreeMap::from([
            ("heat".to_owned(), Json::Int(9)),
            ("action".to_owned(), "ignored: the action has a field of its own".into()),
        ]),
    };
    assert_eq!(ticket.compensate_by(&wanted, NOW, "test"), Ok(Applied::Applied));
    let undo = ticket.take_spawned().remove(0);
    let parameters = &undo.content().parameters;
    assert_eq!(parameters["action"], "burn_it".into());
    assert_eq!(parameters["heat"], Json::Int(9));
    assert_eq!(parameters["reason"], "broken".into());
}
