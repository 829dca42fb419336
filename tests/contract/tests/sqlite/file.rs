//! The database file: how it is opened, who else may have changed it, and what callers learn when it fails.

use hive_application::error::{Effect, ErrorKind};
use hive_application::tickets::LogFilter;
use hive_contract::fixture::TicketFixture;
use hive_contract::samples::{BY, agent, at, dispatch_to, plan, ticket};
use hive_domain::tickets::{Applied, Ticket, TicketStatus};
use hive_sql::{Config, TicketDatabase};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::fixture::SqliteFixture;

async fn beside(fixture: &SqliteFixture) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(fixture.path());
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Without it, every page of a list costs a new plan of the query.
#[tokio::test]
async fn sqlite_does_not_plan_anew_for_every_bound_limit() {
    let fixture = SqliteFixture::new();
    fixture.open().await.close.await;
    let mut connection = beside(&fixture).await;
    let options: Vec<String> =
        sqlx::query_scalar("PRAGMA compile_options").fetch_all(&mut connection).await.unwrap();
    assert!(options.iter().any(|option| option == "ENABLE_QPSG"), "{options:?}");
}

/// A ticket that somebody else changed is decided on as it is now, although the version in memory is older.
#[tokio::test]
async fn a_change_made_elsewhere_is_noticed() {
    let fixture = SqliteFixture::new();
    let store = fixture.open().await;
    let [first, second] = ["a", "b"].map(|task| ticket(&plan("p"), task));
    let ids = [first.id().clone(), second.id().clone()];
    store.repository.create(vec![first, second]).await.unwrap();
    let mut connection = beside(&fixture).await;
    let elsewhere = "UPDATE execution_tickets SET status = 'CANCELLED', version = version + 1";
    sqlx::query(elsewhere).execute(&mut connection).await.unwrap();

    let order = dispatch_to(&agent("w1"));
    let mut seen = Vec::new();
    let mut dispatch = |ticket: &mut Ticket| {
        seen.push(ticket.status());
        ticket.dispatch(order.clone(), at(1), BY)
    };
    let error = store.repository.update(&ids[0], &mut dispatch).await.unwrap_err();
    assert_eq!(error.reason(), "INVALID_TRANSITION");
    assert_eq!(seen, [TicketStatus::Pending, TicketStatus::Cancelled]);
    let mut cancel = |ticket: &mut Ticket| ticket.cancel("too late", at(1), BY);
    let (found, applied) = store.repository.update(&ids[1], &mut cancel).await.unwrap();
    assert_eq!((applied, found.state().error_message.as_deref()), (Applied::AlreadyApplied, None));
    store.close.await;
}

/// What the schema refuses fails alone, whatever is committed with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_schema_refuses_fails_alone() {
    let fixture = SqliteFixture::new();
    let store = fixture.open().await;
    let mut connection = beside(&fixture).await;
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON execution_tickets WHEN NEW.task_id LIKE 'bad%' \
        BEGIN SELECT RAISE(ABORT, 'trapped at a path'); END";
    sqlx::raw_sql(trap).execute(&mut connection).await.unwrap();
    let tasks = (0..64).map(|n| {
        let repository = store.repository.clone();
        let task = if n % 16 == 0 { format!("bad{n}") } else { format!("good{n}") };
        tokio::spawn(async move { (n, repository.create(vec![ticket(&plan("p"), &task)]).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (n, outcome) = task.await.unwrap();
        match outcome {
            Ok(_) => assert_ne!(n % 16, 0),
            Err(error) => {
                assert_eq!((n % 16, error.kind()), (0, ErrorKind::Internal));
                assert_eq!(error.to_string(), "internal error", "no SQL and no path for callers");
            }
        }
    }
    assert_eq!(store.log.end().await.unwrap(), 60);
    store.close.await;
}

/// When the commit itself fails nobody knows what happened; callers are told so, and the next write goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_is_an_unknown_effect() {
    let fixture = SqliteFixture::new();
    let store = fixture.open().await;
    store.repository.create(vec![ticket(&plan("p"), "before")]).await.unwrap();
    let mut connection = beside(&fixture).await;
    // A foreign key that is checked at the commit, and never holds.
    let trap = "CREATE TABLE missing (id integer PRIMARY KEY);
        CREATE TABLE trap (id integer REFERENCES missing (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER spring AFTER INSERT ON ticket_outbox BEGIN INSERT INTO trap VALUES (1); END";
    sqlx::raw_sql(trap).execute(&mut connection).await.unwrap();
    for n in 0..3 {
        let doomed = ticket(&plan("p"), &format!("doomed{n}"));
        let id = doomed.id().clone();
        let error = store.repository.create(vec![doomed]).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert_eq!(store.repository.find(&id).await.unwrap(), None);
    }
    sqlx::raw_sql("DROP TRIGGER spring").execute(&mut connection).await.unwrap();
    store.repository.create(vec![ticket(&plan("p"), "after")]).await.unwrap();
    let page = store.log.read(0, &LogFilter::default(), 10).await.unwrap();
    let tasks: Vec<_> =
        page.changes.iter().map(|change| change.ticket.content.task_id.as_str().to_owned()).collect();
    assert_eq!(
        (tasks, page.read_to),
        (vec!["before".to_owned(), "after".to_owned()], store.log.end().await.unwrap())
    );
    store.close.await;
}

/// After closing, and on a file that is none, callers learn that nothing happened.
#[tokio::test]
async fn an_absent_database_is_unavailable() {
    let fixture = SqliteFixture::new();
    let store = fixture.open().await;
    store.close.await;
    let error = store.repository.create(vec![ticket(&plan("p"), "a")]).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    let error = store.repository.find(ticket(&plan("p"), "a").id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    let file = fixture.path().with_extension("txt");
    std::fs::write(&file, "this is no database, however long it may be: it says so itself").unwrap();
    let error = TicketDatabase::open(&Config::new(&file)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!error.to_string().contains("txt"), "{error}");
}

/// Writes that wait when the database is closed are finished first.
#[tokio::test]
async fn closing_finishes_what_waits() {
    let fixture = SqliteFixture::new();
    let store = fixture.open().await;
    let writes: Vec<_> = (0..100)
        .map(|n| {
            let repository = store.repository.clone();
            tokio::spawn(async move {
                repository.create(vec![ticket(&plan("p"), &format!("t{n}"))]).await.is_ok()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close.await;
    let mut saved = 0;
    for write in writes {
        saved += u64::from(write.await.unwrap());
    }
    let store = fixture.open().await;
    assert_eq!(store.log.end().await.unwrap(), saved, "what was promised, and nothing else");
    store.close.await;
}
