//! A server that goes away, with a word or without, or that is another one when it comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hive_application::error::{Effect, ErrorKind};
use hive_application::tickets::{LogFilter, TicketLog};
use hive_contract::fixture::{OpenTickets, TicketFixture};
use hive_contract::samples::{agent, announcement, at, plan, ticket};
use hive_domain::registry::{Agent, AgentType, RegistrationToken, TokenHash};
use hive_sql::{Config, RegistryDatabase, Server, TicketDatabase};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::scratch;
use crate::way::Way;

/// Longer than anything here takes: a query may be met on its way, and then waits for its own limit.
const LIMIT: Duration = Duration::from_secs(60);

/// Follows the log until it told `count` changes, through failures.
async fn follow(log: Arc<dyn TicketLog>, count: usize) {
    let (mut told, mut after) = (0, 0);
    while told < count {
        let next = log.listen();
        match log.read(after, &LogFilter::default(), 100).await {
            Ok(page) => {
                told += page.changes.len();
                if page.read_to == after {
                    next.await;
                }
                after = page.read_to;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
        }
    }
}

/// A host that vanished closes no connection. What others commit is told all the same, soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_noticed() {
    let fixture = scratch!();
    let way = Way::to(&fixture).await;
    let config = Config::postgres(Server::from_url(&way.url).unwrap());
    let config = Config { silence: Duration::from_millis(200), ..config };
    let database = TicketDatabase::open(&config).await.unwrap();
    let other = TicketFixture::open(&fixture).await;
    for (count, task) in ["heard", "heard again", "not heard"].into_iter().enumerate() {
        if task == "not heard" {
            way.silence();
        }
        let following = tokio::spawn(follow(database.log(), count + 1));
        other.repository.create(vec![ticket(&plan("p"), task)]).await.unwrap();
        tokio::time::timeout(LIMIT, following).await.expect("the other's record is told").unwrap();
    }
    way.cut();
    other.close.await;
}

/// While the server is away, callers who waited for one attempt do not wait for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_fails_at_once() {
    let fixture = scratch!();
    let way = Way::to(&fixture).await;
    let database =
        TicketDatabase::open(&Config::postgres(Server::from_url(&way.url).unwrap())).await.unwrap();
    let (mut holder, mut beside) = (fixture.beside().await, fixture.beside().await);
    let mut transaction = holder.begin().await.unwrap();
    transaction.execute("LOCK TABLE ticket_outbox IN EXCLUSIVE MODE").await.unwrap();
    let callers: Vec<_> = (0..2_000)
        .map(|n| {
            let repository = database.repository();
            tokio::spawn(async move { repository.create(vec![ticket(&plan("p"), &format!("t{n}"))]).await })
        })
        .collect();
    // The first batch waits for the lock.
    let waiting = "SELECT count(*), pg_sleep(0.02)::text FROM pg_locks WHERE NOT granted \
        AND relation = 'ticket_outbox'::regclass";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut beside).await.unwrap() == 0 {}
    way.cut();
    let begun = Instant::now();
    for caller in join_all(callers).await {
        assert_eq!(caller.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    // It takes about a second; this is for a machine that does much else.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// A connection that answers and refuses, as on a server that became a standby, is not kept.
#[tokio::test]
async fn a_connection_that_cannot_write_is_replaced() {
    let fixture = scratch!();
    // With one connection to read, it is known which one is met.
    let database =
        RegistryDatabase::open(&Config { readers: 1, acquire: Duration::from_secs(1), ..fixture.config() })
            .await
            .unwrap();
    let repository = database.repository();
    let mut beside = fixture.beside().await;
    let set = |to| format!("ALTER DATABASE {} {to} default_transaction_read_only", fixture.name());
    beside.execute(AssertSqlSafe(format!("{} = on", set("SET")))).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    beside.execute(cut).await.unwrap();
    let (worker, announced) = (agent("w1"), announcement("n", AgentType::Worker));
    let write = async || {
        let mut register = |_: Option<Agent>| {
            let token = TokenHash::of(&RegistrationToken::new("t"));
            Ok(Agent::register(worker.clone(), announced.clone(), token, at(1)))
        };
        repository.update(&worker, &mut register).await
    };
    let error = write().await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    beside.execute(AssertSqlSafe(set("RESET"))).await.unwrap();
    write().await.expect("the next connection can write");
    // The columns of what was prepared are not those of the table any more.
    repository.find(&worker).await.unwrap();
    beside.execute("ALTER TABLE agents ALTER COLUMN namespace TYPE text").await.unwrap();
    repository.find(&worker).await.expect_err("prepared for what is gone");
    assert!(repository.find(&worker).await.unwrap().is_some());
    database.close().await.unwrap();
}

/// Creates a ticket, and tells the offset of its change.
async fn next(store: &OpenTickets, task: &str) -> u64 {
    loop {
        match store.repository.create(vec![ticket(&plan("p"), task)]).await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        }
    }
    loop {
        match store.log.end().await {
            Ok(end) => return end,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        }
    }
}

/// A server that is not the one the base is meant for may give numbers anew that readers have passed: those of the
/// records it lost, which only the places of readers still tell of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_goes_on_above_what_was_lost() {
    let fixture = scratch!();
    let store = TicketFixture::open(&fixture).await;
    let first = next(&store, "first").await;
    let mut beside = fixture.beside().await;
    // Processes live on, connections do not.
    beside.execute("UPDATE outbox_base SET origin = 'another/00000001'").await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    beside.execute(cut).await.unwrap();
    let second = next(&store, "second").await;
    assert!(second - first > 1 << 43, "{first} {second}");
    store.log.commit("reader", second + (1 << 30)).await.unwrap();
    store.log.commit("nonsense", u64::MAX >> 1).await.unwrap();
    store.close.await;
    let store = TicketFixture::open(&fixture).await;
    let third = next(&store, "third").await;
    assert!(third > second + (1 << 30) && third < second + (1 << 43), "{second} {third}");
    store.close.await;
}

/// However many follow, one asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_followers_asks_once() {
    let fixture = scratch!();
    let config = Config { readers: 1, ..Config::postgres(Server::from_url(&fixture.url()).unwrap()) };
    let database = TicketDatabase::open(&config).await.unwrap();
    let other = TicketFixture::open(&fixture).await;
    const CHANGES: usize = 50;
    let followers: Vec<_> = (0..200).map(|_| tokio::spawn(follow(database.log(), CHANGES))).collect();
    for n in 0..CHANGES {
        other.repository.create(vec![ticket(&plan("p"), &format!("t{n}"))]).await.unwrap();
    }
    for follower in followers {
        tokio::time::timeout(LIMIT, follower).await.expect("everything is told").unwrap();
    }
    database.close().await.unwrap();
    other.close.await;
    let mut beside = fixture.beside().await;
    let scans = "SELECT (coalesce(seq_scan, 0) + coalesce(idx_scan, 0))::bigint FROM pg_stat_user_tables \
        WHERE relname = 'ticket_outbox'";
    let scans: i64 = sqlx::query_scalar(scans).fetch_one(&mut beside).await.unwrap();
    // A follower of its own each would come to some ten thousand.
    assert!(scans < 5_000, "{scans} scans");
}
