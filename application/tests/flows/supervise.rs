//! Every open flow runs, once, here or after a restart.

use std::sync::atomic::Ordering;

use hive_application::error::ErrorKind;
use hive_application::orchestration::Submission;
use hive_domain::orchestration::flow::PlanStatus;
use hive_domain::tickets::public::TicketStatus;

use crate::world::{Process, World, at_once, plan, workflow};

#[test]
fn two_flows_run_side_by_side_and_a_restart_takes_both_up_where_they_were() {
    let world = World::default();
    let mut process = Process::start(&world, 10);
    let one = process.submit(&plan("one", 5));
    assert!(matches!(one, Submission::Open { resumed: false, .. }), "{one:?}");
    world.tickets.work(3);
    process.settle();
    process.submit(&plan("two", 7));
    process.settle();
    world.tickets.work(3);
    process.settle();
    assert_eq!(world.tickets.dispatched(), 12);
    let (one, two) = (process.view(&workflow("one")), process.view(&workflow("two")));
    assert_eq!((one.status(), two.status()), ("executing", "executing"));
    assert_eq!((one.tickets.total(), two.tickets.total()), (5, 7));
    let completed = |status| one.tickets.in_status(status) + two.tickets.in_status(status);
    assert_eq!((completed(TicketStatus::Completed), completed(TicketStatus::Running)), (6, 6));
    drop(process);

    world.tickets.work(100);
    let mut process = Process::start(&world, 10);
    process.settle();
    for id in [workflow("one"), workflow("two")] {
        let view = process.view(&id);
        assert_eq!((view.status(), view.plan_status), ("completed", Some(PlanStatus::Success)));
        assert!((view.tickets.progress_percent() - 100.0).abs() < f64::EPSILON);
        assert_eq!(view.outcome.unwrap().get("workflow_id").unwrap().as_text(), Some(id.as_str()));
    }
    assert_eq!(world.tickets.dispatched(), 12, "nothing was dispatched anew");
    assert!(matches!(process.submit(&plan("one", 5)), Submission::Ended { .. }));
}

#[test]
fn a_plan_sent_again_while_it_runs_has_one_flow() {
    let world = World::default();
    let mut process = Process::start(&world, 10);
    for _ in 0..3 {
        process.submit(&plan("one", 3));
        process.settle();
    }
    world.tickets.work(3);
    process.settle();
    assert_eq!(process.view(&workflow("one")).status(), "completed");
    assert_eq!(world.tickets.dispatched(), 3);
}

#[test]
fn a_flow_that_stops_says_why_rests_and_gets_another_chance() {
    let world = World::default();
    world.tickets.work(100);
    let mut process = Process::start(&world, 10);
    world.tickets.refuse(true);
    process.submit(&plan("bad", 1));
    process.settle();
    let view = process.view(&workflow("bad"));
    assert_eq!((view.status(), view.failure.as_deref()), ("failed", Some("internal error")));
    assert!(view.outcome.is_none());

    world.tickets.refuse(false);
    process.submit(&plan("good", 1));
    process.settle();
    assert_eq!(process.view(&workflow("good")).status(), "completed");
    assert_eq!(process.view(&workflow("bad")).status(), "failed", "it rests");

    process.submit(&plan("bad", 1));
    process.settle();
    let view = process.view(&workflow("bad"));
    assert_eq!((view.status(), view.failure), ("completed", None));
}

#[test]
fn more_flows_than_may_run_wait_in_the_journal() {
    const FLOWS: usize = 1_100;
    let world = World::default();
    world.tickets.work(FLOWS);
    let mut process = Process::start(&world, 3);
    for n in 0..FLOWS {
        process.submit(&plan(&format!("p{n}"), 1));
    }
    process.settle();
    let open = at_once(process.orchestration.list_open()).unwrap();
    assert_eq!(open, []);
    assert!(world.journal.looks.load(Ordering::Relaxed) > 2, "those that did not fit were looked up");
}

#[test]
fn flows_are_supervised_once() {
    let world = World::default();
    let mut process = Process::start(&world, 10);
    process.settle();
    let refused = at_once(process.orchestration.supervisor.execute()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);
    let orchestration = process.orchestration.clone();
    drop(process);
    let mut again = Box::pin(orchestration.supervisor.execute());
    assert!(futures_util::FutureExt::now_or_never(&mut again).is_none(), "the claim ended with the former");
}
