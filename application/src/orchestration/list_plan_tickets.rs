//! The tickets of one plan, page by page, for those who ask orchestration about them.

use std::sync::Arc;

use hive_domain::ids::PlanId;
use hive_domain::tickets::public::{TicketSnapshot, TicketStatus};

use super::ports::TicketGateway;
use crate::error::Error;

/// Which tickets to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanTicketsQuery {
    /// Of this plan.
    pub plan_id: PlanId,
    /// In this status; in any when none.
    pub status: Option<TicketStatus>,
    /// Tickets to skip.
    pub offset: usize,
    /// Tickets to return at most.
    pub limit: usize,
}

/// Tickets, and how many match altogether.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanTickets {
    /// The tickets of this page.
    pub tickets: Vec<TicketSnapshot>,
    /// All that match.
    pub total: usize,
}

/// Lists tickets of plans. The ticket context is asked for all of a plan, which has a bounded number of them.
#[derive(Clone)]
pub struct ListPlanTickets {
    tickets: Arc<dyn TicketGateway>,
}

impl ListPlanTickets {
    pub(super) fn new(tickets: Arc<dyn TicketGateway>) -> Self {
        ListPlanTickets { tickets }
    }

    /// One page; empty for a plan that has no tickets, or that nobody knows.
    pub async fn execute(&self, query: &PlanTicketsQuery) -> Result<PlanTickets, Error> {
        let mut tickets = self.tickets.list(&query.plan_id).await?;
        if let Some(status) = query.status {
            tickets.retain(|ticket| ticket.state.status == status);
        }
        let total = tickets.len();
        let tickets = tickets.into_iter().skip(query.offset).take(query.limit).collect();
        Ok(PlanTickets { tickets, total })
    }
}

impl std::fmt::Debug for ListPlanTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListPlanTickets").finish_non_exhaustive()
    }
}
