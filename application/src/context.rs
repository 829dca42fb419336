//! Who calls, and what the call belongs to.

use hive_domain::ids::TicketId;

use crate::error::{Error, ErrorKind};

/// The circumstances of one call, the same in every layer.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// Who calls; what history records as the author of a change.
    pub principal: String,
    /// Correlates everything that follows from one request.
    pub correlation_id: Option<String>,
    /// W3C trace parent, opaque here.
    pub trace_parent: Option<String>,
    /// All that the caller may do, when its token was made for one ticket. None for a service.
    pub grant: Option<TicketGrant>,
}

/// What a token allows that was made for one ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketGrant {
    /// The ticket, as the token names it.
    pub ticket_id: String,
    /// Whether it has the scope `ticket:update`.
    pub may_update: bool,
}

impl CallContext {
    /// A call made by a part of the system itself.
    pub fn internal(principal: &str) -> Self {
        CallContext { principal: principal.to_owned(), ..CallContext::default() }
    }

    /// The trace and the span to go on from, 32 and 16 hexadecimal digits, where the trace is recorded. What cannot be
    /// read is none.
    pub fn sampled_trace(&self) -> Option<(&str, &str)> {
        let mut parts = self.trace_parent.as_deref()?.split('-');
        let (_version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_id = |text: &str, length: usize| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
                && text.bytes().any(|byte| byte != b'0')
        };
        let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        (sampled && is_id(trace_id, 32) && is_id(span_id, 16)).then_some((trace_id, span_id))
    }

    /// `PermissionDenied` unless the caller is a service, or has a token for this ticket that allows to change it.
    pub fn may_change(&self, ticket_id: &TicketId) -> Result<(), Error> {
        match &self.grant {
            Some(grant) if !grant.may_update || grant.ticket_id != ticket_id.as_str() => {
                Err(refused("the token does not allow to change this ticket"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `PermissionDenied` unless the caller is a service, or has a token for this ticket.
    pub fn may_read(&self, ticket_id: &TicketId) -> Result<(), Error> {
        match &self.grant {
            Some(grant) if grant.ticket_id != ticket_id.as_str() => {
                Err(refused("the token does not allow to see this ticket"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `PermissionDenied` for a caller whose token was made for a ticket.
    pub fn must_be_service(&self) -> Result<(), Error> {
        match &self.grant {
            Some(_) => Err(refused("a token made for a ticket does not allow this")),
            None => Ok(()),
        }
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::PermissionDenied, "TICKET_SCOPE", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_gone_on_with_only_where_it_is_recorded() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let read = |trace_parent: String| {
            let context = CallContext { trace_parent: Some(trace_parent), ..CallContext::default() };
            context.sampled_trace().map(|(trace_id, span_id)| (trace_id.to_owned(), span_id.to_owned()))
        };
        assert_eq!(read(format!("00-{trace}-{span}-01")), Some((trace.to_owned(), span.to_owned())));
        let zero = "0".repeat(32);
        for bad in [
            format!("00-{trace}-{span}-00"),
            format!("00-{zero}-{span}-01"),
            format!("00-{trace}-01"),
            "é".to_owned(),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
        assert_eq!(CallContext::internal("x").sampled_trace(), None);
    }

    #[test]
    fn a_token_for_a_ticket_is_for_that_ticket_only() {
        let (own, other) = (TicketId::parse("t-1").unwrap(), TicketId::parse("t-2").unwrap());
        let with = |may_update| {
            let grant = TicketGrant { ticket_id: "t-1".to_owned(), may_update };
            CallContext { grant: Some(grant), ..CallContext::internal("worker") }
        };
        assert!(with(true).may_change(&own).is_ok() && with(false).may_read(&own).is_ok());
        for refused in [
            with(true).may_change(&other),
            with(false).may_change(&own),
            with(true).may_read(&other),
            with(true).must_be_service(),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
        let service = CallContext::internal("service");
        assert!(service.may_change(&other).is_ok() && service.may_read(&other).is_ok());
        assert!(service.must_be_service().is_ok());
    }
}
