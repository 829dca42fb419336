//! Makes tokens for the work on one ticket.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{SecurityLevel, Ticket, TicketStatus};

use super::ports::{TicketRepository, TokenIssuer};
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::{Error, ErrorKind};
use crate::ids::IdGenerator;

/// How tokens are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// Who issues them.
    pub issuer: String,
    /// Whom they are for.
    pub audience: String,
    /// Seconds they live.
    pub lifetime_seconds: i64,
}

impl Default for TokenConfig {
    fn default() -> Self {
        TokenConfig {
            issuer: "neural-hive-mind".to_owned(),
            audience: "worker-agents".to_owned(),
            lifetime_seconds: 3_600,
        }
    }
}

/// What a token says, in the order in which it says it. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaims {
    /// The ticket.
    pub sub: String,
    /// Who issues it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// When it ends.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// Names the token: a random UUID.
    pub jti: String,
    /// The ticket.
    pub ticket_id: String,
    /// The plan.
    pub plan_id: String,
    /// The intent.
    pub intent_id: String,
    /// The kind of work.
    pub task_type: String,
    /// Who may see it.
    pub security_level: String,
    /// What the worker must be able to do.
    pub required_capabilities: Vec<String>,
    /// What it allows.
    pub scopes: Vec<String>,
}

/// A new token. Nothing of it is stored: whoever asked is the only one who knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The signed token: a secret.
    pub token: String,
    /// Names the token.
    pub jti: String,
    /// The ticket it is for.
    pub ticket_id: TicketId,
    /// When it ends, seconds since 1970.
    pub expires_at: i64,
    /// Seconds it lives.
    pub expires_in: i64,
    /// What it allows.
    pub scopes: Vec<String>,
}

/// How a token is presented.
pub const TOKEN_TYPE: &str = "Bearer";

/// Makes tokens for tickets that wait or run.
#[derive(Clone)]
pub struct GenerateToken {
    repository: Arc<dyn TicketRepository>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    issuer: Arc<dyn TokenIssuer>,
    config: Arc<TokenConfig>,
}

impl GenerateToken {
    pub(super) fn new(
        repository: Arc<dyn TicketRepository>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        issuer: Arc<dyn TokenIssuer>,
        config: TokenConfig,
    ) -> Self {
        GenerateToken { repository, clock, ids, issuer, config: Arc::new(config) }
    }

    /// A new token with every call, for services: a token that could renew itself would never end. `NotFound` without such
    /// a ticket, `FailedPrecondition` when its work is over.
    pub async fn execute(&self, context: &CallContext, ticket_id: &TicketId) -> Result<IssuedToken, Error> {
        context.must_be_service()?;
        let found = self.repository.find(ticket_id).await?;
        let ticket = found.ok_or_else(|| Error::not_found("Ticket", ticket_id))?;
        let status = ticket.status();
        if !matches!(status, TicketStatus::Pending | TicketStatus::Running) {
            let message = format!("Cannot generate token for ticket with status {status}");
            return Err(Error::new(ErrorKind::FailedPrecondition, "TICKET_NOT_ACTIVE", message));
        }
        let claims = self.claims(&ticket);
        Ok(IssuedToken {
            token: self.issuer.issue(&claims)?,
            jti: claims.jti,
            ticket_id: ticket_id.clone(),
            expires_at: claims.exp,
            expires_in: self.config.lifetime_seconds,
            scopes: claims.scopes,
        })
    }

    fn claims(&self, ticket: &Ticket) -> TokenClaims {
        let content = ticket.content();
        let iat = self.clock.now().millis().div_euclid(1_000);
        let task_type = content.task_type.as_str();
        let mut scopes = vec!["ticket:read".to_owned(), "ticket:update".to_owned()];
        scopes.push(format!("task:{}", task_type.to_ascii_lowercase()));
        if matches!(content.security_level, SecurityLevel::Confidential | SecurityLevel::Restricted) {
            scopes.push("security:elevated".to_owned());
        }
        TokenClaims {
            sub: content.ticket_id.to_string(),
            iss: self.config.issuer.clone(),
            aud: self.config.audience.clone(),
            exp: iat.saturating_add(self.config.lifetime_seconds),
            iat,
            jti: self.ids.uuid(),
            ticket_id: content.ticket_id.to_string(),
            plan_id: content.plan_id.to_string(),
            intent_id: content.intent_id.to_string(),
            task_type: task_type.to_owned(),
            security_level: content.security_level.to_string(),
            required_capabilities: content.required_capabilities.clone(),
            scopes,
        }
    }
}

impl std::fmt::Debug for GenerateToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GenerateToken").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken").field("jti", &self.jti).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use hive_domain::tickets::Report;

    use super::*;
    use crate::context::TicketGrant;
    use crate::tickets::ChangeTicketStatusCommand;
    use crate::tickets::testing::{MemoryRepository, NOW, api, draft};

    #[test]
    fn a_token_is_scoped_to_its_ticket_and_is_given_only_while_there_is_work() {
        let store = Arc::new(MemoryRepository::default());
        let api = api(&store);
        let context = CallContext::internal("test");
        let made = api.submit.one(&context, &draft()).now_or_never().unwrap().unwrap();
        let id = made.ticket.id();
        let issued = api.token.execute(&context, id).now_or_never().unwrap().unwrap();
        assert_eq!(issued.scopes, ["ticket:read", "ticket:update", "task:build", "security:elevated"]);
        assert_eq!(issued.expires_at, NOW.millis() / 1_000 + 3_600);
        assert!(!format!("{issued:?}").contains(&issued.token));
        let grant = Some(TicketGrant { ticket_id: id.to_string(), may_update: true });
        let worker = CallContext { grant, ..context.clone() };
        let error = api.token.execute(&worker, id).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "it does not renew itself");

        let command = ChangeTicketStatusCommand {
            ticket_id: id.clone(),
            status: TicketStatus::Failed,
            report: Report::default(),
        };
        api.tickets.change_status.execute(&context, &command).now_or_never().unwrap().unwrap();
        let error = api.token.execute(&context, id).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert_eq!(error.to_string(), "Cannot generate token for ticket with status FAILED");
        let unknown = TicketId::parse("tk-none").unwrap();
        let error = api.token.execute(&context, &unknown).now_or_never().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "Ticket tk-none not found");
    }
}
