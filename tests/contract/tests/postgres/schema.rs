//! The schemas: made once, whoever comes first, from any state.

use futures_util::future::join_all;
use hive_application::error::ErrorKind;
use hive_contract::fixture::{AgentFixture, JournalFixture, TicketFixture};
use hive_contract::samples::{plan, ticket};
use hive_migration::{MigratorTrait, orchestration, registry, tickets};
use hive_sql::{Config, OrchestrationDatabase, RegistryDatabase, Server, TicketDatabase};
use sea_orm::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scratch;

/// Ten processes start at once on an empty database: each of them works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_starts_at_once_make_one_schema() {
    let fixture = scratch!();
    let starts = (0..10).map(|n| {
        let config = fixture.config();
        tokio::spawn(async move {
            let database = TicketDatabase::open(&config).await.unwrap();
            database.repository().create(vec![ticket(&plan("p"), &format!("t{n}"))]).await.unwrap();
            database
        })
    });
    let databases: Vec<_> = join_all(starts.collect::<Vec<_>>()).await;
    for database in databases {
        database.unwrap().close().await.unwrap();
    }
    let mut beside = fixture.beside().await;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ticket_history").fetch_one(&mut beside).await.unwrap();
    assert_eq!(count, 10);
}

async fn is_made_from_any_state<M: MigratorTrait>() {
    for done in 0..=u32::try_from(M::migrations().len()).unwrap() {
        let fixture = scratch!();
        let database = Database::connect(fixture.url()).await.unwrap();
        M::up(&database, Some(done)).await.unwrap();
        hive_migration::apply::<M>(&database).await.unwrap();
        hive_migration::apply::<M>(&database).await.unwrap();
        let mut beside = fixture.beside().await;
        let steps: i64 =
            sqlx::query_scalar("SELECT count(*) FROM seaql_migrations").fetch_one(&mut beside).await.unwrap();
        assert_eq!(usize::try_from(steps).unwrap(), M::migrations().len());
        database.close().await.unwrap();
    }
}

#[tokio::test]
async fn every_schema_is_made_from_any_state() {
    is_made_from_any_state::<tickets::Schema>().await;
    is_made_from_any_state::<orchestration::Schema>().await;
    is_made_from_any_state::<registry::Schema>().await;
}

/// Contexts do not share a database.
#[tokio::test]
async fn a_database_of_another_context_is_refused() {
    let fixture = scratch!();
    let (_, close) = AgentFixture::open(&fixture).await;
    close.await;
    assert!(TicketDatabase::open(&fixture.config()).await.is_err());
    let fixture = scratch!();
    TicketFixture::open(&fixture).await.close.await;
    assert!(OrchestrationDatabase::open(&fixture.config()).await.is_err());
    let fixture = scratch!();
    let (_, close) = JournalFixture::open(&fixture).await;
    close.await;
    assert!(RegistryDatabase::open(&fixture.config()).await.is_err());
}

/// Where nobody listens, opening may be tried again; where somebody refuses, it may not. Neither says password, user or SQL.
#[tokio::test]
async fn an_absent_database_is_told_from_one_that_refuses() {
    let fixture = scratch!();
    let url = fixture.url();
    let (_, server) = url.split_once('@').unwrap();
    let cases = [
        (url.replace(fixture.name(), "no_such_database"), ErrorKind::FailedPrecondition, "no such database"),
        (format!("postgres://somebody:s3cret@{server}"), ErrorKind::FailedPrecondition, "refuses the user"),
        ("postgres://somebody:s3cret@127.0.0.1:1/nothing".to_owned(), ErrorKind::Unavailable, ""),
    ];
    for (url, kind, told) in cases {
        let config = Config::postgres(Server::from_url(&url).unwrap());
        let error = TicketDatabase::open(&config).await.unwrap_err();
        let chain = hive_application::error::chain(&error);
        assert_eq!(error.kind(), kind, "{chain}");
        assert!(chain.contains(told), "{chain}");
        let shown = format!("{chain} {error:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("somebody"), "{shown}");
    }
}

/// Whoever demands TLS sends nothing in clear to a server that has none, not even a user's name.
#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut sent = Vec::new();
        let (mut client, _) = listener.accept().await.unwrap();
        let mut asked = [0; 8];
        client.read_exact(&mut asked).await.unwrap();
        client.write_all(b"N").await.unwrap();
        client.read_to_end(&mut sent).await.unwrap();
        (asked, sent)
    });
    let url = format!("postgres://somebody:s3cret@127.0.0.1:{port}/tickets?sslmode=require");
    let error = TicketDatabase::open(&Config::postgres(Server::from_url(&url).unwrap())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    // SSLRequest: its length and its code, as "Message Formats" of the server's manual has them.
    let (asked, sent) = server.await.unwrap();
    assert_eq!((asked, sent), ([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f], Vec::new()));
}
