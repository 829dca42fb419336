//! The suite of `TicketLog`. A fixture should keep only a few changes in memory, so that both sources are read.

use std::sync::Arc;

use hive_application::error::ErrorKind;
use hive_application::tickets::{LogFilter, TicketLog, TicketRepository};
use hive_domain::ids::AgentId;
use hive_domain::tickets::{Ticket, TicketAction, TicketChange, TicketStatus};

use crate::fixture::TicketFixture;
use crate::samples::{BY, agent, at, content, plan, ticket};
use crate::ticket_races::whole_log;
use crate::ticket_repository::{created, run};

/// Changes come in the order they were made, each with the ticket right after it.
pub async fn tells_changes_in_order(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    assert_eq!(store.log.end().await.unwrap(), 0);
    let id = created(&*store.repository, ticket(&plan("p"), "a")).await.id().clone();
    run(&*store.repository, &id, "w1", &[TicketStatus::Running, TicketStatus::Completed]).await;
    let changes = whole_log(&*store.log).await;
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.event.action, change.ticket.state.status, change.ticket.version))
        .collect();
    assert_eq!(
        told,
        [
            (TicketAction::Created, TicketStatus::Pending, 1),
            (TicketAction::Dispatched, TicketStatus::Running, 2),
            (TicketAction::Started, TicketStatus::Running, 3),
            (TicketAction::Completed, TicketStatus::Completed, 4),
        ]
    );
    assert!(changes[2].ticket.state.completed_at.is_none());
    assert_eq!(changes.last().map(|change| change.offset), Some(store.log.end().await.unwrap()));
    let found = store.repository.find(&id).await.unwrap().unwrap();
    assert_eq!(changes[3].ticket, found.snapshot());
    store.close.await;
}

/// A filter lets through what it says, and reading moves on where it lets nothing through.
pub async fn filters_by_plan_and_agent(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    for n in 0..40 {
        let plan = plan(if n % 2 == 0 { "even" } else { "odd" });
        let id = created(&*store.repository, ticket(&plan, &format!("t{n}"))).await.id().clone();
        if n % 4 == 0 {
            run(&*store.repository, &id, "w1", &[]).await;
        }
    }
    let end = store.log.end().await.unwrap();
    let read = async |filter: LogFilter| {
        let (mut after, mut changes) = (0, Vec::new());
        while after < end {
            let page = store.log.read(after, &filter, 3).await.unwrap();
            assert!(page.read_to > after, "reading moves on");
            assert!(page.changes.len() <= 3);
            after = page.read_to;
            changes.extend(page.changes);
        }
        assert!(changes.iter().all(|change| filter.matches(change)));
        changes.len()
    };
    let by_plan = |name| LogFilter { plan_id: Some(plan(name)), agent_id: None };
    let by_agent = |name| LogFilter { plan_id: None, agent_id: Some(agent(name)) };
    assert_eq!(read(by_plan("even")).await, 30);
    assert_eq!(read(by_plan("odd")).await, 20);
    assert_eq!(read(by_plan("none")).await, 0);
    assert_eq!(read(by_agent("w1")).await, 10);
    assert_eq!(read(LogFilter { plan_id: Some(plan("odd")), agent_id: Some(agent("w1")) }).await, 0);
    store.close.await;
}

/// Whoever listens before reading in vain is woken by the next commit.
pub async fn wakes_those_who_listen(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let log = Arc::clone(&store.log);
    let next = log.listen();
    assert!(log.read(0, &LogFilter::default(), 10).await.unwrap().changes.is_empty());
    let waiting = tokio::spawn(async move {
        next.await;
        log.read(0, &LogFilter::default(), 10).await.unwrap().changes.len()
    });
    created(&*store.repository, ticket(&plan("p"), "a")).await;
    assert_eq!(waiting.await.unwrap(), 1);
    store.close.await;
}

/// Follows the log from `after` on until it told `count` changes, in pages of `limit`.
async fn follow(
    log: Arc<dyn TicketLog>,
    mut after: u64,
    limit: usize,
    count: usize,
) -> Vec<Arc<TicketChange>> {
    let mut changes: Vec<Arc<TicketChange>> = Vec::new();
    loop {
        let next = log.listen();
        let page = log.read(after, &LogFilter::default(), limit).await.unwrap();
        changes.extend(page.changes);
        if changes.len() >= count {
            return changes;
        }
        if page.read_to == after {
            next.await;
        }
        after = page.read_to;
    }
}

async fn lives(repository: Arc<dyn TicketRepository>, from: usize) {
    for n in from..from + 25 {
        let id = created(&*repository, ticket(&plan("p"), &format!("t{n}"))).await.id().clone();
        run(&*repository, &id, "w1", &[TicketStatus::Running, TicketStatus::Completed]).await;
    }
}

/// INV-6. From every offset, at every page size, while others write: nothing is lost and nothing comes twice.
pub async fn is_followed_without_loss(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    const CHANGES: usize = 4 * 25 * 4;
    let writers: Vec<_> =
        (0..4).map(|n| tokio::spawn(lives(Arc::clone(&store.repository), n * 25))).collect();
    let readers: Vec<_> = [1, 2, 7, 64, 1_000]
        .map(|limit| tokio::spawn(follow(Arc::clone(&store.log), 0, limit, CHANGES)))
        .into_iter()
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all = whole_log(&*store.log).await;
    assert_eq!(all.len(), CHANGES);
    assert!(all.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    for reader in readers {
        assert_eq!(reader.await.unwrap(), all);
    }
    for (seen, limit) in (1..CHANGES).step_by(13).zip([1, 3, 50].into_iter().cycle()) {
        let rest = follow(Arc::clone(&store.log), all[seen - 1].offset, limit, CHANGES - seen).await;
        assert!(rest == all[seen..], "after {seen} changes in pages of {limit}");
    }
    store.close.await;

    // What came from memory and what comes from disk is the same.
    let store = fixture.open().await;
    assert_eq!(store.log.end().await.unwrap(), all[CHANGES - 1].offset);
    assert_eq!(whole_log(&*store.log).await, all);
    created(&*store.repository, ticket(&plan("p"), "one more")).await;
    assert_eq!(whole_log(&*store.log).await.len(), all.len() + 1);
    store.close.await;
}

/// Places of readers are kept, each for itself, and never go back.
pub async fn remembers_how_far_readers_came(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    assert_eq!(store.log.committed("a").await.unwrap(), 0);
    for offset in [3, 9, 4] {
        store.log.commit("a", offset).await.unwrap();
    }
    store.log.commit("b", 1).await.unwrap();
    let commits = (0..50_u64).map(|offset| {
        let log = Arc::clone(&store.log);
        tokio::spawn(async move { log.commit("crowded", offset).await.unwrap() })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap();
    }
    store.close.await;
    let store = fixture.open().await;
    for (consumer, offset) in [("a", 9), ("b", 1), ("crowded", 49), ("c", 0)] {
        assert_eq!(store.log.committed(consumer).await.unwrap(), offset, "{consumer}");
    }
    assert_eq!(store.log.end().await.unwrap(), 0, "places are no changes");
    store.close.await;
}

/// A reader may be called by the longest id there is, with what names its kind before it; a name beyond all bounds is
/// refused by the name of the field.
pub async fn a_reader_may_have_a_long_name(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let consumer = format!("agent:{}", "é".repeat(AgentId::MAX_CHARS));
    store.log.commit(&consumer, 7).await.unwrap();
    assert_eq!(store.log.committed(&consumer).await.unwrap(), 7);
    let error = store.log.commit(&"x".repeat(10_000), 7).await.unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::InvalidArgument, Some("consumer")));
    store.close.await;
}

/// A ticket's content comes with every change of it, also with one made long ago.
pub async fn changes_carry_what_the_ticket_asks_for(fixture: &impl TicketFixture) {
    let store = fixture.open().await;
    let id = created(&*store.repository, ticket(&plan("p"), "first")).await.id().clone();
    lives(Arc::clone(&store.repository), 0).await;
    let mut cancel = |ticket: &mut Ticket| ticket.cancel("é \"quoted\"", at(9), BY);
    store.repository.update(&id, &mut cancel).await.unwrap();
    let changes = whole_log(&*store.log).await;
    let expected = content(&plan("p"), "first");
    for change in [&changes[0], changes.last().unwrap()] {
        assert_eq!(*change.ticket.content, expected);
    }
    assert_eq!(changes.last().unwrap().ticket.state.error_message.as_deref(), Some("é \"quoted\""));
    store.close.await;
}

/// Stamps the suite.
#[macro_export]
macro_rules! ticket_log {
    ($fixture:expr) => {
        $crate::stamp!($fixture; ticket_log:
            tells_changes_in_order,
            filters_by_plan_and_agent,
            wakes_those_who_listen,
            is_followed_without_loss,
            remembers_how_far_readers_came,
            a_reader_may_have_a_long_name,
            changes_carry_what_the_ticket_asks_for,
        );
    };
}
