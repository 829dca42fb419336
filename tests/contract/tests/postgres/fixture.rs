//! Stores in a database of their own: what one test tells by NOTIFY, no other hears.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hive_application::orchestration::Journal;
use hive_application::registry::AgentRepository;
use hive_contract::fixture::{AgentFixture, JournalFixture, OpenTickets, TicketFixture};
use hive_domain::time::Timestamp;
use hive_sql::{Config, OrchestrationDatabase, RegistryDatabase, Server, TicketDatabase};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A database of the server, dropped at the end.
pub(crate) struct PostgresFixture {
    server: String,
    name: String,
    /// How long a reader waits for what is committed. Long: making the databases of other tests holds up the log, which a
    /// slow disk draws out.
    pub(crate) patience: Duration,
}

impl PostgresFixture {
    /// A new database; none where there is no server.
    pub(crate) async fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(server) = env::var_os(hive_postgres::URL) else {
            assert!(env::var_os("CI").is_none(), "{} names no server", hive_postgres::URL);
            return None;
        };
        // The server may be one that lives on.
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let name = format!("contract_{moment}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let fixture = PostgresFixture {
            server: server.into_string().unwrap(),
            name,
            patience: Duration::from_secs(30),
        };
        let mut connection = PgConnection::connect(&fixture.server).await.unwrap();
        let create = format!("CREATE DATABASE {}", fixture.name);
        sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        Some(fixture)
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> (String, u16) {
        let options: PgConnectOptions = self.server.parse().unwrap();
        (options.get_host().to_owned(), options.get_port())
    }

    /// The URL of the database by way of another port of this host.
    pub(crate) fn url_by(&self, port: u16) -> String {
        let options: PgConnectOptions = self.server.parse().unwrap();
        format!("postgres://{}@127.0.0.1:{port}/{}?sslmode=disable", options.get_username(), self.name)
    }

    /// A name nobody else has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Little is kept in memory, so that the other way is taken often.
    pub(crate) fn config(&self) -> Config {
        let server = Server::from_url(&self.url()).unwrap();
        // Calls fail fast when the server is away; here it is only busy.
        let acquire = Duration::from_secs(60);
        Config { hot_tickets: 16, patience: self.patience, acquire, ..Config::postgres(server) }
    }

    /// A connection beside the store.
    pub(crate) async fn beside(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for PostgresFixture {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await.unwrap();
                sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
            });
        });
        // A test that failed has said why.
        let _ = dropped.join();
    }
}

#[async_trait]
impl TicketFixture for PostgresFixture {
    async fn open(&self) -> OpenTickets {
        let database = TicketDatabase::open(&self.config()).await.unwrap();
        OpenTickets {
            repository: database.repository(),
            log: database.log(),
            close: async move { database.close().await.unwrap() }.boxed(),
        }
    }

    async fn prune(&self, before: Timestamp) -> u64 {
        let database = TicketDatabase::open(&self.config()).await.unwrap();
        let records = database.prune(before).await.unwrap();
        database.close().await.unwrap();
        records
    }
}

#[async_trait]
impl JournalFixture for PostgresFixture {
    async fn open(&self) -> (Arc<dyn Journal>, BoxFuture<'static, ()>) {
        let database = OrchestrationDatabase::open(&self.config()).await.unwrap();
        (database.journal(), async move { database.close().await.unwrap() }.boxed())
    }

    async fn prune(&self, before: Timestamp) -> u64 {
        let database = OrchestrationDatabase::open(&self.config()).await.unwrap();
        let records = database.prune(before).await.unwrap();
        database.close().await.unwrap();
        records
    }
}

#[async_trait]
impl AgentFixture for PostgresFixture {
    async fn open(&self) -> (Arc<dyn AgentRepository>, BoxFuture<'static, ()>) {
        let database = RegistryDatabase::open(&self.config()).await.unwrap();
        (database.repository(), async move { database.close().await.unwrap() }.boxed())
    }
}
