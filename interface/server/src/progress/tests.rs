//! A flow told step by step, as lines and as pictures.

use hive_domain::ids::TicketId;
use hive_domain::orchestration::flow::{FlowEntry, Phase, PlanStatus, TicketRecord};
use hive_domain::tickets::TicketAction;
use hive_domain::tickets::TicketStatus::{self as Status, Cancelled, Completed, Failed, Pending, Running};

use super::testing::{START, Shown, flow, record};
use super::*;

#[test]
fn a_small_plan_is_told_ticket_by_ticket() {
    let mut shown = Shown::new(flow(3));
    shown.generated();
    shown.complete(0);
    shown.change(1, TicketAction::Dispatched, Running);
    shown.change(1, TicketAction::Failed, Failed);
    shown.change(1, TicketAction::Retried, Pending);
    shown.change(1, TicketAction::Dispatched, Running);
    let last = TicketRecord { retryable: false, ..record(1, 90, TicketAction::Failed, Failed) };
    shown.record(&last);
    shown.offset = 90;
    shown.change(2, TicketAction::Cancelled, Cancelled);
    shown.end(PlanStatus::Partial);
    assert_eq!(
        shown.said,
        [
            "C1 validated    plan plan-1: 3 tasks",
            "C2 creating     3 tickets",
            "C2 created      3 tickets",
            "C4 dispatched   t-0 -> agent-2",
            "C4 started      t-0 on agent-2",
            "C4 completed    t-0 in 12 ms",
            "C4 dispatched   t-1 -> agent-2",
            "C4 failed       t-1: boom ; to be tried again",
            "C4 retried      t-1, retry 0",
            "C4 dispatched   t-1 -> agent-2",
            "C4 failed       t-1: boom ",
            "C4 cancelled    t-2: boom ",
            "C4 ended        1 completed, 2 not",
            "C5 consolidated PARTIAL",
            "C6 reported",
        ]
    );
    assert_eq!(shown.counts(), [3, 2, 3, 1, 2]);
}

#[test]
fn a_ticket_without_an_agent_says_for_what_it_waits() {
    let mut shown = Shown::new(flow(1));
    shown.generated();
    let id = shown.flow.nodes()[0].ticket_id.clone();
    shown.tell(Progress::Parked(&id, "no agent"));
    let deadline = shown.flow.nodes()[0].deadline;
    let waiting = format!("t-0: waiting for an agent with capability gpu until {deadline}");
    assert_eq!(shown.said.last(), Some(&format!("C3 parked       {waiting}")));
    let picture = frame::draw(&shown.board, START, 0).unwrap();
    assert!(picture.contains("1 waiting for an agent"), "{picture}");
    assert!(
        picture.contains("! t-0 waits until 00:15:01 UTC for\n       an agent with capability gpu"),
        "{picture}"
    );
    shown.change(0, TicketAction::Dispatched, Running);
    assert_eq!(shown.board.parked.len(), 0);
}

#[test]
fn a_large_plan_is_told_in_tenths() {
    let mut shown = Shown::new(flow(1_000));
    shown.generated();
    let ids: Vec<TicketId> = shown.flow.nodes().iter().map(|node| node.ticket_id.clone()).collect();
    for id in &ids[..50] {
        shown.tell(Progress::Parked(id, "no agent"));
    }
    for task in 0..1_000 {
        shown.complete(task);
    }
    shown.end(PlanStatus::Success);
    assert_eq!(shown.said.iter().filter(|line| line.starts_with("C3 parked")).count(), 1);
    let tenths: Vec<&String> = shown.said.iter().filter(|line| line.contains(" %  ")).collect();
    assert_eq!(tenths.len(), 10, "{tenths:?}");
    assert_eq!(tenths[0], "C4  10 %        100 of 1000 ended: 100 completed, 0 not");
    assert_eq!(shown.counts(), [1_000, 1_000, 1_000, 1_000, 0]);
}

#[test]
fn what_is_told_again_counts_once() {
    let mut shown = Shown::new(flow(2));
    shown.generated();
    shown.complete(0);
    let counts = shown.counts();
    let again = record(0, 3, TicketAction::Completed, Completed);
    shown.tell(Progress::Ticket(&again));
    assert_eq!(shown.counts(), counts);
    shown.tell(Progress::TakenUp);
    assert_eq!(shown.counts(), counts);
    assert!(shown.board.resumed);
    let last = shown.said.last().unwrap();
    assert_eq!(last, "C4 resumed      1 of 2 ended: 1 completed, 0 not");
}

#[test]
fn undos_are_shown_beside_the_tasks() {
    let mut shown = Shown::new(flow(3));
    shown.generated();
    shown.complete(0);
    for task in [1, 2] {
        shown.change(task, TicketAction::Dispatched, Running);
        shown.offset += 1;
        shown.record(&TicketRecord {
            retryable: false,
            ..record(task, shown.offset, TicketAction::Failed, Failed)
        });
    }
    let done = shown.flow.nodes()[0].ticket_id.clone();
    let ended = FlowEntry::ExecutionEnded { status: PlanStatus::Failed, undo: vec![done.clone()], at: START };
    shown.enter(&ended);
    assert_eq!(shown.board.phase, Some(Phase::Compensating));
    shown.change(0, TicketAction::CompensationStarted, Status::Compensating);
    let undo = TicketId::for_compensation(&done);
    for (action, status) in [
        (TicketAction::Dispatched, Running),
        (TicketAction::Started, Running),
        (TicketAction::Completed, Completed),
    ] {
        shown.offset += 1;
        shown.record(&TicketRecord { ticket_id: undo.clone(), ..record(0, shown.offset, action, status) });
    }
    shown.change(0, TicketAction::Compensated, Status::Compensated);
    assert_eq!((shown.board.undos, shown.board.undone), (1, 1));
    let said = shown.said.join("\n");
    for line in ["C5 undoing      t-0", "C5 dispatched   undo of t-0 -> agent-2", "C5 undone       t-0"] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(shown.board.ended, 3);
}

#[test]
fn a_picture_is_small_whatever_the_plan() {
    assert_eq!(frame::draw(&Board::default(), START, 0), None);
    let mut shown = Shown::new(flow(500));
    shown.generated();
    for task in 0..100 {
        shown.change(task, TicketAction::Dispatched, Running);
    }
    let picture = frame::draw(&shown.board, START.plus_ms(1_500), 3).unwrap();
    assert_eq!(picture.lines().count(), 7 + 8 + 1, "{picture}");
    assert!(picture.lines().all(|line| line.chars().count() <= 78), "{picture}");
    assert!(picture.contains("⠴ t-0 -> agent-2  1.5 s"), "{picture}");
    assert!(picture.ends_with("… and 92 more"), "{picture}");
}

#[test]
fn the_reporter_writes_and_ends() {
    let reporter = Reporter::start(Screen::plain()).unwrap();
    let flow = flow(1);
    reporter.observe(&flow, Progress::TakenUp);
    reporter.end();
    reporter.observe(&flow, Progress::TakenUp);
    reporter.end();
}
