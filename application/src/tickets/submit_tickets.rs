//! Creates the tickets that callers send, once each.

use std::sync::Arc;

use hive_domain::tickets::{Ticket, TicketError};

use super::create_tickets::NewTicket;
use super::ports::{Creation, TicketRepository};
use super::ticket_draft::TicketDraft;
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::{Error, ErrorKind};
use crate::ids::IdGenerator;

/// Tickets that one call may send.
pub const MAX_SUBMITTED: usize = 1_000;

/// What became of a draft.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmittedTicket {
    /// The ticket as it is stored.
    pub ticket: Ticket,
    /// Whether this call created it.
    pub created: bool,
}

/// Creates tickets from drafts. Two creates are identical when every field the caller sent is equal: then the second is
/// answered with what is stored.
#[derive(Clone)]
pub struct SubmitTickets {
    repository: Arc<dyn TicketRepository>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl SubmitTickets {
    pub(super) fn new(
        repository: Arc<dyn TicketRepository>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        SubmitTickets { repository, clock, ids }
    }

    /// Creates one ticket. `InvalidArgument` names the field; `AlreadyExists` when its id has other content.
    pub async fn one(&self, context: &CallContext, draft: &TicketDraft) -> Result<SubmittedTicket, Error> {
        let (wanted, ticket) = self.prepare(context, draft, "")?;
        let mut creations = self.repository.create(vec![ticket]).await?;
        let creation = creations.pop().ok_or_else(|| Error::internal("no answer to a create"))?;
        settle(draft, &wanted, creation)
    }

    /// Creates up to [`MAX_SUBMITTED`] tickets, in order. Nothing is created when a draft is invalid; the error names
    /// its place. A ticket that exists with other content fails the call, but does not undo what it created beside it.
    pub async fn execute(
        &self,
        context: &CallContext,
        drafts: &[TicketDraft],
    ) -> Result<Vec<SubmittedTicket>, Error> {
        if drafts.len() > MAX_SUBMITTED {
            let problem = format!("has {} entries, at most {MAX_SUBMITTED} are accepted", drafts.len());
            return Err(Error::invalid("tickets", problem));
        }
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let prepare = |(at, draft)| self.prepare(context, draft, &format!("tickets[{at}]."));
        let prepared = drafts.iter().enumerate().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let (wanted, tickets): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let creations = self.repository.create(tickets).await?;
        let answers = drafts.iter().zip(&wanted).zip(creations);
        answers.map(|((draft, wanted), creation)| settle(draft, wanted, creation)).collect()
    }

    fn prepare(
        &self,
        context: &CallContext,
        draft: &TicketDraft,
        prefix: &str,
    ) -> Result<(NewTicket, Ticket), Error> {
        context.must_be_service()?;
        let new = draft.resolve(prefix, self.clock.now().millis(), || self.ids.uuid())?;
        let ticket = Ticket::create(new.content.clone(), new.metadata.clone(), &context.principal);
        let ticket = ticket.map_err(|error| match error {
            TicketError::InvalidField { field, problem } => {
                Error::invalid(format!("{prefix}{field}"), problem)
            }
            other => other.into(),
        })?;
        Ok((new, ticket))
    }
}

fn settle(draft: &TicketDraft, wanted: &NewTicket, creation: Creation) -> Result<SubmittedTicket, Error> {
    let ticket = match creation {
        Creation::Created(ticket) => return Ok(SubmittedTicket { ticket, created: true }),
        Creation::Existing(ticket) => ticket,
    };
    match draft.difference(wanted, &ticket) {
        None => Ok(SubmittedTicket { ticket, created: false }),
        Some(field) => {
            let message = format!("Ticket {} exists with another {field}", ticket.id());
            Err(Error::new(ErrorKind::AlreadyExists, "TICKET_EXISTS", message))
        }
    }
}

impl std::fmt::Debug for SubmitTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubmitTickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use hive_domain::tickets::TicketStatus;

    use super::*;
    use crate::tickets::testing::{MemoryRepository, api, draft};
    use crate::tickets::{ChangeTicketStatusCommand, GivenPriority};

    fn submit(drafts: &[TicketDraft], store: &Arc<MemoryRepository>) -> Result<Vec<SubmittedTicket>, Error> {
        let api = api(store);
        api.submit.execute(&CallContext::internal("test"), drafts).now_or_never().unwrap()
    }

    #[test]
    fn a_repeat_is_judged_by_what_was_sent() {
        let store = Arc::new(MemoryRepository::default());
        let mut first = draft();
        first.ticket_id = Some("tk-1".to_owned());
        assert!(submit(&[first.clone()], &store).unwrap()[0].created);

        // Another clock would give another created_at: not sent, not compared. A priority is what it means.
        let mut again = first.clone();
        again.priority = Some(GivenPriority::Scale(7));
        let answer = submit(&[again.clone()], &store).unwrap();
        assert!(!answer[0].created);

        again.created_at = Some(5);
        let error = submit(&[again], &store).unwrap_err();
        assert_eq!((error.kind(), error.reason()), (ErrorKind::AlreadyExists, "TICKET_EXISTS"));
        assert_eq!(error.to_string(), "Ticket tk-1 exists with another created_at");

        let mut other = first;
        other.metadata = Some([("k".to_owned(), "v".to_owned())].into());
        assert!(submit(&[other], &store).unwrap_err().to_string().ends_with("another metadata"));
    }

    #[test]
    fn a_repeat_is_answered_with_the_ticket_as_it_is_by_now() {
        let store = Arc::new(MemoryRepository::default());
        let mut draft = draft();
        draft.ticket_id = Some("tk-1".to_owned());
        draft.status = Some("PENDING".to_owned());
        let ticket = submit(&[draft.clone()], &store).unwrap().remove(0).ticket;
        let command = ChangeTicketStatusCommand {
            ticket_id: ticket.id().clone(),
            status: TicketStatus::Running,
            report: hive_domain::tickets::Report::default(),
        };
        let context = CallContext::internal("test");
        api(&store).tickets.change_status.execute(&context, &command).now_or_never().unwrap().unwrap();
        let again = submit(&[draft], &store).unwrap().remove(0);
        assert_eq!((again.created, again.ticket.status()), (false, TicketStatus::Running));
    }

    #[test]
    fn one_bad_draft_creates_nothing_and_is_named() {
        let store = Arc::new(MemoryRepository::default());
        let mut bad = draft();
        bad.sla.as_mut().unwrap().timeout_ms = Some(0);
        let error = submit(&[draft(), bad], &store).unwrap_err();
        assert_eq!(error.field(), Some("tickets[1].sla.timeout_ms"));
        assert_eq!(store.len(), 0);
        let error = submit(&vec![draft(); MAX_SUBMITTED + 1], &store).unwrap_err();
        assert_eq!(error.field(), Some("tickets"));
        assert_eq!(submit(&[], &store).unwrap(), []);
    }
}
