//! Tickets read from SQLite in the thread of the caller. Of a row whose ticket is held in memory, in the version that the
//! row has, no more is read than its version.

use std::sync::Arc;

use hive_application::error::Error;
use hive_domain::ids::TicketId;
use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};
use sea_orm::Statement;

use super::by_id::{self, model};
use super::entity::ticket::Model;
use super::hot_tickets::HotTickets;
use super::list::{Found, Line};
use crate::engine::near::Near;

/// Places of columns in a row of [`Model`], and of the total behind it.
mod column {
    pub(super) const ID: usize = 0;
    pub(super) const TICKET_ID: usize = 1;
    pub(super) const VERSION: usize = 39;
    pub(super) const TOTAL: usize = 41;
}

/// The tickets of a file.
#[derive(Debug)]
pub(super) struct NearTickets {
    near: Near,
    hot: Arc<HotTickets>,
}

impl NearTickets {
    pub(super) fn new(near: Near, hot: Arc<HotTickets>) -> Self {
        NearTickets { near, hot }
    }

    /// The ticket and the number of its row, if there is one.
    pub(super) async fn find(&self, id: &TicketId) -> Result<Option<(i64, Found)>, Error> {
        let (id, hot) = (id.clone(), Arc::clone(&self.hot));
        let find = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(by_id::STATEMENT)?;
            statement.query_row([id.as_str()], |row| Ok((row.get(column::ID)?, found(row, &hot)?))).optional()
        };
        self.near.look_up("ticket by id", find).await
    }

    /// The rows of a page; behind the columns of a ticket, each has the total.
    pub(super) async fn lines(&self, page: Statement) -> Result<Vec<Line>, Error> {
        let hot = Arc::clone(&self.hot);
        self.near.search("page of tickets", move |connection| lines(connection, page, &hot)).await
    }

    /// Closes the connections.
    pub(super) async fn close(&self) {
        self.near.close().await;
    }
}

fn lines(connection: &Connection, page: Statement, hot: &HotTickets) -> rusqlite::Result<Vec<Line>> {
    let mut statement = connection.prepare_cached(&page.sql)?;
    let values = page.values.map(|values| values.0).unwrap_or_default();
    let rows = statement.query_map(rusqlite::params_from_iter(values.into_iter().map(Parameter)), |row| {
        Ok(Line { number: row.get(column::ID)?, total: row.get(column::TOTAL)?, found: found(row, hot)? })
    });
    rows?.collect()
}

fn found(row: &Row<'_>, hot: &HotTickets) -> rusqlite::Result<Found> {
    let version: i64 = row.get(column::VERSION)?;
    let id = row.get_ref(column::TICKET_ID)?.as_str()?;
    let held = TicketId::parse(id).ok().and_then(|id| hot.at(&id, version.cast_unsigned()));
    held.map_or_else(
        || model(row).map(|model| Found::Row(Box::new(model))),
        |ticket| Ok(Found::Held(Box::new(ticket))),
    )
}

fn model(row: &Row<'_>) -> rusqlite::Result<Model> {
    model!(row, get)
}

/// A value of a statement that was built for any database.
struct Parameter(sea_orm::Value);

impl ToSql for Parameter {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match &self.0 {
            sea_orm::Value::String(Some(text)) => Ok(text.as_str().into()),
            sea_orm::Value::BigInt(Some(number)) => Ok((*number).into()),
            sea_orm::Value::BigUnsigned(Some(number)) => {
                // A place beyond all rows.
                Ok(ToSqlOutput::Owned(Value::Integer(i64::try_from(*number).unwrap_or(i64::MAX))))
            }
            other => {
                let problem = format!("a list has no parameter like {other:?}");
                Err(rusqlite::Error::ToSqlConversionFailure(problem.into()))
            }
        }
    }
}
