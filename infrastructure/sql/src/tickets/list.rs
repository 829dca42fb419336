//! A page of tickets, and how many match.

use std::time::Instant;

use hive_application::error::Error;
use hive_application::tickets::{TicketCursor, TicketFilter, TicketPage, TicketQuery};
use hive_domain::ids::TicketId;
use hive_domain::tickets::Ticket;
use sea_orm::sea_query::{Expr, ExprTrait as _, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
};

use super::entity::ticket;
use super::hot_tickets::HotTickets;
use super::{Shared, mapping};

/// A row of a list.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: i64,
    /// How many match.
    pub(super) total: i64,
    pub(super) found: Found,
}

/// A ticket that was found.
#[derive(Debug)]
pub(super) enum Found {
    /// In memory, in the version that the row has.
    Held(Box<Ticket>),
    Row(Box<ticket::Model>),
}

impl Found {
    /// The ticket, which is held in memory from now on.
    pub(super) fn ticket(self, number: i64, hot: &HotTickets) -> Result<Ticket, Error> {
        match self {
            Found::Held(ticket) => Ok(*ticket),
            Found::Row(row) => {
                let ticket = mapping::ticket(*row)?;
                hot.learn(number, &ticket);
                Ok(ticket)
            }
        }
    }
}

/// The page and the total of one moment.
pub(super) async fn page(shared: &Shared, query: &TicketQuery) -> Result<TicketPage, Error> {
    let total = Total::of(shared, &query.filter);
    let lines = match &shared.near {
        Some(near) => near.lines(with_total(query, &total).build(DbBackend::Sqlite)).await?,
        None => match held(shared, query, &total).await? {
            Some(lines) => lines,
            None => rows(shared, query, &Total::of(shared, &query.filter)).await?,
        },
    };
    let count = match (lines.first(), total.known) {
        (Some(line), _) => {
            total.learn(shared, &query.filter, line.total);
            line.total
        }
        (None, Some(known)) => known,
        (None, None) => count(shared, &query.filter).await?,
    };
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let last = lines.get(limit.wrapping_sub(1)).filter(|_| lines.len() > limit);
    let last = last.map(|line| line.number.cast_unsigned());
    // The one that only tells that more follow, too: a page is read from memory when all of it is there.
    let tickets = lines.into_iter().map(|line| line.found.ticket(line.number, &shared.hot));
    let mut tickets = tickets.collect::<Result<Vec<_>, _>>()?;
    tickets.truncate(limit);
    let created_at = tickets.last().map(|ticket| ticket.content().created_at);
    let next = last.zip(created_at).map(|(number, created_at)| TicketCursor { created_at, number });
    Ok(TicketPage { tickets, total: count.cast_unsigned(), next })
}

/// The page, when every ticket on it is held in memory in the very version that the database has: then three columns of
/// each row are enough.
async fn held(shared: &Shared, query: &TicketQuery, total: &Total) -> Result<Option<Vec<Line>>, Error> {
    let rows = page_of(query)
        .select_only()
        .columns([ticket::Column::Id, ticket::Column::TicketId, ticket::Column::Version])
        .expr(total.term.clone())
        .into_tuple();
    let reader = &shared.reader;
    let rows: Vec<(i64, String, i64, i64)> =
        reader.answer("page of known tickets", rows.all(&reader.database())).await?;
    if let Some((_, _, _, count)) = rows.first() {
        total.learn(shared, &query.filter, *count);
    }
    let line = |(number, id, version, total): (i64, String, i64, i64)| {
        let ticket = shared.hot.at(&TicketId::parse(&id).ok()?, version.cast_unsigned())?;
        Some(Line { number, total, found: Found::Held(Box::new(ticket)) })
    };
    Ok(rows.into_iter().map(line).collect())
}

/// The page from the database.
async fn rows(shared: &Shared, query: &TicketQuery, total: &Total) -> Result<Vec<Line>, Error> {
    let reader = &shared.reader;
    let rows = with_total(query, total).into_model::<Counted>();
    let rows = reader.answer("page of tickets", rows.all(&reader.database())).await?;
    let line = |row: Counted| Line {
        number: row.ticket.id,
        total: row.total,
        found: Found::Row(Box::new(row.ticket)),
    };
    Ok(rows.into_iter().map(line).collect())
}

/// The total where no row of a page carries it.
async fn count(shared: &Shared, filter: &TicketFilter) -> Result<i64, Error> {
    let begun = Instant::now();
    let count = ticket::Entity::find().select_only().expr(ticket::Column::Id.count());
    let count = count.filter(condition(filter)).into_tuple::<i64>();
    let reader = &shared.reader;
    let count = reader.answer("count of tickets", count.one(&reader.database())).await?.unwrap_or_default();
    shared.totals.learn(filter, count, begun.elapsed());
    Ok(count)
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
    /// The number, when the statement does not count.
    known: Option<i64>,
    begun: Instant,
}

impl Total {
    fn of(shared: &Shared, filter: &TicketFilter) -> Self {
        if let Some(total) = shared.totals.get(filter) {
            return Total { term: Expr::val(total), known: Some(total), begun: Instant::now() };
        }
        let count = ticket::Entity::find().select_only().expr(ticket::Column::Id.count());
        let count = count.filter(condition(filter)).into_query();
        Total { term: Expr::SubQuery(None, Box::new(count.into())), known: None, begun: Instant::now() }
    }

    /// Takes in what the statement counted, if it did.
    fn learn(&self, shared: &Shared, filter: &TicketFilter, count: i64) {
        if self.known.is_none() {
            shared.totals.learn(filter, count, self.begun.elapsed());
        }
    }
}

/// The rows of a page with the total behind the columns of a ticket.
fn with_total(query: &TicketQuery, total: &Total) -> Select<ticket::Entity> {
    page_of(query).expr_as(total.term.clone(), "total")
}

/// The rows of a page, and one more, which tells whether a page follows.
fn page_of(query: &TicketQuery) -> Select<ticket::Entity> {
    ticket::Entity::find()
        .filter(condition(&query.filter).add_option(query.after.map(behind)))
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
