//! The suite of pruning the ticket log: what goes, what stays, and what those are told who ask for what is gone.

use std::time::{SystemTime, UNIX_EPOCH};

use hive_application::error::{Error, ErrorKind};
use hive_application::tickets::{LogFilter, LogPage, TicketLog};
use hive_domain::tickets::{TicketChange, TicketStatus};
use hive_domain::time::Timestamp;

use crate::fixture::{OpenTickets, TicketFixture};
use crate::samples::{agent, at, plan, ticket};
use crate::ticket_races::whole_log;
use crate::ticket_repository::{created, run};

/// Plans with one ticket each, of two windows and more.
const PLANS: usize = 300;

/// Changes of a ticket that was handed out, begun and completed, its creation included.
const LIFE: usize = 4;

async fn completed(store: &OpenTickets, plan_name: &str) {
    let id = created(&*store.repository, ticket(&plan(plan_name), "t")).await.id().clone();
    run(&*store.repository, &id, "w1", &[TicketStatus::Running, TicketStatus::Completed]).await;
}

fn plans(changes: &[std::sync::Arc<TicketChange>]) -> Vec<&str> {
    changes.iter().map(|change| change.ticket.content.plan_id.as_str()).collect()
}

/// Readers that remembered their place before it are gone.
fn tomorrow() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap()).plus_ms(86_400_000)
}

async fn read(log: &dyn TicketLog, after: u64, filter: &LogFilter) -> Result<LogPage, Error> {
    log.read(after, filter, 1_000).await
}

/// Old records of plans that are over go; those of a plan with an unfinished ticket stay, and so does the newest record:
/// the log goes on above it.
pub async fn what_is_over_goes(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    completed(&store, "old").await;
    created(&*store.repository, ticket(&plan("waiting"), "t")).await;
    for n in 0..PLANS {
        completed(&store, &format!("p{n}")).await;
    }
    let end = store.log.end().await.unwrap();
    let history = whole_log(&*store.log).await.len();
    assert_eq!(history, 1 + (1 + PLANS) * LIFE);
    store.close.await;
    assert_eq!(fixture.prune(at(0)).await, 0, "nothing is that old");
    let gone = fixture.prune(tomorrow()).await;
    assert_eq!(usize::try_from(gone).unwrap(), history - 2);
    assert_eq!(fixture.prune(tomorrow()).await, 0, "once is enough");

    let store = fixture.open().await;
    let rest = whole_log(&*store.log).await;
    assert_eq!(plans(&rest), ["waiting", &format!("p{}", PLANS - 1)]);
    assert_eq!((rest[1].offset, store.log.end().await.unwrap()), (end, end));
    completed(&store, "new").await;
    let new = whole_log(&*store.log).await.split_off(rest.len());
    assert_eq!(plans(&new), ["new"; LIFE]);
    store.close.await;
}

/// A reader that remembered its place lately is waited for; one that did so long ago is not.
pub async fn readers_are_waited_for(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    for name in ["a", "b", "c"] {
        completed(&store, name).await;
    }
    let changes = whole_log(&*store.log).await;
    store.log.commit("reader", changes[LIFE - 1].offset).await.unwrap();
    store.log.commit("faster reader", changes[2 * LIFE].offset).await.unwrap();
    store.close.await;
    // The samples are of the past, the places of today.
    assert_eq!(fixture.prune(at(1_000)).await, LIFE as u64);
    let store = fixture.open().await;
    store.log.commit("reader", changes[2 * LIFE - 1].offset).await.unwrap();
    store.close.await;
    assert_eq!(fixture.prune(at(1_000)).await, LIFE as u64);
    let rest = LIFE as u64 - 1;
    assert_eq!(fixture.prune(tomorrow()).await, rest, "but for the newest record, nobody keeps it any more");
}

/// Whoever asks to go on from what is gone is told, and may begin at the oldest record that is kept. A reader of a plan
/// whose records are all there is not troubled.
pub async fn what_is_gone_is_said(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    created(&*store.repository, ticket(&plan("waiting"), "t")).await;
    for n in 0..20 {
        completed(&store, &format!("p{n}")).await;
    }
    let changes = whole_log(&*store.log).await;
    store.close.await;
    fixture.prune(tomorrow()).await;

    let store = fixture.open().await;
    let of = |name: &str| LogFilter { plan_id: Some(plan(name)), agent_id: None };
    let of_agent = LogFilter { plan_id: None, agent_id: Some(agent("w1")) };
    let (first, early) = (changes[0].offset, changes[7].offset);
    for filter in [LogFilter::default(), of_agent.clone(), of("p1"), of("p10")] {
        let error = read(&*store.log, early, &filter).await.unwrap_err();
        let told = (error.kind(), error.reason(), error.field());
        assert_eq!(told, (ErrorKind::OutOfRange, "LOG_PRUNED", Some("after")), "{filter:?}");
    }
    let rest = read(&*store.log, 0, &LogFilter::default()).await.unwrap();
    assert_eq!(plans(&rest.changes), ["waiting", "p19"]);
    assert_eq!(plans(&read(&*store.log, 0, &of_agent).await.unwrap().changes), ["p19"]);
    assert!(read(&*store.log, first, &of("waiting")).await.unwrap().changes.is_empty());
    let newest = changes.last().unwrap().offset;
    assert!(read(&*store.log, newest, &LogFilter::default()).await.unwrap().changes.is_empty());
    store.close.await;
}

/// Stamps the suite.
#[macro_export]
macro_rules! ticket_log_pruning {
    ($fixture:expr) => {
        $crate::stamp!($fixture; ticket_log_pruning:
            what_is_over_goes,
            readers_are_waited_for,
            what_is_gone_is_said,
        );
    };
}
