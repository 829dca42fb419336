//! The outbox as the database has it.

use std::collections::HashMap;
use std::sync::Arc;

use hive_application::error::{Effect, Error, ErrorKind};
use hive_application::tickets::{LogFilter, LogPage};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{TicketChange, TicketContent, TicketSnapshot};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{floor, outbox, ticket};
use super::hot_tickets::HotTickets;
use super::{mapping, payload};
use crate::engine::reader::Reader;
use crate::failure;

/// Records looked at for one page of an agent at most: no index leads to them.
const SCAN: u64 = 20_000;

/// Pages of the log from the database.
#[derive(Debug)]
pub(super) struct Stored {
    reader: Reader,
    hot: Arc<HotTickets>,
}

impl Stored {
    pub(super) fn new(reader: Reader, hot: Arc<HotTickets>) -> Self {
        Stored { reader, hot }
    }

    /// The offset of the newest record; 0 when there is none.
    pub(super) async fn newest(&self) -> Result<u64, Error> {
        let newest = outbox::Entity::find().select_only().expr(outbox::Column::Id.max());
        let newest = newest.into_tuple::<Option<i64>>();
        let newest = self.reader.answer("end of the log", newest.one(&self.reader.database())).await?;
        Ok(newest.flatten().unwrap_or_default().cast_unsigned())
    }

    /// Closes the connections.
    pub(super) async fn close(&self) -> Result<(), Error> {
        self.reader.close().await
    }

    /// A page. Everything up to `end` is committed, so what the query does not find is not there.
    pub(super) async fn page(
        &self,
        after: u64,
        end: u64,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
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
            .limit(limit as u64);
        let records = self.reader.answer("page of the log", records.all(&self.reader.database())).await?;
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

    /// Refuses to go on from `after` where records that came later, and that `filter` would let through, are not kept any
    /// more. To be asked after the page was read: what is there then was there before. 0 is the oldest that is kept.
    pub(super) async fn check_kept(&self, after: u64, filter: &LogFilter) -> Result<(), Error> {
        if after == 0 {
            return Ok(());
        }
        let database = self.reader.database();
        let floor = floor::Entity::find_by_id(0).one(&database);
        let floor = self
            .reader
            .answer("floor of the log", floor)
            .await?
            .map_or(0, |floor| floor.pruned.cast_unsigned());
        if after >= floor {
            return Ok(());
        }
        // The records of a plan go oldest first: while there is one that was passed, none of the later ones is gone.
        if let Some(plan) = &filter.plan_id {
            let passed = outbox::Entity::find()
                .select_only()
                .column(outbox::Column::Id)
                .filter(outbox::Column::PlanId.eq(plan.as_str()))
                .filter(outbox::Column::Id.lte(after.cast_signed()))
                .order_by_asc(outbox::Column::Id)
                .limit(1)
                .into_tuple::<i64>();
            if self.reader.answer("record of a plan", passed.one(&database)).await?.is_some() {
                return Ok(());
            }
        }
        let message = "after is before the oldest change that is kept; 0 starts there";
        Err(Error::told(ErrorKind::OutOfRange, "LOG_PRUNED", message, Some("after".to_owned()), Effect::None))
    }

    /// Where a scan from `after` on ends that looks at [`SCAN`] records.
    async fn scan_end(&self, after: u64, end: u64) -> Result<u64, Error> {
        let last = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Id)
            .filter(outbox::Column::Id.gt(after.cast_signed()))
            .filter(outbox::Column::Id.lte(end.cast_signed()))
            .order_by_asc(outbox::Column::Id)
            .offset(SCAN - 1)
            .limit(1)
            .into_tuple::<i64>();
        let last = self.reader.answer("end of a scan", last.one(&self.reader.database())).await?;
        Ok(last.map_or(end, i64::cast_unsigned))
    }

    /// What the tickets of these records ask for, each read once unless it is held in memory.
    async fn contents(
        &self,
        records: &[outbox::Model],
    ) -> Result<HashMap<String, Arc<TicketContent>>, Error> {
        let mut contents = HashMap::with_capacity(records.len());
        let mut ids: Vec<&str> = records.iter().map(|record| record.ticket_id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| {
            let held = TicketId::parse(id).ok().and_then(|id| self.hot.content(&id));
            held.is_none_or(|content| {
                contents.insert((*id).to_owned(), content);
                false
            })
        });
        for part in ids.chunks(256) {
            let rows = ticket::Entity::find().filter(ticket::Column::TicketId.is_in(part.iter().copied()));
            for row in self.reader.answer("contents of tickets", rows.all(&self.reader.database())).await? {
                let content = mapping::content(&row)?;
                contents.insert(row.ticket_id, Arc::new(content));
            }
        }
        Ok(contents)
    }
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
