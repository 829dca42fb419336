//! Tickets on SQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use hive_application::error::{Error, ErrorKind};
use hive_application::tickets::{
    Change, Creation, HistoryEntry, TicketCursor, TicketFilter, TicketPage, TicketQuery, TicketRepository,
};
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Ticket};
use hive_domain::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait as _, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};

use super::entity::{history, ticket};
use super::mapping;
use super::operation::{Answer, Insert, Operation, Update};
use super::{Log, Shared};
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

    async fn row(&self, id: &TicketId) -> Result<Option<ticket::Model>, Error> {
        let reader = &self.shared.reader;
        let database = reader.database();
        reader.answer("ticket by id", self.shared.by_id.find(&database, id.as_str())).await
    }

    /// The ticket, if it is held in memory and is the newest there is. What this process committed is, when it alone
    /// writes; else the database is asked for the version.
    async fn known(&self, id: &TicketId) -> Result<Option<Ticket>, Error> {
        if matches!(self.shared.log, Log::Tail(_))
            && let Some(ticket) = self.shared.hot.written(id)
        {
            return Ok(Some(ticket));
        }
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

    /// The page, when every ticket on it is held in memory in the very version that the database has: then three columns
    /// of each row are enough.
    async fn known_page(&self, query: &TicketQuery) -> Result<Option<TicketPage>, Error> {
        let matches = condition(&query.filter);
        let total = Total::of(&self.shared, &query.filter);
        let rows = page_of(query, matches)
            .select_only()
            .columns([ticket::Column::Id, ticket::Column::TicketId, ticket::Column::Version])
            .expr(total.term.clone())
            .into_tuple();
        let reader = &self.shared.reader;
        let rows: Vec<(i64, String, i64, i64)> =
            reader.answer("page of known tickets", rows.all(&reader.database())).await?;
        let Some(count) = rows.first().map(|row| row.3) else {
            let total = self.count(&query.filter).await?;
            return Ok(Some(TicketPage { tickets: Vec::new(), total, next: None }));
        };
        total.learn(&self.shared, &query.filter, count);
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let held = |(_, id, version, _): &(i64, String, i64, i64)| {
            self.shared.hot.at(&TicketId::parse(id).ok()?, version.cast_unsigned())
        };
        let Some(tickets) = rows.iter().take(limit).map(held).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let last = tickets.last().zip(rows.get(limit.wrapping_sub(1))).filter(|_| rows.len() > limit);
        let next = last.map(|(ticket, row)| TicketCursor {
            created_at: ticket.content().created_at,
            number: row.0.cast_unsigned(),
        });
        Ok(Some(TicketPage { tickets, total: count.cast_unsigned(), next }))
    }

    /// The page and the total in one statement, so that they speak of the same moment.
    async fn page(&self, query: &TicketQuery) -> Result<(Vec<ticket::Model>, u64), Error> {
        let total = Total::of(&self.shared, &query.filter);
        let rows = page_of(query, condition(&query.filter)).expr_as(total.term.clone(), "total");
        let reader = &self.shared.reader;
        let rows =
            reader.answer("page of tickets", rows.into_model::<Counted>().all(&reader.database())).await?;
        let Some(count) = rows.first().map(|row| row.total) else {
            return Ok((Vec::new(), self.count(&query.filter).await?));
        };
        total.learn(&self.shared, &query.filter, count);
        Ok((rows.into_iter().map(|row| row.ticket).collect(), count.cast_unsigned()))
    }

    /// The total where no row of a page carries it.
    async fn count(&self, filter: &TicketFilter) -> Result<u64, Error> {
        let begun = Instant::now();
        if let Some(total) = self.shared.totals.get(filter) {
            return Ok(total.cast_unsigned());
        }
        let count = ticket::Entity::find().select_only().expr(ticket::Column::Id.count());
        let count = count.filter(condition(filter)).into_tuple::<i64>();
        let reader = &self.shared.reader;
        let count =
            reader.answer("count of tickets", count.one(&reader.database())).await?.unwrap_or_default();
        self.shared.totals.learn(filter, count, begun.elapsed());
        Ok(count.cast_unsigned())
    }
}

/// A row of a page, and how many match.
#[derive(FromQueryResult)]
struct Counted {
    #[sea_orm(nested)]
    ticket: ticket::Model,
    total: i64,
}

/// How many tickets match, as a term.
struct Total {
    term: SimpleExpr,
    /// When a statement that counts them was begun.
    counting: Option<Instant>,
}

impl Total {
    fn of(shared: &Shared, filter: &TicketFilter) -> Self {
        if let Some(total) = shared.totals.get(filter) {
            return Total { term: Expr::val(total), counting: None };
        }
        let count = ticket::Entity::find().select_only().expr(ticket::Column::Id.count());
        let count = count.filter(condition(filter)).into_query();
        Total { term: Expr::SubQuery(None, Box::new(count.into())), counting: Some(Instant::now()) }
    }

    /// Takes in what the statement counted, if it did.
    fn learn(&self, shared: &Shared, filter: &TicketFilter, count: i64) {
        if let Some(begun) = self.counting {
            shared.totals.learn(filter, count, begun.elapsed());
        }
    }
}

/// The rows of a page, and one more, which tells whether a page follows.
fn page_of(query: &TicketQuery, matches: Condition) -> Select<ticket::Entity> {
    ticket::Entity::find()
        .filter(matches.add_option(query.after.map(behind)))
        .order_by_desc(ticket::Column::CreatedAt)
        .order_by_desc(ticket::Column::Id)
        .offset(query.offset)
        .limit(query.limit.saturating_add(1))
}

/// What the list shows after `cursor`: compared as a pair, which an index leads to.
fn behind(cursor: TicketCursor) -> SimpleExpr {
    let pair = Expr::tuple([Expr::col(ticket::Column::CreatedAt), Expr::col(ticket::Column::Id)]);
    let number = i64::try_from(cursor.number).unwrap_or(i64::MAX);
    pair.lt(Expr::tuple([Expr::val(cursor.created_at.millis()), Expr::val(number)]))
}

fn condition(filter: &TicketFilter) -> Condition {
    let plan = filter.plan_id.as_ref().map(|id| ticket::Column::PlanId.eq(id.as_str()));
    let intent = filter.intent_id.as_ref().map(|id| ticket::Column::IntentId.eq(id.as_str()));
    let status = filter.status.map(|status| ticket::Column::Status.eq(status.as_str()));
    let priority = filter.priority.map(|priority| ticket::Column::Priority.eq(priority.as_str()));
    let worker = filter.assigned_worker.as_ref().map(|id| ticket::Column::AssignedWorker.eq(id.as_str()));
    let all = [plan, intent, status, priority, worker];
    all.into_iter().flatten().fold(Condition::all(), Condition::add)
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
        if let Some(ticket) = self.known(id).await? {
            return Ok(Some(ticket));
        }
        let Some(row) = self.row(id).await? else { return Ok(None) };
        let number = row.id;
        let ticket = mapping::ticket(row)?;
        self.shared.hot.learn(number, &ticket);
        Ok(Some(ticket))
    }

    async fn list(&self, query: &TicketQuery) -> Result<TicketPage, Error> {
        if let Some(page) = self.known_page(query).await? {
            return Ok(page);
        }
        let (mut rows, total) = self.page(query).await?;
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| TicketCursor {
            created_at: Timestamp::from_millis(row.created_at),
            number: row.id.cast_unsigned(),
        });
        let mut tickets = Vec::with_capacity(rows.len());
        for row in rows {
            let number = row.id;
            let ticket = mapping::ticket(row)?;
            self.shared.hot.learn(number, &ticket);
            tickets.push(ticket);
        }
        Ok(TicketPage { tickets, total, next })
    }

    async fn update(&self, id: &TicketId, change: &mut Change<'_>) -> Result<(Ticket, Applied), Error> {
        // The hot version is usually the newest and saves a query. When it is not, a change decided on it misses its
        // version and is decided again; and a decision to change nothing is only believed of a version just read.
        let mut hot = self.shared.hot.get(id);
        for _ in 0..MAX_DECISIONS {
            let just_read = hot.is_none();
            let (mut ticket, number) = match hot.take() {
                Some(known) => known,
                None => {
                    let row = self.row(id).await?.ok_or_else(|| Error::not_found("Ticket", id))?;
                    let number = row.id;
                    (mapping::ticket(row)?, number)
                }
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
