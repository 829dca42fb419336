//! The suite of `TicketRepository`: what one caller sees. What several see at once is in `ticket_races`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hive_application::error::ErrorKind;
use hive_application::tickets::{Creation, LogFilter, TicketFilter, TicketQuery, TicketRepository};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Priority, Ticket, TicketAction, TicketError, TicketStatus};

use crate::fixture::{OpenTickets, TicketFixture};
use crate::samples::{self, BY, agent, at, content, dispatch_to, plan, report_of, ticket};

/// Creates one ticket that must be new.
pub(crate) async fn created(repository: &dyn TicketRepository, ticket: Ticket) -> Ticket {
    match repository.create(vec![ticket]).await.unwrap().pop() {
        Some(Creation::Created(ticket)) => ticket,
        other => panic!("{other:?}"),
    }
}

/// Hands a ticket to an agent and lets it report the statuses one after the other.
pub(crate) async fn run(
    repository: &dyn TicketRepository,
    id: &TicketId,
    to: &str,
    reports: &[TicketStatus],
) {
    let agent = agent(to);
    let (order, report) = (dispatch_to(&agent), report_of(&agent));
    let mut dispatch = |ticket: &mut Ticket| ticket.dispatch(order.clone(), at(10), BY);
    repository.update(id, &mut dispatch).await.unwrap();
    for (status, ms) in reports.iter().zip(20..) {
        let mut change = |ticket: &mut Ticket| ticket.report(*status, &report, at(ms), BY);
        repository.update(id, &mut change).await.unwrap();
    }
}

pub(crate) async fn actions(repository: &dyn TicketRepository, id: &TicketId) -> Vec<TicketAction> {
    repository.history(id).await.unwrap().into_iter().map(|entry| entry.event.action).collect()
}

/// Everything that was set comes back, also after the store was closed.
pub async fn finds_what_was_created(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let (plain, full) = (ticket(&plan("p"), "a"), samples::of(samples::full_content(&plan("p"))));
    let mut stored = Vec::new();
    for ticket in [plain, full] {
        let content = ticket.content().clone();
        let ticket = created(&*store.repository, ticket).await;
        assert_eq!((ticket.content(), ticket.version()), (&content, 1));
        assert_eq!(store.repository.find(ticket.id()).await.unwrap(), Some(ticket.clone()));
        stored.push(ticket);
    }
    let unknown = content(&plan("p"), "unknown").ticket_id;
    assert_eq!(store.repository.find(&unknown).await.unwrap(), None);
    assert!(store.repository.history(&unknown).await.unwrap().is_empty());
    assert!(store.repository.create(Vec::new()).await.unwrap().is_empty());

    store.close.await;
    let store = fixture.open().await;
    for ticket in stored {
        assert_eq!(store.repository.find(ticket.id()).await.unwrap(), Some(ticket));
    }
    store.close.await;
}

/// The second create changes nothing and hands back the first, whatever it asks for.
pub async fn an_existing_id_keeps_its_ticket(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let first = created(&*store.repository, ticket(&plan("p"), "a")).await;
    let mut other = content(&plan("p"), "a");
    other.description = "Something else".to_owned();
    for again in [ticket(&plan("p"), "a"), samples::of(other)] {
        let outcome = store.repository.create(vec![again]).await.unwrap();
        assert_eq!(outcome, [Creation::Existing(first.clone())]);
    }
    assert_eq!(actions(&*store.repository, first.id()).await, [TicketAction::Created]);
    assert_eq!(store.log.read(0, &LogFilter::default(), 10).await.unwrap().changes.len(), 1);
    store.close.await;
}

/// New and existing ones in one call, one of them twice.
pub async fn one_call_creates_what_is_missing(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let old = created(&*store.repository, ticket(&plan("p"), "old")).await;
    let asked = ["new", "old", "new"].map(|task| ticket(&plan("p"), task)).to_vec();
    let outcome = store.repository.create(asked).await.unwrap();
    let new = store.repository.find(&content(&plan("p"), "new").ticket_id).await.unwrap().unwrap();
    assert_eq!(
        outcome,
        [Creation::Created(new.clone()), Creation::Existing(old), Creation::Existing(new.clone())]
    );
    assert_eq!(actions(&*store.repository, new.id()).await, [TicketAction::Created]);
    store.close.await;
}

/// A large number may be a moment old, but not when nothing is left that it counts.
pub async fn the_total_of_what_is_gone_is_nothing(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let tickets: Vec<_> = (0..1_100).map(|n| ticket(&plan("p"), &format!("t{n}"))).collect();
    let ids: Vec<_> = tickets.iter().map(|ticket| ticket.id().clone()).collect();
    store.repository.create(tickets).await.unwrap();
    let filter = TicketFilter { status: Some(TicketStatus::Pending), ..TicketFilter::default() };
    let pending = TicketQuery { filter, offset: 0, limit: 1, after: None };
    assert_eq!(store.repository.list(&pending).await.unwrap().total, 1_100);
    let repository = &store.repository;
    join_all(ids.iter().map(|id| async move {
        let mut dispatch = |ticket: &mut Ticket| ticket.dispatch(dispatch_to(&agent("a")), at(10), BY);
        repository.update(id, &mut dispatch).await.unwrap();
        let mut start =
            |ticket: &mut Ticket| ticket.report(TicketStatus::Running, &report_of(&agent("a")), at(20), BY);
        repository.update(id, &mut start).await.unwrap();
    }))
    .await;
    let begun = Instant::now();
    while store.repository.list(&pending).await.unwrap().total != 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody counts again");
        tokio::task::yield_now().await;
    }
    store.close.await;
}

/// More tickets than fit into one statement or one page.
pub async fn a_large_plan_is_created_at_once(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let tickets: Vec<_> = (0..1_234).map(|n| ticket(&plan("p"), &format!("t{n}"))).collect();
    let outcome = store.repository.create(tickets).await.unwrap();
    assert!(outcome.iter().all(|creation| matches!(creation, Creation::Created(_))));
    let query = TicketQuery { filter: TicketFilter::default(), offset: 0, limit: 1, after: None };
    assert_eq!(store.repository.list(&query).await.unwrap().total, 1_234);
    let last = TicketQuery { offset: 1_230, limit: 9, ..query.clone() };
    let page = store.repository.list(&last).await.unwrap();
    assert_eq!((page.tickets.len(), page.total, page.next), (4, 1_234, None));
    let beyond = TicketQuery { offset: 2_000, limit: 9, ..query };
    let page = store.repository.list(&beyond).await.unwrap();
    assert_eq!((page.tickets.len(), page.total), (0, 1_234));
    let mut seen = Vec::new();
    let mut after = 0;
    while after < store.log.end().await.unwrap() {
        let page = store.log.read(after, &LogFilter::default(), 100).await.unwrap();
        seen.extend(page.changes.iter().map(|change| change.ticket.content.task_id.clone()));
        after = page.read_to;
    }
    let expected: Vec<_> = (0..1_234).map(|n| content(&plan("p"), &format!("t{n}")).task_id).collect();
    assert_eq!(seen, expected);
    store.close.await;
}

/// Filters and pages, newest first, ties in a fixed order.
pub async fn lists_by_filter_and_page(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    for n in 0..12_i64 {
        let plan = plan(if n % 2 == 0 { "even" } else { "odd" });
        let mut content = content(&plan, &format!("t{n}"));
        content.created_at = at(n / 3);
        content.priority = if n < 4 { Priority::High } else { Priority::Low };
        created(&*store.repository, samples::of(content)).await;
    }
    let id = content(&plan("even"), "t0").ticket_id;
    run(&*store.repository, &id, "w1", &[TicketStatus::Running]).await;

    let list = async |filter: TicketFilter, offset, limit| {
        let page = store.repository.list(&TicketQuery { filter, offset, limit, after: None }).await.unwrap();
        let tasks: Vec<_> =
            page.tickets.iter().map(|ticket| ticket.content().task_id.as_str().to_owned()).collect();
        (tasks, page.total)
    };
    let all = TicketFilter::default();
    let (tasks, total) = list(all.clone(), 0, 100).await;
    let newest_first: Vec<_> = (0..12).rev().map(|n| format!("t{n}")).collect();
    assert_eq!((&tasks, total), (&newest_first, 12));
    let mut paged = Vec::new();
    for offset in [0, 5, 10] {
        let (tasks, total) = list(all.clone(), offset, 5).await;
        assert_eq!(total, 12);
        paged.extend(tasks);
    }
    assert_eq!(paged, newest_first);
    assert_eq!(list(all.clone(), 100, 5).await, (Vec::new(), 12));

    let even = TicketFilter { plan_id: Some(plan("even")), ..all.clone() };
    assert_eq!(list(even.clone(), 0, 2).await, (vec!["t10".to_owned(), "t8".to_owned()], 6));
    let high = TicketFilter { priority: Some(Priority::High), ..even };
    assert_eq!(list(high, 0, 9).await, (vec!["t2".to_owned(), "t0".to_owned()], 2));
    let running = TicketFilter { status: Some(TicketStatus::Running), ..all.clone() };
    assert_eq!(list(running, 0, 9).await, (vec!["t0".to_owned()], 1));
    let intent_id = content(&plan("p"), "x").intent_id;
    let intent = TicketFilter { intent_id: Some(intent_id), ..all.clone() };
    assert_eq!(list(intent, 0, 1).await.1, 12);
    let worker = TicketFilter { assigned_worker: Some(agent("w1")), ..all.clone() };
    assert_eq!(list(worker, 0, 9).await, (vec!["t0".to_owned()], 1));
    let nobody = TicketFilter { assigned_worker: Some(agent("w2")), ..all };
    assert_eq!(list(nobody, 0, 9).await, (Vec::new(), 0));
    store.close.await;
}

/// A repeated change is told from the first and saves nothing.
pub async fn a_change_applies_once(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let id = created(&*store.repository, ticket(&plan("p"), "a")).await.id().clone();
    let order = dispatch_to(&agent("w1"));
    let mut dispatch = |ticket: &mut Ticket| ticket.dispatch(order.clone(), at(10), BY);
    let (first, applied) = store.repository.update(&id, &mut dispatch).await.unwrap();
    assert_eq!((applied, first.status(), first.version()), (Applied::Applied, TicketStatus::Running, 2));
    let (again, applied) = store.repository.update(&id, &mut dispatch).await.unwrap();
    assert_eq!((applied, &again), (Applied::AlreadyApplied, &first));
    assert_eq!(store.repository.find(&id).await.unwrap(), Some(first));
    let expected = [TicketAction::Created, TicketAction::Dispatched];
    assert_eq!(actions(&*store.repository, &id).await, expected);
    store.close.await;
}

/// A change that errs leaves row, history and log as they were, even when it had changed the ticket before.
pub async fn a_refused_change_leaves_nothing(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let before = created(&*store.repository, ticket(&plan("p"), "a")).await;
    let end = store.log.end().await.unwrap();
    let order = dispatch_to(&agent("w1"));
    let mut half = |ticket: &mut Ticket| {
        ticket.dispatch(order.clone(), at(10), BY)?;
        Err(TicketError::InvalidField { field: "status", problem: "is refused by the test" })
    };
    let error = store.repository.update(before.id(), &mut half).await.unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidArgument, Some("status")));
    let mut early = |ticket: &mut Ticket| ticket.compensated(at(10), BY);
    let error = store.repository.update(before.id(), &mut early).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::FailedPrecondition, "INVALID_TRANSITION"));

    assert_eq!(store.repository.find(before.id()).await.unwrap().as_ref(), Some(&before));
    assert_eq!(actions(&*store.repository, before.id()).await, [TicketAction::Created]);
    assert_eq!(store.log.end().await.unwrap(), end);
    let unknown = content(&plan("p"), "unknown").ticket_id;
    let error = store.repository.update(&unknown, &mut early).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    store.close.await;
}

/// A whole life, told in order with who, when, from and to, under ids that stay.
pub async fn history_tells_the_life_in_order(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let id = created(&*store.repository, ticket(&plan("p"), "a")).await.id().clone();
    use TicketStatus::{Completed, Failed, Pending, Running};
    run(&*store.repository, &id, "w1", &[Running, Failed, Pending]).await;
    run(&*store.repository, &id, "w2", &[Running, Completed]).await;
    let history = store.repository.history(&id).await.unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|entry| (entry.event.action.as_str(), entry.event.old_status, entry.event.new_status))
        .collect();
    assert_eq!(
        told,
        [
            ("created", None, Pending),
            ("dispatched", Some(Pending), Running),
            ("started", Some(Running), Running),
            ("failed", Some(Running), Failed),
            ("retried", Some(Failed), Pending),
            ("dispatched", Some(Pending), Running),
            ("started", Some(Running), Running),
            ("completed", Some(Running), Completed),
        ]
    );
    assert_eq!((history[3].event.changed_by.as_str(), history[3].event.at), (BY, at(21)));
    let mut ids: Vec<_> = history.iter().map(|entry| entry.event_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    store.close.await;
    let store = fixture.open().await;
    assert_eq!(store.repository.history(&id).await.unwrap(), history);
    store.close.await;
}

/// INV-3. The ticket that undoes another one comes into being with the change that asks for it, once.
pub async fn spawned_tickets_come_with_their_change(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let OpenTickets { repository, log, .. } = &store;
    let id = created(&**repository, ticket(&plan("p"), "a")).await.id().clone();
    run(&**repository, &id, "w1", &[TicketStatus::Running, TicketStatus::Completed]).await;
    let end = log.end().await.unwrap();
    let mut undo = |ticket: &mut Ticket| ticket.compensate("a sibling failed", at(50), BY);
    let (original, _) = repository.update(&id, &mut undo).await.unwrap();
    let undo_id = TicketId::for_compensation(&id);
    assert_eq!(original.state().compensation_ticket_id.as_ref(), Some(&undo_id));
    let spawned = repository.find(&undo_id).await.unwrap().unwrap();
    assert_eq!((spawned.status(), spawned.version()), (TicketStatus::Pending, 1));
    assert_eq!(actions(&**repository, &undo_id).await, [TicketAction::Created]);
    let page = log.read(end, &LogFilter::default(), 10).await.unwrap();
    let told: Vec<_> = page
        .changes
        .iter()
        .map(|change| (change.event.action, change.ticket.content.ticket_id.clone()))
        .collect();
    assert_eq!(
        told,
        [(TicketAction::CompensationStarted, id.clone()), (TicketAction::Created, undo_id.clone())]
    );
    let (_, applied) = repository.update(&id, &mut undo).await.unwrap();
    assert_eq!(applied, Applied::AlreadyApplied);

    // The undo may be there before: then it stays as it is.
    let other = created(&**repository, ticket(&plan("p"), "b")).await.id().clone();
    let mut there = content(&plan("p"), "made by hand");
    there.ticket_id = TicketId::for_compensation(&other);
    let there = created(&**repository, samples::of(there)).await;
    let (original, applied) = repository.update(&other, &mut undo).await.unwrap();
    assert_eq!((applied, original.status()), (Applied::Applied, TicketStatus::Compensating));
    assert_eq!(repository.find(there.id()).await.unwrap(), Some(there));
    store.close.await;
}

/// Stamps the suite.
#[macro_export]
macro_rules! ticket_repository {
    ($fixture:expr) => {
        $crate::stamp!($fixture; ticket_repository:
            finds_what_was_created,
            an_existing_id_keeps_its_ticket,
            one_call_creates_what_is_missing,
            a_large_plan_is_created_at_once,
            the_total_of_what_is_gone_is_nothing,
            lists_by_filter_and_page,
            a_change_applies_once,
            a_refused_change_leaves_nothing,
            history_tells_the_life_in_order,
            spawned_tickets_come_with_their_change,
        );
    };
}
