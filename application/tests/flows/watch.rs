//! Following one flow.

use futures_util::FutureExt;
use futures_util::stream::{BoxStream, StreamExt};
use hive_application::error::{Error, ErrorKind};
use hive_application::orchestration::{FlowChange, FlowView, FlowWatch};
use hive_domain::orchestration::flow::Phase;
use hive_domain::tickets::public::TicketStatus;

use crate::world::{Process, World, at_once, plan, workflow};

type Stream = BoxStream<'static, Result<FlowWatch, Error>>;

/// What there is to hear now.
fn hear(stream: &mut Stream) -> Vec<FlowWatch> {
    let mut heard = Vec::new();
    while let Some(Some(next)) = stream.next().now_or_never() {
        heard.push(next.unwrap());
    }
    heard
}

fn snapshot(heard: &FlowWatch) -> &FlowView {
    match heard {
        FlowWatch::Snapshot(view) => view,
        other => panic!("{other:?}"),
    }
}

fn completions(heard: &[FlowWatch]) -> usize {
    let is_completion = |heard: &&FlowWatch| match heard {
        FlowWatch::Changed(change) => {
            matches!(&**change, FlowChange::Ticket(record) if record.status == TicketStatus::Completed)
        }
        FlowWatch::Snapshot(_) | FlowWatch::Lagged { .. } => false,
    };
    heard.iter().filter(is_completion).count()
}

#[test]
fn from_the_journal_to_the_end() {
    let world = World::default();
    let mut process = Process::start(&world, 10);
    process.submit(&plan("p", 3));
    let mut stream = process.orchestration.flows.watch(workflow("p"));
    let heard = hear(&mut stream);
    assert_eq!(snapshot(&heard[0]).status(), "generating_tickets");
    assert_eq!(heard.len(), 1, "the flow waits, and that is told once");

    process.settle();
    let heard = hear(&mut stream);
    let view = snapshot(&heard[0]);
    assert_eq!((view.tickets.in_status(TicketStatus::Running), view.phase), (3, Phase::Executing));
    world.tickets.work(2);
    process.settle();
    let heard = hear(&mut stream);
    assert_eq!(completions(&heard), 2);
    assert!(heard.iter().all(|heard| matches!(heard, FlowWatch::Changed(_))), "{heard:?}");

    world.tickets.work(1);
    process.settle();
    let heard = hear(&mut stream);
    let last = snapshot(heard.last().unwrap());
    assert_eq!((last.status(), last.tickets.in_status(TicketStatus::Completed)), ("completed", 3));
    assert!(last.outcome.is_some());
    assert!(at_once(stream.next()).is_none(), "the stream ends with the flow");

    let ended = hear(&mut process.orchestration.flows.watch(workflow("p")));
    assert_eq!(ended.len(), 1);
    assert_eq!(snapshot(&ended[0]).outcome, last.outcome);
}

#[test]
fn a_slow_watcher_is_told_and_gets_a_new_snapshot() {
    let world = World::default();
    let mut process = Process::start(&world, 10);
    process.submit(&plan("p", 600));
    process.settle();
    let mut stream = process.orchestration.flows.watch(workflow("p"));
    hear(&mut stream);
    world.tickets.work(599);
    process.settle();
    let heard = hear(&mut stream);
    assert!(matches!(heard[0], FlowWatch::Lagged { missed } if missed > 0), "{:?}", heard[0]);
    assert_eq!(snapshot(&heard[1]).tickets.in_status(TicketStatus::Completed), 599);
    assert_eq!(heard.len(), 2);
    world.tickets.work(1);
    process.settle();
    assert_eq!(snapshot(hear(&mut stream).last().unwrap()).status(), "completed");
}

#[test]
fn a_flow_that_stops_ends_the_stream_with_the_reason() {
    let world = World::default();
    let mut process = Process::start(&world, 10);
    world.tickets.refuse(true);
    process.submit(&plan("p", 1));
    let mut stream = process.orchestration.flows.watch(workflow("p"));
    hear(&mut stream);
    process.settle();
    let heard = hear(&mut stream);
    assert_eq!(snapshot(heard.last().unwrap()).failure.as_deref(), Some("internal error"));
    assert!(at_once(stream.next()).is_none());
}

#[test]
fn an_unknown_flow_is_not_found() {
    let world = World::default();
    let process = Process::start(&world, 10);
    let flows = &process.orchestration.flows;
    assert_eq!(at_once(flows.get(&workflow("x"))).unwrap_err().kind(), ErrorKind::NotFound);
    let first = at_once(flows.watch(workflow("x")).next()).unwrap();
    assert_eq!(first.unwrap_err().kind(), ErrorKind::NotFound);
}
