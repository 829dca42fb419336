//! The outbox read as a log. On SQLite its end comes from memory, what lies before from the database; on PostgreSQL, where
//! others may write too, all of it comes from the database, up to the horizon.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use event_listener::EventListener;
use hive_application::error::{Effect, Error};
use hive_application::tickets::{LogFilter, LogPage, TicketLog};
use hive_domain::tickets::{TicketChange, TicketContent, TicketSnapshot};
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::entity::{offset, outbox, ticket};
use super::operation::{Answer, Operation};
use super::tail::Place;
use super::{Log, Shared, WHAT, mapping, payload};
use crate::failure;

/// Records of one page at most, whatever the caller asks for.
const MAX_PAGE: usize = 1_000;

/// Characters of the name of a reader, as the column has them.
const MAX_CONSUMER: usize = 512;

/// Records looked at for one page of an agent at most: no index leads to them.
const SCAN: u64 = 20_000;

/// The adapter of [`TicketLog`].
#[derive(Debug)]
pub(super) struct SqlTicketLog {
    shared: Arc<Shared>,
}

/// The offset of the newest record; 0 when there is none.
pub(super) async fn newest(database: &DatabaseConnection) -> Result<u64, DbErr> {
    let newest: Option<Option<i64>> = outbox::Entity::find()
        .select_only()
        .expr(outbox::Column::Id.max())
        .into_tuple()
        .one(database)
        .await?;
    Ok(newest.flatten().unwrap_or_default().cast_unsigned())
}

impl SqlTicketLog {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        SqlTicketLog { shared }
    }

    /// A page from the database. Everything up to `end` is committed, so what the query does not find is not there.
    async fn stored(&self, after: u64, end: u64, filter: &LogFilter, limit: usize) -> Result<LogPage, Error> {
        let end = match (&filter.plan_id, &filter.agent_id) {
            (None, Some(_)) => self.scan_end(after, end).await?,
            _ => end,
        };
        let plan = filter.plan_id.as_ref().map(|id| outbox::Column::PlanId.eq(id.as_str()));
        let agent = filter.agent_id.as_ref().map(|id| outbox::Column::Agent.eq(id.as_str()));
        let records = outbox::Entity::find()
            .filter(outbox::Column::Id.gt(after.cast_signed()))
            .filter(outbox::Column::Id.lte(end.cast_signed()))
            .filter([plan, agent].into_iter().flatten().fold(Condition::all(), Condition::add))
            .order_by_asc(outbox::Column::Id)
            .limit(limit as u64)
            .all(&self.shared.reader)
            .await
            .map_err(failure::read(WHAT))?;
        let full = records.len() == limit;
        let read_to = match records.last() {
            Some(last) if full => last.id.cast_unsigned(),
            _ if full => after,
            _ => end,
        };
        let contents = self.contents(&records).await?;
        let changes =
            records.into_iter().map(|record| change(record, &contents)).collect::<Result<_, _>>()?;
        Ok(LogPage { changes, read_to })
    }

    /// Where a scan from `after` on ends that looks at [`SCAN`] records.
    async fn scan_end(&self, after: u64, end: u64) -> Result<u64, Error> {
        if matches!(self.shared.log, Log::Tail(_)) {
            return Ok(end.min(after + SCAN));
        }
        let last: Option<i64> = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Id)
            .filter(outbox::Column::Id.gt(after.cast_signed()))
            .filter(outbox::Column::Id.lte(end.cast_signed()))
            .order_by_asc(outbox::Column::Id)
            .offset(SCAN - 1)
            .limit(1)
            .into_tuple()
            .one(&self.shared.reader)
            .await
            .map_err(failure::read(WHAT))?;
        Ok(last.map_or(end, i64::cast_unsigned))
    }

    /// What the tickets of these records ask for, each read once.
    async fn contents(
        &self,
        records: &[outbox::Model],
    ) -> Result<HashMap<String, Arc<TicketContent>>, Error> {
        let mut ids: Vec<&str> = records.iter().map(|record| record.ticket_id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut contents = HashMap::with_capacity(ids.len());
        for part in ids.chunks(256) {
            let wanted = ticket::Column::TicketId.is_in(part.iter().copied());
            let rows = ticket::Entity::find().filter(wanted).all(&self.shared.reader).await;
            for row in rows.map_err(failure::read(WHAT))? {
                let content = mapping::content(&row)?;
                contents.insert(row.ticket_id, Arc::new(content));
            }
        }
        Ok(contents)
    }
}

fn unreadable(error: sqlx::Error) -> Error {
    Error::unavailable(WHAT, error, Effect::None)
}

fn change(
    record: outbox::Model,
    contents: &HashMap<String, Arc<TicketContent>>,
) -> Result<Arc<TicketChange>, Error> {
    let (event, state, version) = payload::read(&record.payload)?;
    let content = contents.get(&record.ticket_id).cloned();
    let content = content.ok_or_else(|| failure::unreadable("ticket_id", record.ticket_id))?;
    let ticket = TicketSnapshot { content, state, version };
    Ok(Arc::new(TicketChange { offset: record.id.cast_unsigned(), event, ticket }))
}

#[async_trait]
impl TicketLog for SqlTicketLog {
    async fn read(&self, after: u64, filter: &LogFilter, limit: usize) -> Result<LogPage, Error> {
        let limit = limit.min(MAX_PAGE);
        match &self.shared.log {
            Log::Tail(tail) => match tail.read(after, filter, limit) {
                Place::Here(page) => Ok(page),
                Place::Stored(end) => self.stored(after, end, filter, limit).await,
            },
            Log::Horizon(horizon) => {
                let end = horizon.settled(after).await.map_err(unreadable)?;
                if end <= after {
                    return Ok(LogPage { changes: Vec::new(), read_to: after });
                }
                self.stored(after, end, filter, limit).await
            }
        }
    }

    async fn end(&self) -> Result<u64, Error> {
        match &self.shared.log {
            Log::Tail(tail) => Ok(tail.end()),
            Log::Horizon(horizon) => horizon.end().await.map_err(unreadable),
        }
    }

    fn listen(&self) -> EventListener {
        match &self.shared.log {
            Log::Tail(tail) => tail.listen(),
            Log::Horizon(horizon) => horizon.listen(),
        }
    }

    async fn committed(&self, consumer: &str) -> Result<u64, Error> {
        let row = offset::Entity::find_by_id(consumer).one(&self.shared.reader).await;
        let row = row.map_err(failure::read(WHAT))?;
        Ok(row.map_or(0, |row| row.position.cast_unsigned()))
    }

    async fn commit(&self, consumer: &str, offset: u64) -> Result<(), Error> {
        if consumer.chars().count() > MAX_CONSUMER {
            return Err(Error::invalid("consumer", format_args!("has more than {MAX_CONSUMER} characters")));
        }
        if consumer.contains('\0') {
            return Err(Error::invalid("consumer", "must not contain the character NUL"));
        }
        let operation = Operation::Commit { consumer: consumer.to_owned(), offset };
        match self.shared.writer.submit(operation).await? {
            Answer::Remembered => Ok(()),
            other => Err(failure::unexpected(&other)),
        }
    }
}
