//! The schemas: complete, made once, and never half.

use std::collections::BTreeSet;

use hive_contract::fixture::{AgentFixture, JournalFixture, TicketFixture};
use hive_migration::{MigratorTrait, orchestration, registry, tickets};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr};

use crate::fixture::SqliteFixture;

async fn database(fixture: &SqliteFixture) -> DatabaseConnection {
    Database::connect(format!("sqlite://{}?mode=rwc", fixture.path().display())).await.unwrap()
}

/// Tables and indexes, with their definitions.
async fn objects(database: &DatabaseConnection) -> BTreeSet<String> {
    let query = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS object FROM sqlite_schema";
    let query = sea_orm::Statement::from_string(database.get_database_backend(), query);
    let rows = database.query_all_raw(query).await.unwrap();
    rows.iter().map(|row| row.try_get("", "object").unwrap()).collect()
}

async fn whole<M: MigratorTrait>() -> BTreeSet<String> {
    let fixture = SqliteFixture::new();
    let database = database(&fixture).await;
    hive_migration::apply::<M>(&database).await.unwrap();
    let objects = objects(&database).await;
    hive_migration::apply::<M>(&database).await.unwrap();
    assert_eq!(self::objects(&database).await, objects, "a second run changes nothing");
    objects
}

/// From every state in which a process can have stopped, the next one ends at the whole schema.
async fn is_made_from_any_state<M: MigratorTrait>() {
    let whole = whole::<M>().await;
    let steps = u32::try_from(M::migrations().len()).unwrap();
    for done in 0..=steps {
        let fixture = SqliteFixture::new();
        let database = database(&fixture).await;
        M::up(&database, Some(done)).await.unwrap();
        hive_migration::apply::<M>(&database).await.unwrap();
        assert_eq!(objects(&database).await, whole, "after {done} of {steps} steps");
    }
    for step in M::migrations() {
        assert_eq!(step.use_transaction(), Some(true), "{}: a kill inside must leave nothing", step.name());
    }
}

#[tokio::test]
async fn every_schema_is_made_from_any_state() {
    is_made_from_any_state::<tickets::Schema>().await;
    is_made_from_any_state::<orchestration::Schema>().await;
    is_made_from_any_state::<registry::Schema>().await;
}

/// What a step did before it failed is gone, and it can be run again.
#[tokio::test]
async fn a_failed_step_leaves_nothing() {
    let fixture = SqliteFixture::new();
    let database = database(&fixture).await;
    // The last object that the steps make is there already, so the last step fails at its end.
    database.execute_unprepared("CREATE TABLE log_offsets (consumer text)").await.unwrap();
    let before = objects(&database).await;
    hive_migration::apply::<tickets::Schema>(&database).await.unwrap_err();
    let after = objects(&database).await;
    assert!(!after.iter().any(|object| object.contains("ticket_outbox")), "{after:?}");
    assert!(after.len() > before.len(), "the steps before stay");
    database.execute_unprepared("DROP TABLE log_offsets").await.unwrap();
    hive_migration::apply::<tickets::Schema>(&database).await.unwrap();
    assert_eq!(objects(&database).await, whole::<tickets::Schema>().await);
}

/// An older program does not touch what a newer one made.
#[tokio::test]
async fn a_newer_schema_is_refused() {
    let fixture = SqliteFixture::new();
    let database = database(&fixture).await;
    hive_migration::apply::<tickets::Schema>(&database).await.unwrap();
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_from_the_future', 0)";
    database.execute_unprepared(newer).await.unwrap();
    let error = hive_migration::apply::<tickets::Schema>(&database).await.unwrap_err();
    assert!(matches!(&error, DbErr::Custom(text) if text.contains("m9999_from_the_future")), "{error}");
}

/// The names that readers of the ticket table know.
#[tokio::test]
async fn the_ticket_table_has_the_names_of_the_ticket_schema() {
    let objects = whole::<tickets::Schema>().await;
    let table = objects.iter().find(|object| object.starts_with("table execution_tickets ")).unwrap();
    for name in ["chk_status", "chk_retry_count", "chk_completed_after_started", "assigned_worker", "version"]
    {
        assert!(table.contains(name), "{name} in {table}");
    }
    for name in ["idx_plan_id", "idx_intent_id", "idx_status", "idx_created_at", "idx_status_priority"] {
        assert!(objects.iter().any(|object| object.starts_with(&format!("index {name} "))), "{name}");
    }
    assert!(objects.iter().any(|object| object.starts_with("index uq_ticket_id CREATE UNIQUE")));
}

/// Contexts do not share a database.
#[tokio::test]
async fn a_database_of_another_context_is_refused() {
    let fixture = SqliteFixture::new();
    let (_, close) = AgentFixture::open(&fixture).await;
    close.await;
    assert!(hive_sql::TicketDatabase::open(&fixture.config()).await.is_err());
    let fixture = SqliteFixture::new();
    TicketFixture::open(&fixture).await.close.await;
    assert!(hive_sql::OrchestrationDatabase::open(&fixture.config()).await.is_err());
    let fixture = SqliteFixture::new();
    let (_, close) = JournalFixture::open(&fixture).await;
    close.await;
    assert!(hive_sql::RegistryDatabase::open(&fixture.config()).await.is_err());
}
