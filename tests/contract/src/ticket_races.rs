//! The suite of `TicketRepository` under many callers at once.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use hive_application::error::ErrorKind;
use hive_application::tickets::{Creation, LogFilter, TicketLog};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Report, Ticket, TicketChange, TicketStatus};

use crate::fixture::{OpenTickets, TicketFixture};
use crate::samples::{self, BY, agent, at, content, plan, ticket};
use crate::ticket_repository::{created, run};

/// Runs the futures of `count` callers, each in a task of its own.
async fn crowd<T, F>(count: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|n| tokio::spawn(call(n))).collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// Everything in the log, read in pages.
pub(crate) async fn whole_log(log: &dyn TicketLog) -> Vec<Arc<TicketChange>> {
    let (mut changes, mut after) = (Vec::new(), 0);
    while after < log.end().await.unwrap() {
        let page = log.read(after, &LogFilter::default(), 37).await.unwrap();
        changes.extend(page.changes);
        after = page.read_to;
    }
    changes
}

/// INV-2. Twenty callers end one ticket in two ways: one of them does, and everybody else is told so.
pub async fn twenty_race_to_end_one_ticket(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let id = created(&*store.repository, ticket(&plan("p"), "a")).await.id().clone();
    run(&*store.repository, &id, "w1", &[TicketStatus::Running]).await;
    let outcomes = crowd(20, |n| {
        let (repository, id) = (Arc::clone(&store.repository), id.clone());
        async move {
            let to = if n % 2 == 0 { TicketStatus::Completed } else { TicketStatus::Cancelled };
            let report = Report::default();
            let mut end = |ticket: &mut Ticket| ticket.report(to, &report, at(100), BY);
            (to, repository.update(&id, &mut end).await.map(|(_, applied)| applied))
        }
    })
    .await;
    let winners: Vec<_> =
        outcomes.iter().filter(|(_, outcome)| matches!(outcome, Ok(Applied::Applied))).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let ended = winners[0].0;
    for (to, outcome) in &outcomes {
        match outcome {
            Ok(_) => assert_eq!(*to, ended),
            Err(error) => assert_eq!((error.kind(), *to != ended), (ErrorKind::FailedPrecondition, true)),
        }
    }
    let history = store.repository.history(&id).await.unwrap();
    assert_eq!(history.iter().filter(|entry| entry.event.new_status.is_terminal()).count(), 1);
    assert_eq!(store.repository.find(&id).await.unwrap().unwrap().status(), ended);
    store.close.await;
}

/// INV-4. A thousand callers create the same ticket: one does.
pub async fn a_thousand_creates_make_one_ticket(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let outcomes = crowd(1_000, |_| {
        let repository = Arc::clone(&store.repository);
        async move { repository.create(vec![ticket(&plan("p"), "a")]).await.unwrap() }
    })
    .await;
    let new = outcomes.iter().filter(|outcome| matches!(outcome[..], [Creation::Created(_)])).count();
    assert_eq!(new, 1);
    let id = content(&plan("p"), "a").ticket_id;
    assert_eq!(store.repository.history(&id).await.unwrap().len(), 1);
    assert_eq!(whole_log(&*store.log).await.len(), 1);
    store.close.await;
}

/// Large creates of the same tickets, each in an order of its own: every ticket is made once, whoever came first.
pub async fn large_creates_make_each_ticket_once(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let outcomes = crowd(12, |n| {
        let repository = Arc::clone(&store.repository);
        async move {
            let tickets = (0..150).map(|t| ticket(&plan("p"), &format!("t{}", (t * 7 + n * 13) % 150)));
            repository.create(tickets.collect()).await.unwrap()
        }
    })
    .await;
    let new = outcomes.iter().flatten().filter(|outcome| matches!(outcome, Creation::Created(_))).count();
    assert_eq!((new, outcomes.iter().flatten().count()), (150, 12 * 150));
    assert_eq!(whole_log(&*store.log).await.len(), 150);
    store.close.await;
}

/// No neighbour in a batch harms another: some create what exists, some change what changed, some are right.
pub async fn neighbours_do_not_harm_each_other(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    for n in 0..10 {
        created(&*store.repository, ticket(&plan("p"), &format!("t{n}"))).await;
    }
    let outcomes = crowd(120, |n| {
        let repository = Arc::clone(&store.repository);
        async move {
            let task = format!("t{}", n % 30);
            let outcome = repository.create(vec![ticket(&plan("p"), &task)]).await.unwrap();
            let id = content(&plan("p"), &task).ticket_id;
            let mut cancel = |ticket: &mut Ticket| ticket.cancel("raced", at(1), BY);
            let (_, applied) = repository.update(&id, &mut cancel).await.unwrap();
            (matches!(outcome[..], [Creation::Created(_)]), applied == Applied::Applied)
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|(new, _)| *new).count(), 20);
    assert_eq!(outcomes.iter().filter(|(_, applied)| *applied).count(), 30);
    store.close.await;
}

/// INV-3. Whatever happens at once, row, history and log tell the same of every ticket.
pub async fn row_history_and_log_agree(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let ids: Vec<TicketId> = (0..8).map(|n| content(&plan("p"), &format!("t{n}")).ticket_id).collect();
    let shared = Arc::new(ids.clone());
    crowd(160, |n| {
        let (repository, ids) = (Arc::clone(&store.repository), Arc::clone(&shared));
        async move {
            let which = n % ids.len();
            repository.create(vec![ticket(&plan("p"), &format!("t{which}"))]).await.unwrap();
            let mut step = |ticket: &mut Ticket| disturb(ticket, n);
            // Some of these are refused, which is as good as any other outcome here.
            drop(repository.update(&ids[which], &mut step).await);
        }
    })
    .await;

    let OpenTickets { repository, log, .. } = &store;
    let changes = whole_log(&**log).await;
    assert!(changes.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    let mut told: HashMap<TicketId, Vec<Arc<TicketChange>>> = HashMap::new();
    for change in changes {
        told.entry(change.ticket.content.ticket_id.clone()).or_default().push(change);
    }
    for (id, changes) in told {
        let row = repository.find(&id).await.unwrap().unwrap();
        let history = repository.history(&id).await.unwrap();
        let events: Vec<_> = changes.iter().map(|change| change.event.clone()).collect();
        assert_eq!(history.into_iter().map(|entry| entry.event).collect::<Vec<_>>(), events);
        let versions: Vec<_> = changes.iter().map(|change| change.ticket.version).collect();
        assert_eq!(versions, (1..=row.version()).collect::<Vec<_>>());
        assert_eq!(changes.last().unwrap().ticket, row.snapshot());
    }
    store.close.await;
}

fn disturb(ticket: &mut Ticket, n: usize) -> Result<Applied, hive_domain::tickets::TicketError> {
    let report = Report::default();
    let ms = i64::try_from(n).unwrap();
    match n % 7 {
        0 | 1 => ticket.dispatch(samples::dispatch_to(&agent("w1")), at(ms), BY),
        2 => ticket.report(TicketStatus::Running, &report, at(ms), BY),
        3 => ticket.report(TicketStatus::Failed, &report, at(ms), BY),
        4 => ticket.report(TicketStatus::Pending, &report, at(ms), BY),
        5 => ticket.report(TicketStatus::Completed, &report, at(ms), BY),
        _ => ticket.compensate("raced", at(ms), BY),
    }
}

/// Stamps the suite.
#[macro_export]
macro_rules! ticket_races {
    ($fixture:expr) => {
        $crate::stamp!($fixture; ticket_races:
            twenty_race_to_end_one_ticket,
            a_thousand_creates_make_one_ticket,
            large_creates_make_each_ticket_once,
            neighbours_do_not_harm_each_other,
            row_history_and_log_agree,
        );
    };
}
