//! Who calls, from what the layers above and the metadata say.

use hive_application::context::{CallContext, TicketGrant};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::status::to_status;

/// What history records when nobody authenticated the caller and the request names none.
pub const ANONYMOUS: &str = "anonymous";

/// Longest correlation id taken from a caller.
const MAX_CORRELATION: usize = 128;

/// Longest trace parent there is.
const MAX_TRACE_PARENT: usize = 55;

/// Who calls, as a layer above found out: put into the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Its name.
    pub name: String,
    /// All it may do, when its token was made for one ticket.
    pub grant: Option<TicketGrant>,
}

/// The circumstances of a call: those a layer above put into the request's extensions, else those its metadata tells.
/// Metadata never tells the principal.
pub fn context<T>(request: &Request<T>) -> CallContext {
    if let Some(context) = request.extensions().get::<CallContext>() {
        return context.clone();
    }
    let metadata = request.metadata();
    let principal = request.extensions().get::<Authenticated>();
    let correlation = text(metadata, "x-correlation-id", MAX_CORRELATION)
        .or_else(|| text(metadata, "x-neural-hive-correlation-id", MAX_CORRELATION));
    CallContext {
        principal: principal.map_or(ANONYMOUS, |known| known.name.as_str()).to_owned(),
        correlation_id: correlation,
        trace_parent: text(metadata, "traceparent", MAX_TRACE_PARENT),
        grant: principal.and_then(|known| known.grant.clone()),
    }
}

/// [`context`] of a service; PERMISSION_DENIED for a caller whose token was made for a ticket.
pub(crate) fn service<T>(request: &Request<T>) -> Result<CallContext, Status> {
    let context = context(request);
    context.must_be_service().map_err(to_status)?;
    Ok(context)
}

fn text(metadata: &MetadataMap, key: &str, max: usize) -> Option<String> {
    let value = metadata.get(key)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= max).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_tells_what_a_call_belongs_to_but_not_who_makes_it() {
        let mut request = Request::new(());
        request.metadata_mut().insert("x-neural-hive-correlation-id", "corr-1".parse().unwrap());
        request.metadata_mut().insert("x-neural-hive-user-id", "root".parse().unwrap());
        let context = context(&request);
        assert_eq!(context.correlation_id.as_deref(), Some("corr-1"));
        assert_eq!(context.principal, ANONYMOUS);
    }

    #[test]
    fn what_a_layer_found_out_wins() {
        let mut request = Request::new(());
        request.metadata_mut().insert("x-correlation-id", "mine".parse().unwrap());
        request.extensions_mut().insert(CallContext::internal("orchestrator"));
        assert_eq!(context(&request).principal, "orchestrator");
        assert_eq!(context(&request).correlation_id, None);
    }

    #[test]
    fn an_authenticated_caller_keeps_its_name() {
        let mut request = Request::new(());
        request.extensions_mut().insert(Authenticated { name: "worker-1".to_owned(), grant: None });
        request.metadata_mut().insert("x-correlation-id", "c".parse().unwrap());
        let context = context(&request);
        assert_eq!((context.principal.as_str(), context.correlation_id.as_deref()), ("worker-1", Some("c")));
    }

    #[test]
    fn an_endless_id_is_not_taken() {
        let mut request = Request::new(());
        request.metadata_mut().insert("x-correlation-id", "x".repeat(129).parse().unwrap());
        assert_eq!(context(&request).correlation_id, None);
    }
}
