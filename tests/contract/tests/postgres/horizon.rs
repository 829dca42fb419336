//! The log where several processes write: whatever order they commit in, a follower sees every change once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hive_application::tickets::{LogFilter, TicketLog, TicketRepository};
use hive_contract::fixture::TicketFixture;
use hive_contract::samples::{BY, at, content, plan, ticket};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Ticket, TicketChange};
use hive_sql::TicketDatabase;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::watch;

use crate::scratch;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Follows the log until it told `count` changes.
async fn follow(log: Arc<dyn TicketLog>, count: usize, limit: usize) -> Vec<Arc<TicketChange>> {
    let (mut changes, mut after): (Vec<Arc<TicketChange>>, u64) = (Vec::new(), 0);
    let following = async {
        while changes.len() < count {
            let next = log.listen();
            let page = log.read(after, &LogFilter::default(), limit).await.unwrap();
            assert!(page.changes.iter().all(|change| change.offset > after && change.offset <= page.read_to));
            changes.extend(page.changes);
            if page.read_to == after {
                next.await;
            }
            after = page.read_to;
        }
    };
    tokio::time::timeout(LIMIT, following).await.expect("the whole log is told");
    changes
}

/// A writer of another kind: inserts records as the adapter numbers them, in transactions that stay open for a while or
/// are rolled back, so that commits come in another order than numbers.
async fn disturb(mut connection: PgConnection, id: TicketId, payload: String, writer: usize) -> usize {
    let insert = format!(
        "INSERT INTO ticket_outbox (id, ticket_id, plan_id, action, agent, at, payload) \
        SELECT (SELECT base FROM outbox_base) + (pg_current_xact_id()::text::bigint << 20) + $1, \
        '{id}', 'other', 'created', NULL, 0, $2"
    );
    let mut written = 0;
    for round in 0..30_usize {
        let mut transaction = connection.begin().await.unwrap();
        for place in 1..=1 + (round + writer) % 3 {
            let query = sqlx::query(AssertSqlSafe(insert.as_str())).bind(i64::try_from(place).unwrap());
            query.bind(&payload).execute(&mut *transaction).await.unwrap();
        }
        // The server waits, not the test: others begin and commit meanwhile.
        let wait = format!("SELECT pg_sleep({})", 0.001 * ((round * 7 + writer * 3) % 10) as f64);
        transaction.execute(AssertSqlSafe(wait)).await.unwrap();
        if (round + writer).is_multiple_of(5) {
            transaction.rollback().await.unwrap();
        } else {
            transaction.execute("NOTIFY hive_tickets").await.unwrap();
            transaction.commit().await.unwrap();
            written += 1 + (round + writer) % 3;
        }
    }
    written
}

const TICKETS: usize = 60;

/// Writes through the port, and tells how many changes it made.
async fn lives(repository: Arc<dyn TicketRepository>, caller: String) -> usize {
    for n in 0..TICKETS {
        let name = format!("{caller}-{n}");
        repository.create(vec![ticket(&plan("p"), &name)]).await.unwrap();
        let id = content(&plan("p"), &name).ticket_id;
        let mut cancel = |ticket: &mut Ticket| ticket.cancel("enough", at(1), BY);
        repository.update(&id, &mut cancel).await.unwrap();
    }
    2 * TICKETS
}

/// Follows the log until it told as many changes as the writers, when they are done, say there are.
async fn follow_writers(
    log: Arc<dyn TicketLog>,
    limit: usize,
    mut written: watch::Receiver<Option<usize>>,
) -> Vec<Arc<TicketChange>> {
    let (mut changes, mut after) = (Vec::new(), 0);
    loop {
        let next = log.listen();
        let page = log.read(after, &LogFilter::default(), limit).await.unwrap();
        changes.extend(page.changes);
        let count = *written.borrow_and_update();
        if count.is_some_and(|count| changes.len() >= count) {
            return changes;
        }
        if page.read_to == after {
            tokio::select! { () = next => {}, changed = written.changed() => drop(changed) }
        }
        after = page.read_to;
    }
}

/// INV-6. Two processes and six strangers write at once, some slowly, some in vain; followers in both processes, with
/// small pages and large ones, see every record exactly once and in the same order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_are_followed_without_loss() {
    let fixture = scratch!();
    let stores = [fixture.open().await, fixture.open().await];
    let seed = ticket(&plan("other"), "seed");
    let id = seed.id().clone();
    stores[0].repository.create(vec![seed]).await.unwrap();
    let mut beside = fixture.beside().await;
    let payload: String =
        sqlx::query_scalar("SELECT payload FROM ticket_outbox").fetch_one(&mut beside).await.unwrap();

    let mut writers = Vec::new();
    for (n, store) in stores.iter().enumerate() {
        for caller in 0..4 {
            writers.push(tokio::spawn(lives(Arc::clone(&store.repository), format!("{n}-{caller}"))));
        }
    }
    for writer in 0..6 {
        let connection = fixture.beside().await;
        writers.push(tokio::spawn(disturb(connection, id.clone(), payload.clone(), writer)));
    }
    let (tell, written) = watch::channel(None);
    let followers = [(0, 1), (0, 7), (1, 64), (1, 1_000)].map(|(store, limit): (usize, usize)| {
        tokio::spawn(follow_writers(Arc::clone(&stores[store].log), limit, written.clone()))
    });
    let mut count = 1;
    for writer in writers {
        count += writer.await.unwrap();
    }
    tell.send(Some(count)).unwrap();
    let mut whole: Option<Vec<Arc<TicketChange>>> = None;
    for follower in followers {
        let seen = tokio::time::timeout(LIMIT, follower).await.expect("everything is told").unwrap();
        assert_eq!(seen.len(), count);
        assert!(seen.windows(2).all(|pair| pair[0].offset < pair[1].offset), "in order, none twice");
        assert!(*whole.get_or_insert_with(|| seen.clone()) == seen, "the same for everybody");
    }
    let mut versions: BTreeMap<TicketId, u64> = BTreeMap::new();
    for change in whole.unwrap().iter().filter(|change| change.ticket.content.plan_id == plan("p")) {
        let version = versions.entry(change.ticket.content.ticket_id.clone()).or_default();
        *version += 1;
        assert_eq!(change.ticket.version, *version, "changes of one ticket come in their order");
    }
    assert_eq!(versions.len(), 2 * 4 * TICKETS);
    for store in stores {
        store.close.await;
    }
}

/// A record that was numbered early and is committed late holds back those after it, and is told before them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_transaction_is_waited_for() {
    let mut fixture = scratch!();
    fixture.patience = Duration::from_secs(1);
    let store = fixture.open().await;
    store.repository.create(vec![ticket(&plan("p"), "first")]).await.unwrap();
    let start = store.log.end().await.unwrap();
    let mut slow = fixture.beside().await;
    let mut transaction = slow.begin().await.unwrap();
    let copy = "INSERT INTO ticket_outbox (id, ticket_id, plan_id, action, agent, at, payload) \
        SELECT (pg_current_xact_id()::text::bigint << 20) + 1, ticket_id, plan_id, action, agent, at, payload \
        FROM ticket_outbox";
    transaction.execute(copy).await.unwrap();
    for n in 0..3 {
        store.repository.create(vec![ticket(&plan("p"), &format!("later {n}"))]).await.unwrap();
    }
    let page = store.log.read(start, &LogFilter::default(), 10).await.unwrap();
    assert_eq!((page.changes.len(), page.read_to), (0, start), "nothing beyond the open transaction");
    let next = store.log.listen();
    // Nobody is told of this one: the log is looked at again because there is something to wait for.
    transaction.commit().await.unwrap();
    tokio::time::timeout(LIMIT, next).await.expect("the log goes on");
    let seen = follow(Arc::clone(&store.log), 5, 10).await;
    let tasks: Vec<_> = seen.iter().map(|change| change.ticket.content.task_id.as_str()).collect();
    assert_eq!(tasks, ["first", "first", "later 0", "later 1", "later 2"]);
    store.close.await;
}

/// In a server into which the data was copied, transactions are counted anew: the log goes on above its old end.
#[tokio::test]
async fn the_log_of_another_server_goes_on() {
    let fixture = scratch!();
    let store = fixture.open().await;
    store.repository.create(vec![ticket(&plan("p"), "old")]).await.unwrap();
    store.close.await;
    let mut beside = fixture.beside().await;
    // As if the old server had counted far further than this one.
    beside.execute("UPDATE ticket_outbox SET id = id + (1::bigint << 50)").await.unwrap();
    let stores = [fixture.open().await, fixture.open().await];
    let old = stores[0].log.end().await.unwrap();
    assert!(old > 1 << 50);
    for (store, task) in stores.iter().zip(["new", "newer"]) {
        store.repository.create(vec![ticket(&plan("p"), task)]).await.unwrap();
    }
    for store in stores {
        let seen = follow(Arc::clone(&store.log), 3, 10).await;
        let tasks: Vec<_> = seen.iter().map(|change| change.ticket.content.task_id.as_str()).collect();
        assert_eq!(tasks, ["old", "new", "newer"]);
        assert!(seen[1].offset > old);
        store.close.await;
    }
}

/// An idle log asks the database nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_who_keep_up_cost_no_query() {
    let fixture = scratch!();
    let database = TicketDatabase::open(&fixture.config()).await.unwrap();
    let (repository, log) = (database.repository(), database.log());
    repository.create(vec![ticket(&plan("p"), "a")]).await.unwrap();
    let end = follow(Arc::clone(&log), 1, 10).await[0].offset;
    let mut beside = fixture.beside().await;
    // The listener is there once a notification of somebody else comes through.
    let next = log.listen();
    let copy = "INSERT INTO ticket_outbox (id, ticket_id, plan_id, action, agent, at, payload) \
        SELECT (pg_current_xact_id()::text::bigint << 20) + 1, ticket_id, plan_id, action, agent, at, payload \
        FROM ticket_outbox";
    let mut transaction = beside.begin().await.unwrap();
    transaction.execute(copy).await.unwrap();
    transaction.execute("NOTIFY hive_tickets").await.unwrap();
    transaction.commit().await.unwrap();
    tokio::time::timeout(LIMIT, next).await.expect("the other's record is told");
    let end = follow(Arc::clone(&log), 2, 10).await.last().unwrap().offset.max(end);
    // Without its table every query fails.
    beside.execute("ALTER TABLE ticket_outbox RENAME TO away").await.unwrap();
    for _ in 0..100 {
        let page = log.read(end, &LogFilter::default(), 10).await.unwrap();
        assert_eq!((page.changes.len(), page.read_to), (0, end));
    }
    beside.execute("ALTER TABLE away RENAME TO ticket_outbox").await.unwrap();
    database.close().await.unwrap();
}
