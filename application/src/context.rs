//! Who calls, and what the call belongs to.

/// The circumstances of one call, the same in every layer.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// Who calls; what history records as the author of a change.
    pub principal: String,
    /// Correlates everything that follows from one request.
    pub correlation_id: Option<String>,
    /// W3C trace parent, opaque here.
    pub trace_parent: Option<String>,
}

impl CallContext {
    /// A call made by a part of the system itself.
    pub fn internal(principal: &str) -> Self {
        CallContext { principal: principal.to_owned(), ..CallContext::default() }
    }
}
