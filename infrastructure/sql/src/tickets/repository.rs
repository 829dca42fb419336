//! Tickets on SQL.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use hive_application::error::{Error, ErrorKind};
use hive_application::tickets::{Change, Creation, HistoryEntry, TicketPage, TicketQuery, TicketRepository};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Ticket};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{history, ticket};
use super::list::{self, Found};
use super::operation::{Answer, Insert, Operation, Update};
use super::{Log, Shared, by_id, mapping};
use crate::failure;

/// Decisions asked for before giving up on a ticket that others change all the time. In every round somebody wins.
const MAX_DECISIONS: usize = 256;

/// Ids in one lookup.
const LOOKUP: usize = 256;

/// The adapter of [`TicketRepository`].
#[derive(Debug)]
pub(super) struct SqlTicketRepository {
    shared: Arc<Shared>,
}

/// A ticket that a write met is not there any more.
#[derive(Debug, thiserror::Error)]
#[error("ticket {0} exists but cannot be read")]
struct Vanished(TicketId);

impl SqlTicketRepository {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        SqlTicketRepository { shared }
    }

    /// The ticket and the number of its row, read now.
    async fn read(&self, id: &TicketId) -> Result<Option<(Ticket, i64)>, Error> {
        let found = match &self.shared.near {
            Some(near) => near.find(id).await?,
            None => {
                let reader = &self.shared.reader;
                let row = reader.answer("ticket by id", by_id::find(&reader.database(), id.as_str())).await?;
                row.map(|row| (row.id, Found::Row(Box::new(row))))
            }
        };
        found.map(|(number, found)| Ok((found.ticket(number, &self.shared.hot)?, number))).transpose()
    }

    /// The ticket, if it is held in memory and is the newest there is: the database is asked for the version.
    async fn known(&self, id: &TicketId) -> Result<Option<Ticket>, Error> {
        let Some((ticket, _)) = self.shared.hot.get(id) else { return Ok(None) };
        let stored = ticket::Entity::find()
            .select_only()
            .column(ticket::Column::Version)
            .filter(ticket::Column::TicketId.eq(id.as_str()))
            .into_tuple::<i64>();
        let reader = &self.shared.reader;
        let stored = reader.answer("version of a ticket", stored.one(&reader.database())).await?;
        Ok(Some(ticket).filter(|ticket| stored.map(i64::cast_unsigned) == Some(ticket.version())))
    }

    /// The tickets of these ids, as far as they exist.
    async fn find_all(&self, ids: &[TicketId]) -> Result<HashMap<TicketId, Ticket>, Error> {
        let mut found = HashMap::with_capacity(ids.len());
        for part in ids.chunks(LOOKUP) {
            let wanted = ticket::Column::TicketId.is_in(part.iter().map(TicketId::as_str));
            let rows = ticket::Entity::find().filter(wanted);
            let reader = &self.shared.reader;
            for row in reader.answer("tickets by id", rows.all(&reader.database())).await? {
                let ticket = mapping::ticket(row)?;
                found.insert(ticket.id().clone(), ticket);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl TicketRepository for SqlTicketRepository {
    async fn create(&self, mut tickets: Vec<Ticket>) -> Result<Vec<Creation>, Error> {
        let inserts = tickets.iter_mut().map(Insert::of).collect::<Result<Vec<_>, _>>()?;
        self.shared.check(&inserts)?;
        let versions: Vec<u64> = inserts.iter().map(Insert::version).collect();
        let new = match self.shared.create(inserts).await? {
            Answer::Created(new) => new,
            other => return Err(failure::unexpected(&other)),
        };
        let old: Vec<TicketId> = tickets
            .iter()
            .zip(&new)
            .filter(|(_, new)| !**new)
            .map(|(ticket, _)| ticket.id().clone())
            .collect();
        let stored = self.find_all(&old).await?;
        let outcome = |((ticket, version), new): ((Ticket, u64), bool)| {
            if new {
                return Ok(Creation::Created(ticket.saved(version)));
            }
            let found = stored.get(ticket.id()).cloned();
            found.map(Creation::Existing).ok_or_else(|| Error::internal(Vanished(ticket.id().clone())))
        };
        tickets.into_iter().zip(versions).zip(new).map(outcome).collect()
    }

    async fn find(&self, id: &TicketId) -> Result<Option<Ticket>, Error> {
        // What this process committed is the newest, when it alone writes.
        if matches!(self.shared.log, Log::Tail(_)) {
            if let Some(ticket) = self.shared.hot.written(id) {
                return Ok(Some(ticket));
            }
        } else if let Some(ticket) = self.known(id).await? {
            return Ok(Some(ticket));
        }
        Ok(self.read(id).await?.map(|(ticket, _)| ticket))
    }

    async fn list(&self, query: &TicketQuery) -> Result<TicketPage, Error> {
        list::page(&self.shared, query).await
    }

    async fn update(&self, id: &TicketId, change: &mut Change<'_>) -> Result<(Ticket, Applied), Error> {
        // The hot version is usually the newest and saves a query. When it is not, a change decided on it misses its
        // version and is decided again; and a decision to change nothing is only believed of a version just read.
        let mut hot = self.shared.hot.get(id);
        for _ in 0..MAX_DECISIONS {
            let just_read = hot.is_none();
            let (mut ticket, number) = match hot.take() {
                Some(known) => known,
                None => self.read(id).await?.ok_or_else(|| Error::not_found("Ticket", id))?,
            };
            match change(&mut ticket) {
                Ok(Applied::Applied) => {}
                _ if !just_read => continue,
                Ok(Applied::AlreadyApplied) => return Ok((ticket, Applied::AlreadyApplied)),
                Err(refusal) => return Err(refusal.into()),
            }
            let update = Update::of(&mut ticket, number)?;
            self.shared.check_update(&update)?;
            let version = update.version();
            match self.shared.writer.submit(Operation::Update(Box::new(update))).await? {
                Answer::Updated => return Ok((ticket.saved(version), Applied::Applied)),
                Answer::Missed => {}
                other => return Err(failure::unexpected(&other)),
            }
        }
        let message = format!("Ticket {id} is changed by others all the time");
        Err(Error::new(ErrorKind::Aborted, "TICKET_CONTENDED", message))
    }

    async fn history(&self, id: &TicketId) -> Result<Vec<HistoryEntry>, Error> {
        let number = ticket::Entity::find()
            .select_only()
            .column(ticket::Column::Id)
            .filter(ticket::Column::TicketId.eq(id.as_str()))
            .into_tuple::<i64>();
        let reader = &self.shared.reader;
        let Some(number) = reader.answer("number of a ticket", number.one(&reader.database())).await? else {
            return Ok(Vec::new());
        };
        let rows = history::Entity::find()
            .filter(history::Column::Ticket.eq(number))
            .order_by_asc(history::Column::Version);
        let rows = reader.answer("history of a ticket", rows.all(&reader.database())).await?;
        rows.into_iter().map(|row| mapping::history_entry(id, row)).collect()
    }
}
