//! The column types the schemas share, so that each choice is made once.

use sea_orm_migration::sea_orm::{DbBackend, DbErr};
use sea_orm_migration::sea_query::{ColumnDef, Index, IndexCreateStatement, IndexOrder, Query, Table};
use sea_orm_migration::{SchemaManager, sea_query::Expr};

/// A number that the database counts up and never gives twice.
pub(crate) fn serial(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().auto_increment().primary_key().take()
}

/// The number of a record of an outbox: counted up on SQLite, given by its writer on PostgreSQL.
pub(crate) fn record(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    match manager.get_database_backend() {
        DbBackend::Postgres => ColumnDef::new(name).big_integer().not_null().primary_key().take(),
        _ => serial(name),
    }
}

/// What the numbers of an outbox start from on PostgreSQL, where they are made of transaction ids: those begin anew in a
/// server into which the data was copied. The origin is the server and the timeline of its data that the base is meant for.
pub(crate) async fn outbox_base(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let table = Table::create()
        .table("outbox_base")
        .col(ColumnDef::new("id").integer().not_null().primary_key())
        .col(bigint("base"))
        .col(text_null("origin"))
        .take();
    manager.create_table(table).await?;
    one_row(manager, "outbox_base", "base").await
}

/// How far records were taken out of an outbox.
pub(crate) async fn outbox_floor(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("outbox_floor")
        .col(ColumnDef::new("id").integer().not_null().primary_key())
        .col(bigint("pruned"))
        .take();
    manager.create_table(table).await?;
    one_row(manager, "outbox_floor", "pruned").await
}

/// The only row of a table, with a number that is 0 at first.
async fn one_row(
    manager: &SchemaManager<'_>,
    table: &'static str,
    number: &'static str,
) -> Result<(), DbErr> {
    let zero = Query::insert()
        .into_table(table)
        .columns(["id", number])
        .values([Expr::val(0), Expr::val(0_i64)])
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .take();
    manager.execute(zero).await
}

/// A column whose order is that of its characters' code points, as it always is on SQLite.
pub(crate) fn by_code_point(manager: &SchemaManager<'_>, mut column: ColumnDef) -> ColumnDef {
    match manager.get_database_backend() {
        DbBackend::Postgres => column.extra("COLLATE \"C\"").take(),
        _ => column,
    }
}

/// A point in time: milliseconds since the Unix epoch, UTC. An integer compares and orders the same everywhere, and
/// no session's time zone can bend it.
pub(crate) fn instant(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// A point in time that may be absent.
pub(crate) fn instant_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

/// A JSON value, kept as the text it was written as and checked where the database has such a type. A binary form would
/// be smaller to search, but what it gives back is not what was stored: PostgreSQL's rewrites numbers, drops repeated
/// names and refuses `\u0000`.
pub(crate) fn json(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).json().not_null().take()
}

/// A JSON value that may be absent.
pub(crate) fn json_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).json().null().take()
}

/// Text of bounded length.
pub(crate) fn varchar(name: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(name).string_len(length).not_null().take()
}

/// Text of bounded length that may be absent.
pub(crate) fn varchar_null(name: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(name).string_len(length).null().take()
}

/// Text of any length.
pub(crate) fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

/// Text of any length that may be absent.
pub(crate) fn text_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().null().take()
}

/// A number of 64 bits.
pub(crate) fn bigint(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// A number of 64 bits that may be absent.
pub(crate) fn bigint_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

/// A number of 32 bits.
pub(crate) fn int(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).integer().not_null().take()
}

/// An ascending index.
pub(crate) fn index(
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    let mut index = Index::create();
    index.table(table).name(name);
    for column in columns {
        index.col((*column, IndexOrder::Asc));
    }
    index
}

/// An index that also refuses duplicates.
pub(crate) fn unique(
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    index(table, name, columns).unique().take()
}
