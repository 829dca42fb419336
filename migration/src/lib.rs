//! Schema of every context, one step a file, each step in a transaction.
//!
//! Contexts never share a database, so each has a migrator of its own: [`tickets::Schema`], [`orchestration::Schema`],
//! [`registry::Schema`].
//!
//! # To add a step
//!
//! 1. A new file `m0000_<what_it_does>.rs` with the next number in the context's folder. A step that was released is
//!    never edited.
//! 2. `use_transaction` answers `Some(true)`: SQLite runs steps without a transaction otherwise, and a process killed
//!    in the middle would leave a half-made schema that no later start can repair. The row that remembers the step is
//!    written inside the same transaction.
//! 3. Its line in `migrations()` of the context's `mod.rs`.
//!
//! Statements are built, not written, so that SQLite and PostgreSQL each get their own words. How a moment or a JSON
//! value is stored is decided in `columns.rs`.

mod columns;
pub mod orchestration;
pub mod registry;
pub mod tickets;

use std::collections::BTreeSet;

use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

pub use sea_orm_migration::MigratorTrait;

/// Brings a database to the newest schema. Costs one query when it is there already.
///
/// Fails when a step fails, which leaves the steps before it in place, and when the database remembers a step that
/// this program does not know: a newer program made it.
pub async fn apply<M: MigratorTrait>(database: &DatabaseConnection) -> Result<(), DbErr> {
    let known: BTreeSet<String> = M::migrations().iter().map(|step| step.name().to_owned()).collect();
    // A database without any schema has no such table; what else may be wrong shows in the next lines.
    match applied(database).await {
        Ok(applied) if applied == known => Ok(()),
        _ => M::up(database, None).await,
    }
}

async fn applied(database: &DatabaseConnection) -> Result<BTreeSet<String>, DbErr> {
    let query =
        Statement::from_string(database.get_database_backend(), "SELECT version FROM seaql_migrations");
    let rows = database.query_all_raw(query).await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}
