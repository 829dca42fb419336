//! Lists tickets for callers: filters as texts, bounded pages, tokens.

use std::sync::Arc;

use hive_domain::ids::{AgentId, IdError, IntentId, PlanId};
use hive_domain::tickets::{Priority, Ticket, TicketStatus};

use super::page_token;
use super::ports::{TicketFilter, TicketQuery, TicketRepository};
use crate::error::{Error, invalid_id};

/// Tickets on a page when the caller does not say.
pub const DEFAULT_PAGE: u64 = 100;

/// Tickets on the largest page.
pub const MAX_PAGE: u64 = 1_000;

/// Which page of which tickets. Empty texts do not filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListTicketsCommand {
    /// Of this plan.
    pub plan_id: String,
    /// Of this intent.
    pub intent_id: String,
    /// In this status, any letter case.
    pub status: String,
    /// Of this priority, any letter case.
    pub priority: String,
    /// Allocated to this agent.
    pub assigned_worker: String,
    /// Tickets to skip; 0 when below.
    pub offset: i64,
    /// Tickets to return: [`DEFAULT_PAGE`] when not positive, at most [`MAX_PAGE`].
    pub limit: i64,
    /// Where the page before ended, as its listing said. Not together with an offset.
    pub page_token: String,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketListing {
    /// The tickets, newest first.
    pub tickets: Vec<Ticket>,
    /// All tickets that match.
    pub total: u64,
    /// Tickets that were skipped.
    pub offset: u64,
    /// Tickets that the page could hold.
    pub limit: u64,
    /// Leads to the next page; none on the last.
    pub next_page_token: Option<String>,
}

/// Lists tickets.
#[derive(Clone)]
pub struct ListTickets {
    repository: Arc<dyn TicketRepository>,
}

impl ListTickets {
    pub(super) fn new(repository: Arc<dyn TicketRepository>) -> Self {
        ListTickets { repository }
    }

    /// The page. `InvalidArgument` names the filter, or `page_token`.
    pub async fn execute(&self, command: &ListTicketsCommand) -> Result<TicketListing, Error> {
        let query = command.query()?;
        let page = self.repository.list(&query).await?;
        Ok(TicketListing {
            tickets: page.tickets,
            total: page.total,
            offset: query.offset,
            limit: query.limit,
            next_page_token: page.next.map(|cursor| page_token::write(cursor, &query.filter)),
        })
    }
}

/// A filter names none of the words there are.
fn unknown_word(field: &'static str, words: impl Iterator<Item = &'static str>) -> Error {
    Error::invalid(field, format!("must be one of {}", words.collect::<Vec<_>>().join(", ")))
}

impl ListTicketsCommand {
    fn query(&self) -> Result<TicketQuery, Error> {
        let filter = TicketFilter {
            plan_id: id("plan_id", &self.plan_id, PlanId::parse)?,
            intent_id: id("intent_id", &self.intent_id, IntentId::parse)?,
            status: given(&self.status)
                .map(|text| {
                    let words = TicketStatus::ALL.iter().map(|status| status.as_str());
                    TicketStatus::parse(text).ok_or_else(|| unknown_word("status", words))
                })
                .transpose()?,
            priority: given(&self.priority)
                .map(|text| {
                    let words = Priority::ALL.iter().map(|priority| priority.as_str());
                    Priority::parse(&text.to_ascii_uppercase()).ok_or_else(|| unknown_word("priority", words))
                })
                .transpose()?,
            assigned_worker: id("assigned_worker", &self.assigned_worker, AgentId::parse)?,
        };
        let offset = u64::try_from(self.offset).unwrap_or_default();
        let after = given(&self.page_token).map(|token| page_token::read(token, &filter)).transpose()?;
        if after.is_some() && offset > 0 {
            return Err(Error::invalid("offset", "does not go together with page_token"));
        }
        let limit = match u64::try_from(self.limit) {
            Err(_) | Ok(0) => DEFAULT_PAGE,
            Ok(limit) => limit.min(MAX_PAGE),
        };
        Ok(TicketQuery { filter, offset, limit, after })
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn id<T>(field: &'static str, text: &str, parse: fn(&str) -> Result<T, IdError>) -> Result<Option<T>, Error> {
    given(text).map(|text| parse(text).map_err(invalid_id(field))).transpose()
}

impl std::fmt::Debug for ListTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListTickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::context::CallContext;
    use crate::tickets::testing::{MemoryRepository, api, draft};

    #[test]
    fn limits_are_brought_into_range() {
        let asked = |offset, limit| {
            let query =
                ListTicketsCommand { offset, limit, ..ListTicketsCommand::default() }.query().unwrap();
            (query.offset, query.limit)
        };
        assert_eq!(asked(0, 0), (0, 100));
        assert_eq!(asked(-5, -1), (0, 100));
        assert_eq!(asked(7, 1), (7, 1));
        assert_eq!(asked(i64::MAX, 1_001), (i64::MAX as u64, 1_000));
    }

    #[test]
    fn wrong_filters_are_named() {
        let field = |command: ListTicketsCommand| command.query().unwrap_err().field().map(str::to_owned);
        let blank = ListTicketsCommand::default;
        assert_eq!(field(ListTicketsCommand { status: "x".into(), ..blank() }).as_deref(), Some("status"));
        assert_eq!(
            field(ListTicketsCommand { priority: "x".into(), ..blank() }).as_deref(),
            Some("priority")
        );
        assert_eq!(field(ListTicketsCommand { plan_id: "\0".into(), ..blank() }).as_deref(), Some("plan_id"));
        let token = ListTicketsCommand { page_token: "\0".into(), ..blank() };
        assert_eq!(field(token).as_deref(), Some("page_token"));
    }

    #[test]
    fn tokens_walk_every_ticket_once() {
        let store = Arc::new(MemoryRepository::default());
        let api = api(&store);
        let drafts = vec![draft(); 25];
        let made =
            api.submit.execute(&CallContext::internal("test"), &drafts).now_or_never().unwrap().unwrap();
        let mut command = ListTicketsCommand { limit: 10, plan_id: "plan-xyz".into(), ..Default::default() };
        let mut seen = Vec::new();
        loop {
            let page = api.list.execute(&command).now_or_never().unwrap().unwrap();
            assert_eq!(page.total, 25);
            seen.extend(page.tickets.iter().map(|ticket| ticket.id().clone()));
            match page.next_page_token {
                Some(token) => command.page_token = token,
                None => break,
            }
        }
        let mut expected: Vec<_> = made.iter().map(|made| made.ticket.id().clone()).collect();
        expected.reverse();
        assert_eq!(seen, expected);
        command.offset = 1;
        let error = api.list.execute(&command).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.field(), Some("offset"));
    }
}
